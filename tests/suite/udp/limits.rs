use std::net::UdpSocket;

use plimsoll_tests::{UdpClient, UdpEndpoint, wait_for};

use super::{dropped, echo_proxy, open_sessions, wait_for_ends};

#[test]
fn sessions_are_bounded_and_others_go_on() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, "limits: { connections: 2 }, timeouts: { idle: 5s }");
    let clients = [(); 3].map(|()| UdpClient::of(proxy.address("game")));
    assert_eq!((clients[0].ask("a"), clients[1].ask("b")), ("a".into(), "b".into()));
    clients[2].send("c");
    wait_for("it to be dropped", || (dropped(&proxy, "limit") == 1.0).then_some(()));
    assert_eq!(proxy.metric("plimsoll_connections_refused_total{listener=\"game\",reason=\"limit\"}"), 1.0);
    assert_eq!((clients[0].ask("d"), clients[1].ask("e"), open_sessions(&proxy)), ("d".into(), "e".into(), 2.0));
    // There is room when one has ended.
    assert_eq!(clients[2].ask_until_answered("f"), "f");
}

#[test]
fn sessions_of_one_source_are_bounded() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, "limits: { connections_per_source: 2 }");
    let clients = [(); 3].map(|()| UdpClient::of(proxy.address("game")));
    assert_eq!((clients[0].ask("a"), clients[1].ask("b")), ("a".into(), "b".into()));
    clients[2].send("c");
    wait_for("it to be dropped", || (dropped(&proxy, "source_limit") == 1.0).then_some(()));
    let other = UdpClient::from(([127, 0, 0, 2], 0).into(), proxy.address("game"));
    assert_eq!((other.ask("d"), clients[0].ask("e")), ("d".into(), "e".into()));
    assert_eq!(proxy.metric("plimsoll_connections_refused_total{listener=\"game\",reason=\"source_limit\"}"), 1.0);
}

#[test]
fn datagrams_that_are_too_large_are_dropped_on_either_side() {
    let endpoint = UdpEndpoint::replying(std::sync::Arc::new(|datagram| match datagram {
        b"much" => vec![vec![1; 1001], vec![2; 1000]],
        other => vec![other.to_vec()],
    }));
    let proxy = echo_proxy(&endpoint, "udp: { datagram_bytes: 1000 }");
    let client = UdpClient::of(proxy.address("game"));
    client.send([3; 1001]);
    assert_eq!(client.ask([4; 1000]).len(), 1000);
    assert_eq!(endpoint.peers().len(), 1);
    client.send("much");
    assert_eq!(client.receive(), [2; 1000]);
    assert_eq!(dropped(&proxy, "too_large"), 2.0);
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Ports without number, as a flood with forged addresses has them: as many sessions begin as may, the memory is theirs, and
/// whoever had one is served.
#[test]
fn a_flood_of_sessions_is_bounded_and_passes() {
    const MOST: usize = 300;
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, &format!("limits: {{ connections: {MOST} }}, timeouts: {{ idle: 2s }}"));
    let client = UdpClient::of(proxy.address("game"));
    assert_eq!(client.ask("before"), "before");
    let before = resident_kib(proxy.pid());
    for _ in 0..20 {
        let sockets: Vec<UdpSocket> =
            (0..200).map(|_| UdpSocket::bind(("127.0.0.1", 0)).expect("a free port")).collect();
        for socket in &sockets {
            socket.send_to(&[7; 1000], proxy.address("game")).expect("it can be sent");
        }
        assert_eq!(client.ask("meanwhile"), "meanwhile");
    }
    assert!(open_sessions(&proxy) <= MOST as f64);
    assert!(dropped(&proxy, "limit") > 0.0);
    let grown = resident_kib(proxy.pid()).saturating_sub(before);
    assert!(grown < 20 << 10, "{grown} KiB for {MOST} sessions");
    wait_for("the flood to be over", || {
        assert_eq!(client.ask("after"), "after");
        (open_sessions(&proxy) == 1.0).then_some(())
    });
}

#[test]
fn the_sockets_of_sessions_are_closed_with_them() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, "udp: { responses: 1 }");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("a process").count();
    let address = proxy.address("game");
    let ask = || (0..100).for_each(|_| assert_eq!(UdpClient::of(address).ask("?"), "?"));
    ask();
    wait_for_ends(&proxy, "answered", 100.0);
    let before = descriptors();
    ask();
    wait_for_ends(&proxy, "answered", 200.0);
    wait_for("as many as before", || (descriptors() <= before).then_some(()));
}
