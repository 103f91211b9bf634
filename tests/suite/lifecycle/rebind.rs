//! Listeners whose addresses change at a reload.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_tests::{Connection, Endpoint, Proxy, free_address, get, wait_for};

use crate::PLIMSOLL;

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Listeners with their addresses, each of which leads to an endpoint of its own.
fn config(listeners: &[(&str, SocketAddr, &Endpoint)]) -> String {
    let mut text = "workers: 2\nadmin: { bind: \"127.0.0.1:0\" }\nlisteners:\n".to_owned();
    for (name, bind, _) in listeners {
        text += &format!("  - {{ name: {name}, bind: \"{bind}\", cluster: {name} }}\n");
    }
    text += "clusters:\n";
    for (name, _, endpoint) in listeners {
        text += &format!("  - {{ name: {name}, endpoints: [ \"{}\" ] }}\n", endpoint.address());
    }
    text
}

/// Makes a configuration live, and waits until all workers have gone over.
fn reload(proxy: &Proxy, config: &str) {
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
}

fn at(ip: &str, port: u16) -> SocketAddr {
    (ip.parse::<IpAddr>().expect("an address"), port).into()
}

/// Whether a request there is answered, and not refused or cut off.
fn answers(address: SocketAddr) -> bool {
    let exchange = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    exchange().is_ok_and(|answer: String| answer.starts_with("HTTP/1.1 200 "))
}

/// Lets clients at `narrow` connect and send without a pause while the listener goes to `wide` and back, again and again.
fn changes_under_load(narrow: SocketAddr, wide: SocketAddr, elsewhere: Option<SocketAddr>) {
    let one = Endpoint::named("one");
    let proxy = Proxy::start(PLIMSOLL, &config(&[("web", narrow, &one)]));
    let enough = AtomicBool::new(false);
    let new_connections = || {
        let mut answered = 0;
        while !enough.load(Ordering::Relaxed) {
            assert_eq!(get(narrow, "/").text(), "one");
            answered += 1;
        }
        answered
    };
    let one_connection = || {
        let mut connection = Connection::open(narrow);
        let mut answered = 0;
        while !enough.load(Ordering::Relaxed) {
            connection.send(REQUEST);
            let response = connection.response().expect("an answer on the same connection");
            assert_eq!((response.status, response.header("connection")), (200, None));
            answered += 1;
        }
        answered
    };
    std::thread::scope(|scope| {
        let clients = [scope.spawn(new_connections), scope.spawn(new_connections), scope.spawn(one_connection)];
        for round in 0..6 {
            let before = one.requests().len();
            let (bind, is_wide) = if round % 2 == 0 { (wide, true) } else { (narrow, false) };
            reload(&proxy, &config(&[("web", bind, &one)]));
            if let Some(elsewhere) = elsewhere {
                wait_for("the other address to follow", || (answers(elsewhere) == is_wide).then_some(()));
            }
            wait_for("traffic", || (one.requests().len() > before + 50).then_some(()));
            assert_eq!(proxy.address("web"), bind);
        }
        enough.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("no connection was refused") > 0);
        }
    });
}

#[test]
fn an_address_of_ipv4_becomes_all_and_one_again_under_load() {
    let port = free_address().port();
    changes_under_load(at("127.0.0.1", port), at("0.0.0.0", port), Some(at("127.0.0.2", port)));
}

#[test]
fn an_address_of_ipv6_becomes_all_and_one_again_under_load() {
    if TcpListener::bind(at("::1", 0)).is_err() {
        return;
    }
    let port = free_address().port();
    changes_under_load(at("::1", port), at("::", port), None);
}

#[test]
fn all_addresses_become_one_and_all_again_before_the_first_have_gone() {
    let (one, port) = (Endpoint::named("one"), free_address().port());
    let (narrow, wide, other) = (at("127.0.0.1", port), at("0.0.0.0", port), at("127.0.0.2", port));
    let proxy = Proxy::start(PLIMSOLL, &config(&[("web", wide, &one)]));
    for bind in [narrow, wide, narrow, wide] {
        reload(&proxy, &config(&[("web", bind, &one)]));
        assert!(answers(narrow));
    }
    assert!((0..20).all(|_| answers(other)));
    let mut kept = Connection::open(other);
    kept.send(REQUEST);
    assert_eq!(kept.response().map(|response| response.status), Some(200));
    let connections = || proxy.admin_json("GET", "/v1/status", None)["listeners"][0]["connections"].clone();
    wait_for("the connections to be counted where they are", || (connections() == 1).then_some(()));
    // An address that is not listened on any more serves nobody, also not on connections that are open.
    reload(&proxy, &config(&[("web", narrow, &one)]));
    assert!(kept.read_to_end().is_empty());
    wait_for("the other address to go", || TcpStream::connect(other).is_err().then_some(()));
    assert!(answers(narrow));
}

#[test]
fn one_address_can_have_a_listener_of_its_own_beside_all_others() {
    let (all, own, port) = (Endpoint::named("all"), Endpoint::named("own"), free_address().port());
    let (narrow, wide, other) = (at("127.0.0.1", port), at("0.0.0.0", port), at("127.0.0.2", port));
    let both = config(&[("all", wide, &all), ("own", narrow, &own)]);
    let proxy = Proxy::start(PLIMSOLL, &both);
    let served = || (get(narrow, "/").text(), get(other, "/").text());
    assert_eq!(served(), ("own".to_owned(), "all".to_owned()));
    let mut kept = Connection::open(narrow);
    let mut serves = |name: &str| {
        kept.send(REQUEST);
        let response = kept.response().expect("an answer on the same connection");
        assert_eq!((response.text().as_str(), response.header("connection")), (name, None));
    };
    serves("own");
    reload(&proxy, &config(&[("all", wide, &all)]));
    serves("all");
    assert_eq!(served(), ("all".to_owned(), "all".to_owned()));
    reload(&proxy, &both);
    serves("own");
    assert_eq!(served(), ("own".to_owned(), "all".to_owned()));
}

#[test]
fn an_address_that_somebody_else_has_is_told_and_changes_nothing() {
    let one = Endpoint::named("one");
    let proxy = Proxy::start(PLIMSOLL, &config(&[("web", at("127.0.0.1", 0), &one)]));
    let web = proxy.address("web");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("a bound socket");
    let _theirs = TcpListener::bind(taken).expect("the same port");
    let next = config(&[("web", at("0.0.0.0", taken.port()), &one)]);
    for query in ["", "?dry_run=true"] {
        let refused = proxy.admin("PUT", &format!("/v1/config{query}"), Some(next.as_bytes()));
        assert!(refused.status == 409 && refused.text().contains("bind_failed"), "{}", refused.text());
    }
    assert!(answers(web));
}
