//! What keys are made of, as seen by the endpoint that they lead to.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, Proxy, get, request, wait_for};

use crate::{PLIMSOLL, in_front_of};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn requests_with_the_same_beginning_of_the_path_go_to_the_same_endpoint() {
    let endpoints = NAMES.map(Endpoint::named);
    let endpoints: Vec<&Endpoint> = endpoints.iter().collect();
    let proxy =
        in_front_of(&endpoints, "", "balancer: { plugin: maglev }, hash_on: [ { path: { depth: 2, length: 64 } } ]");
    let web = proxy.address("web");
    let mut used = HashSet::new();
    for user in 0..20 {
        let answers: HashSet<String> =
            ["", "/", "/photos", "/photos/1?x=/2"].map(|rest| get(web, &format!("/users/{user}{rest}")).text()).into();
        assert_eq!(answers.len(), 1, "user {user}: {answers:?}");
        used.extend(answers);
    }
    assert!(used.len() > 1, "different beginnings lead to different endpoints");
}

#[test]
fn the_network_is_what_counts_for_clients_without_the_header() {
    let endpoints = NAMES.map(Endpoint::named);
    let endpoints: Vec<&Endpoint> = endpoints.iter().collect();
    let cluster = "balancer: { plugin: rendezvous }, \
                   hash_on: [ { header: x-user }, { source_address: { ipv4_prefix: 24, ipv6_prefix: 64 } } ]";
    let proxy = in_front_of(&endpoints, "", cluster);
    let web = proxy.address("web");
    let strangers: HashSet<String> = (0..20).map(|_| get(web, "/").text()).collect();
    assert_eq!(strangers.len(), 1, "{strangers:?}");
    let with_header = |user: usize| request(web, "GET", "/", &[("x-user", &user.to_string())], None).text();
    let users: HashSet<String> = (0..40).map(with_header).collect();
    assert_eq!(users.len(), 4);
}

#[test]
fn tables_are_prepared_beside_the_workers_when_endpoints_change() {
    let endpoints = NAMES.map(Endpoint::named);
    let list: Vec<&Endpoint> = endpoints.iter().collect();
    let cluster = "balancer: { plugin: maglev, config: { table_size: 655373 } }, hash_on: [ { header: x-user } ]";
    let proxy = in_front_of(&list, "", cluster);
    let web = proxy.address("web");
    let of = |user: usize| request(web, "GET", "/", &[("x-user", &user.to_string())], None).text();
    let before: Vec<String> = (0..60).map(of).collect();
    let calls = || proxy.metric("plimsoll_plugin_calls_total{plugin=\"maglev\",role=\"balancer\"");
    let calls_before = calls();
    let path = format!("/v1/clusters/app/endpoints/{}", endpoints[1].address());
    proxy.admin_json("PATCH", &path, Some(br#"{"drain":true}"#));
    // One call has prepared, in the control plane, the other has told the worker.
    wait_for("the worker to be told", || (calls() >= calls_before + 2.0).then_some(()));
    let during: Vec<String> = (0..60).map(of).collect();
    assert!(before.contains(&"b".to_owned()) && !during.contains(&"b".to_owned()), "{during:?}");
    let stay = |pair: &(&String, &String)| pair.0 != "b" && pair.0 != pair.1;
    assert!(before.iter().zip(&during).filter(stay).count() <= 6, "{before:?}, then {during:?}");
    let calls_during = calls();
    proxy.admin_json("PATCH", &path, Some(br#"{"drain":false}"#));
    wait_for("the worker to be told", || (calls() >= calls_during + 2.0).then_some(()));
    assert_eq!((0..60).map(of).collect::<Vec<_>>(), before);
    assert_eq!(proxy.metric("plimsoll_plugin_traps_total{plugin=\"maglev\""), 0.0);
}

/// The first message of a Remote Desktop client.
fn rdp_request(user: &str) -> Vec<u8> {
    let cookie = format!("Cookie: mstshash={user}\r\n");
    let length = 11 + cookie.len() as u8;
    let mut bytes = vec![3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
    bytes.extend(cookie.as_bytes());
    bytes
}

/// Endpoints that greet with their name, then echo.
fn rdp_proxy() -> (Vec<Endpoint>, Proxy) {
    let endpoints: Vec<Endpoint> = NAMES
        .into_iter()
        .map(|name| {
            Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
                let _ = stream.write_all(name.as_bytes());
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    let _ = stream.write_all(&bytes[..read]);
                }
            }))
        })
        .collect();
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: maglev }}, hash_on: [ rdp_cookie ], endpoints: [ {} ] }} ]",
            addresses.join(", ")
        ),
    );
    (endpoints, proxy)
}

#[test]
fn a_remote_desktop_user_comes_back_to_the_same_endpoint_and_no_byte_is_lost() {
    let (_endpoints, proxy) = rdp_proxy();
    let connect = |user: &str, cut: usize| {
        let mut bytes = rdp_request(user);
        let mut client = Connection::open(proxy.address("raw"));
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        client.send("and more");
        client.finish();
        bytes.extend(b"and more");
        let mut answer = client.read_to_end();
        let echoed = answer.split_off(1);
        assert_eq!(echoed, bytes);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let mut used = HashSet::new();
    for user in 0..12 {
        let user = format!("user{user}");
        let answers: HashSet<String> = [0, 1, 11, 20].map(|cut| connect(&user, cut)).into();
        assert_eq!(answers.len(), 1, "{user}: {answers:?}");
        used.extend(answers);
    }
    assert!(used.len() > 1);
}

#[test]
fn a_client_that_speaks_something_else_or_nothing_is_served_all_the_same() {
    let (_endpoints, proxy) = rdp_proxy();
    let mut other = Connection::open(proxy.address("raw"));
    other.send("SSH-2.0-OpenSSH_9\r\n");
    other.read(1);
    assert_eq!(other.read(19), b"SSH-2.0-OpenSSH_9\r\n");
    let mut silent = Connection::open(proxy.address("raw"));
    assert!(NAMES.contains(&&*String::from_utf8_lossy(&silent.read(1))));
}
