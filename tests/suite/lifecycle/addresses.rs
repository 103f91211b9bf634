//! Listeners with several addresses.

use std::net::{SocketAddr, TcpStream};

use plimsoll_tests::{Connection, Endpoint, Proxy, free_ports, get, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

fn config(endpoint: &Endpoint, bind: &str, more: &str) -> String {
    format!(
        "workers: 2
admin: {{ bind: \"127.0.0.1:0\" }}
listeners: [ {{ name: web, bind: {bind}, cluster: app, {more} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

fn listener(proxy: &Proxy) -> Value {
    proxy.admin_json("GET", "/v1/status", None)["listeners"][0].clone()
}

fn addresses(proxy: &Proxy) -> Vec<SocketAddr> {
    let listed = listener(proxy)["addresses"].as_array().cloned().unwrap_or_default();
    listed.iter().map(|address| address.as_str().and_then(|text| text.parse().ok()).expect("an address")).collect()
}

#[test]
fn a_listener_takes_connections_at_all_its_addresses() {
    let endpoint = Endpoint::named("one");
    let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, "[ \"127.0.0.1:0\", \"[::1]:0\", \"127.0.0.2:0\" ]", ""));
    let all = addresses(&proxy);
    assert_eq!(
        all.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>(),
        ["127.0.0.1", "::1", "127.0.0.2"]
    );
    assert_eq!(proxy.address("web"), all[0]);
    for address in &all {
        assert_eq!(get(*address, "/").text(), "one");
    }
}

#[test]
fn a_range_of_ports_grows_and_shrinks_at_a_reload() {
    let endpoint = Endpoint::named("one");
    let first = free_ports(6);
    let range = |from: u16, to: u16| config(&endpoint, &format!("\"127.0.0.1:{}-{}\"", first + from, first + to), "");
    let proxy = Proxy::start(PLIMSOLL, &range(0, 3));
    let at = |offset: u16| SocketAddr::from(([127, 0, 0, 1], first + offset));
    assert_eq!(addresses(&proxy), (0..=3).map(at).collect::<Vec<_>>());
    let mut kept = Connection::open(at(3));
    for offset in 0..=3 {
        assert_eq!(get(at(offset), "/").text(), "one");
    }
    proxy.admin_json("PUT", "/v1/config", Some(range(2, 5).as_bytes()));
    assert_eq!(addresses(&proxy), (2..=5).map(at).collect::<Vec<_>>());
    for offset in 2..=5 {
        assert_eq!(get(at(offset), "/").text(), "one");
    }
    for offset in 0..=1 {
        wait_for("the port to be closed", || TcpStream::connect(at(offset)).is_err().then_some(()));
    }
    kept.send(REQUEST);
    assert_eq!(kept.response().map(|response| response.status), Some(200));
}

#[test]
fn limits_hold_for_all_addresses_together() {
    let endpoint = Endpoint::named("one");
    let first = free_ports(3);
    let bind = format!("\"127.0.0.1:{first}-{}\"", first + 2);
    let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, &bind, "limits: { connections: 2 }"));
    let at = |offset: u16| SocketAddr::from(([127, 0, 0, 1], first + offset));
    let open = |offset| {
        let mut connection = Connection::open(at(offset));
        connection.send(REQUEST);
        let status = connection.response().map(|response| response.status);
        (connection, status)
    };
    let (one, two) = (open(0), open(1));
    assert_eq!((one.1, two.1, open(2).1), (Some(200), Some(200), Some(503)));
    wait_for("who was refused to be gone", || (listener(&proxy)["connections"] == 2).then_some(()));
    // Those that are open count at the addresses that come next, too.
    let next = config(
        &endpoint,
        &format!("[ \"127.0.0.1:{}\", \"127.0.0.1:{first}\" ]", first + 2),
        "limits: { connections: 2 }",
    );
    proxy.admin_json("PUT", "/v1/config", Some(next.as_bytes()));
    wait_for("the connection to the address that is gone to end", || {
        (listener(&proxy)["connections"] == 1).then_some(())
    });
    let (_three, four) = (open(2), open(2));
    assert_eq!(four.1, Some(503));
    drop(one);
    wait_for("room", || (open(2).1 == Some(200)).then_some(()));
}
