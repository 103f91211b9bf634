use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_tests::{Proxy, Signal, UdpClient, UdpEndpoint, free_address, wait_for};

use super::{config, dropped, open_sessions, wait_for_ends};
use crate::PLIMSOLL;

fn reload(proxy: &Proxy, config: &str) {
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
}

#[test]
fn sessions_live_through_reloads() {
    let endpoint = UdpEndpoint::echo();
    let bind = free_address();
    let of = |balancer: &str| {
        let text = config(&bind.to_string(), &[endpoint.address()], "", "");
        text.replace("round-robin", balancer)
    };
    let proxy = Proxy::start(PLIMSOLL, &of("round-robin"));
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let talking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let client = UdpClient::of(bind);
                    let mut asked = 0;
                    while !enough.load(Ordering::Relaxed) {
                        asked += 1;
                        assert_eq!(client.ask(asked.to_string()), asked.to_string());
                    }
                    asked
                })
            })
            .collect();
        for round in 0..20 {
            // With other policies, and another cluster of the same name, every time.
            reload(&proxy, &of(if round % 2 == 0 { "least-request" } else { "round-robin" }));
        }
        enough.store(true, Ordering::Relaxed);
        talking.into_iter().for_each(|talking| assert!(talking.join().expect("no datagram is lost") > 20));
    });
    let peers: HashSet<_> = endpoint.peers().into_iter().collect();
    assert_eq!((peers.len(), open_sessions(&proxy)), (4, 4.0), "each had the same session all the time");
}

#[test]
fn a_session_moves_when_a_reload_takes_its_endpoint() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let bind = free_address().to_string();
    let proxy = Proxy::start(PLIMSOLL, &config(&bind, &[one.address()], "", ""));
    let client = UdpClient::of(bind.parse().expect("an address"));
    assert_eq!(client.ask("?"), "one");
    let next =
        config(&bind, &[other.address()], "", "").replace("round-robin", "least-request").replace("id: e0", "id: e9");
    reload(&proxy, &next);
    assert_eq!(client.ask("?"), "other");
    wait_for_ends(&proxy, "endpoint_gone", 1.0);
}

#[test]
fn sessions_go_on_when_their_listener_goes_to_all_addresses_and_back() {
    let endpoint = UdpEndpoint::echo();
    let port = free_address().port();
    let at = |ip: &str| config(&format!("{ip}:{port}"), &[endpoint.address()], "", "");
    let proxy = Proxy::start(PLIMSOLL, &at("127.0.0.1"));
    let clients: Vec<UdpClient> = (0..8).map(|_| UdpClient::of(([127, 0, 0, 1], port).into())).collect();
    let all_ask = || clients.iter().for_each(|client| assert_eq!(client.ask("?"), "?"));
    all_ask();
    for _ in 0..3 {
        reload(&proxy, &at("0.0.0.0"));
        all_ask();
        let elsewhere = UdpClient::of(([127, 0, 0, 2], port).into());
        assert_eq!(elsewhere.ask("here, too"), "here, too");
        reload(&proxy, &at("127.0.0.1"));
        all_ask();
    }
    let peers: HashSet<_> = endpoint.peers().into_iter().collect();
    assert_eq!(peers.len(), 8 + 3, "each had the same session all the time");
}

#[test]
fn sessions_that_began_at_all_addresses_go_on_at_one() {
    let endpoint = UdpEndpoint::echo();
    let port = free_address().port();
    let at = |ip: &str| config(&format!("{ip}:{port}"), &[endpoint.address()], "timeouts: { idle: 3s }", "");
    let proxy = Proxy::start(PLIMSOLL, &at("0.0.0.0"));
    let clients: Vec<UdpClient> = (0..8).map(|_| UdpClient::of(([127, 0, 0, 1], port).into())).collect();
    let all_ask = || clients.iter().for_each(|client| assert_eq!(client.ask("?"), "?"));
    all_ask();
    reload(&proxy, &at("127.0.0.1"));
    // Up to where the socket for all addresses has gone for good.
    let other = ([127, 0, 0, 2], port).into();
    wait_for("the other addresses to be free", || {
        all_ask();
        UdpSocket::bind::<SocketAddr>(other).ok()
    });
    all_ask();
    let peers: HashSet<_> = endpoint.peers().into_iter().collect();
    assert_eq!(peers.len(), 8, "each had the same session all the time");
}

#[test]
fn sessions_of_a_listener_that_is_gone_end_by_themselves_and_none_begins() {
    let endpoint = UdpEndpoint::echo();
    let bind = free_address();
    let with = config(&bind.to_string(), &[endpoint.address()], "timeouts: { idle: 2s }", "");
    let without = with.replace("name: game", "name: other").replace(&bind.to_string(), "127.0.0.1:0");
    let proxy = Proxy::start(PLIMSOLL, &with);
    let (client, late) = (UdpClient::of(bind), UdpClient::of(bind));
    assert_eq!(client.ask("?"), "?");
    reload(&proxy, &without);
    late.send("?");
    assert_eq!(client.ask("still"), "still");
    // One that comes back has the sessions that are there.
    reload(&proxy, &with);
    assert_eq!((client.ask("again"), late.ask("now")), ("again".into(), "now".into()));
    reload(&proxy, &without);
    let peers: HashSet<_> = endpoint.peers().into_iter().collect();
    assert_eq!(peers.len(), 2, "each has had one session");
    wait_for("the port to be free", || UdpSocket::bind(bind).ok());
}

#[test]
fn told_to_end_the_proxy_finishes_sessions_and_begins_none() {
    let endpoint = UdpEndpoint::echo();
    let text = config("127.0.0.1:0", &[endpoint.address()], "timeouts: { idle: 1s }", "");
    let mut proxy = Proxy::start(PLIMSOLL, &format!("shutdown: {{ grace: 60s }}\n{text}"));
    let address = proxy.address("game");
    let client = UdpClient::of(address);
    assert_eq!(client.ask("?"), "?");
    proxy.signal(Signal::Term);
    wait_for("others to be dropped", || {
        UdpClient::of(address).send("?");
        assert_eq!(client.ask("still"), "still");
        (dropped(&proxy, "draining") > 0.0).then_some(())
    });
    assert!(proxy.is_alive());
    assert_eq!(proxy.wait_for_end().code(), Some(0), "it ends with its last session");
    assert!(proxy.stdout().contains("\"end\":\"idle_timeout\""), "{}", proxy.stdout());
}

#[test]
fn sessions_that_do_not_end_are_ended_after_the_grace_period() {
    let endpoint = UdpEndpoint::echo();
    let text = config("127.0.0.1:0", &[endpoint.address()], "", "");
    let mut proxy = Proxy::start(PLIMSOLL, &format!("shutdown: {{ grace: 200ms }}\n{text}"));
    let client = UdpClient::of(proxy.address("game"));
    assert_eq!(client.ask("?"), "?");
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
    let log = proxy.stdout();
    assert!(log.contains("\"end\":\"drain\"") && log.contains("\"flag\":\"DR\""), "{log}");
}

/// Of TCP and UDP there are ports of the same number.
#[test]
fn a_port_of_udp_may_have_the_number_of_one_of_tcp() {
    let endpoint = UdpEndpoint::echo();
    let bind = free_address();
    let text = config(&bind.to_string(), &[endpoint.address()], "", "");
    let tcp = format!("listeners: [ {{ name: web, bind: \"{bind}\", cluster: app }}, {{ name: game,");
    let proxy = Proxy::start(PLIMSOLL, &text.replace("listeners: [ { name: game,", &tcp));
    assert_eq!(UdpClient::of(bind).ask("?"), "?");
    assert_eq!((proxy.address("web"), proxy.address("game")), (bind, bind));
}

#[test]
fn a_port_that_another_program_has_is_not_shared() {
    let taken = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
    let bind = taken.local_addr().expect("a bound socket").to_string();
    let mut proxy = Proxy::launch(PLIMSOLL, &config(&bind, &[taken.local_addr().expect("bound")], "", ""));
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    assert!(proxy.log().contains(&bind), "{}", proxy.log());
}
