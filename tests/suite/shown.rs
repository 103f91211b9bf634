//! What balancers see of requests beyond a key, and that it is the same for all attempts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_tests::{
    Endpoint, Proxy, UdpClient, UdpEndpoint, free_address, get, guest, guest_path, read_request, request, wait_for,
};
use serde_json::json;

use crate::PLIMSOLL;

/// A proxy whose listeners and cluster have these settings beside the endpoints; `shown` goes by what it is shown.
fn proxy(listeners: &str, by: &str, endpoints: &[String], cluster: &str) -> Proxy {
    let endpoints = endpoints.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
    let config = format!(
        "workers: 1
access_log: {{ format: json }}
plugins: [ {{ name: shown, path: {:?} }} ]
listeners: [ {listeners} ]
clusters: [ {{ name: app, balancer: {{ plugin: shown, config: {{ by: {by} }} }}, endpoints: [ {endpoints} ], {cluster} }} ]",
        guest_path("shown")
    );
    Proxy::start(PLIMSOLL, &config)
}

const WEB: &str = "{ name: web, bind: 127.0.0.1:0, cluster: app }";

fn addresses(endpoints: &[Endpoint]) -> Vec<String> {
    endpoints.iter().map(|endpoint| endpoint.address().to_string()).collect()
}

fn wanting(proxy: &Proxy, want: &str) -> String {
    request(proxy.address("web"), "GET", "/", &[("x-want", want)], None).text()
}

#[test]
fn a_balancer_sees_the_attributes_that_it_asked_for() {
    let endpoints = ["0", "1", "2", "3"].map(Endpoint::named);
    let proxy = proxy(WEB, "x-want", &addresses(&endpoints), "");
    for want in ["3", "1", "2", "0", "3"] {
        assert_eq!(wanting(&proxy, want), want);
    }
    assert_eq!(get(proxy.address("web"), "/").text(), "0");
    for reason in ["seen", "unseen"] {
        let line = format!("\"reason\":\"{reason}\"");
        wait_for(reason, || proxy.stdout().contains(&line).then_some(()));
    }
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_balancer_that_wants_all_keys_gets_a_hash_of_each() {
    let endpoints = ["0", "1", "2", "3"].map(Endpoint::named);
    let hash_on = "hash_on: [ { header: x-a }, { cookie: b } ]";
    let proxy = proxy(WEB, "keys", &addresses(&endpoints), hash_on);
    let ask = |fields: &[(&str, &str)]| request(proxy.address("web"), "GET", "/", fields, None).text();
    assert_eq!(ask(&[]), "0");
    assert_eq!(ask(&[("x-a", "1")]), "1");
    assert_eq!(ask(&[("cookie", "b=1")]), "2");
    assert_eq!(ask(&[("x-a", "1"), ("cookie", "b=1")]), "3");
    assert_eq!(ask(&[("x-a", ""), ("cookie", "c=1")]), "0");
}

#[test]
fn further_attempts_see_what_the_first_has_seen() {
    let alive = ["1", "2"].map(Endpoint::named);
    let [one, two] = [alive[0].address(), alive[1].address()].map(|address| address.to_string());
    let endpoints = [one, free_address().to_string(), two];
    let proxy = proxy(WEB, "x-want", &endpoints, "max_attempts: 3");
    // The second cannot be connected to; without what was seen, it would be the first's turn.
    assert_eq!(wanting(&proxy, "1"), "2");
    assert_eq!(wanting(&proxy, "2"), "2");
    assert_eq!(wanting(&proxy, "0"), "1");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn an_attempt_beside_a_late_one_sees_it_too() {
    let late = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        // It never answers.
        let _ = read_request(&mut stream);
        let _ = stream.read(&mut [0]);
    }));
    let (first, next) = (Endpoint::named("first"), Endpoint::named("next"));
    let endpoints = [first, late, next];
    let proxy = proxy(WEB, "x-want", &addresses(&endpoints), "max_attempts: 2, retries: { hedge_after: 20ms }");
    assert_eq!(wanting(&proxy, "1"), "next");
}

#[test]
fn connections_and_sessions_are_seen_as_far_as_there_is_something_to_see() {
    let listeners = "{ name: port-1, bind: 127.0.0.1:0, protocol: tcp, cluster: app }, \
                     { name: port-0, bind: 127.0.0.1:0, protocol: tcp, cluster: app }";
    let named = |name: &'static str| {
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| drop(stream.write_all(name.as_bytes()))))
    };
    let endpoints = [named("zero"), named("one")];
    let tcp = proxy(listeners, "listener", &addresses(&endpoints), "");
    for (listener, name) in [("port-0", "zero"), ("port-1", "one"), ("port-0", "zero")] {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(tcp.address(listener)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, name);
    }

    let (zero, one) = (UdpEndpoint::named("zero"), UdpEndpoint::named("one"));
    let listeners = "{ name: port-1, bind: 127.0.0.1:0, protocol: udp, cluster: app }, \
                     { name: port-0, bind: 127.0.0.1:0, protocol: udp, cluster: app }";
    let udp = proxy(listeners, "listener", &[zero.address().to_string(), one.address().to_string()], "");
    for (listener, name) in [("port-0", "zero"), ("port-1", "one")] {
        assert_eq!(UdpClient::of(udp.address(listener)).ask("hello"), name);
    }
}

#[test]
fn the_name_that_a_tls_client_asks_for_is_waited_for() {
    let listener = "{ name: port, bind: 127.0.0.1:0, protocol: tcp, cluster: app }";
    let named = |name: &'static str| {
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            // Whoever gets the greeting; the client cannot read what is no TLS.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(name.as_bytes());
        }))
    };
    let endpoints = [named("zero"), named("one"), named("two")];
    let proxy = proxy(listener, "server-name", &addresses(&endpoints), "");
    for (host, place) in [("tenant-2.test", 2), ("tenant-1.test", 1)] {
        let before = endpoints[place].connections();
        let to = format!("{host}:{}:127.0.0.1", proxy.address("port").port());
        let url = format!("https://{host}:{}/", proxy.address("port").port());
        let _ = std::process::Command::new("curl").args(["-sk", "-m", "20", "--resolve", &to, &url]).output();
        assert_eq!(endpoints[place].connections(), before + 1, "{host}");
    }
}

#[test]
fn balancers_of_groups_see_it_too() {
    let endpoints = ["0", "1", "2"].map(Endpoint::named);
    let proxy = proxy(WEB, "x-want", &addresses(&endpoints), "partitioners: [ { plugin: priority } ]");
    for want in ["2", "0", "1"] {
        assert_eq!(wanting(&proxy, want), want);
    }
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_version_that_wants_more_or_less_than_the_one_before_gets_just_that() {
    let endpoints = ["0", "1", "2"].map(Endpoint::named);
    let listed = addresses(&endpoints).iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: subject, path: {:?}, conformance: off }} ]
listeners: [ {WEB} ]
clusters: [ {{ name: app, balancer: {{ plugin: subject }}, endpoints: [ {listed} ] }} ]",
            guest_path("first")
        ),
    );
    let upload = |version: &str| {
        proxy.admin_json("PUT", "/v1/plugins/subject?conformance=off", Some(guest(version)));
    };
    for _ in 0..2 {
        assert_eq!(wanting(&proxy, "2"), "0");
        upload("shown");
        assert_eq!(wanting(&proxy, "2"), "2");
        upload("first");
    }

    // A candidate sees what it wants, and the live version does not.
    proxy.admin_json("PUT", "/v1/plugins/subject/shadow?conformance=off", Some(guest("shown")));
    for want in ["0", "1", "2", "0"] {
        assert_eq!(wanting(&proxy, want), "0");
    }
    let report = proxy.admin_json("GET", "/v1/plugins/subject", None);
    let expected = json!({ "same": 2, "different": 2, "candidate_faults": 0, "live_faults": 0 });
    assert_eq!(report["shadow"]["roles"]["balancer"]["decisions"], expected);
    proxy.admin("DELETE", "/v1/plugins/subject/shadow", None);
    assert_eq!(wanting(&proxy, "2"), "0");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

/// As the live version may.
#[test]
fn a_candidate_may_choose_again_what_was_tried_where_there_is_no_other() {
    let dead = free_address().to_string();
    let proxy = proxy(WEB, "x-want", &[dead], "max_attempts: 3");
    proxy.admin_json("PUT", "/v1/plugins/shown?conformance=off", Some(guest("first")));
    proxy.admin_json("PUT", "/v1/plugins/shown/shadow?conformance=off", Some(guest("shown")));
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let report = proxy.admin_json("GET", "/v1/plugins/shown", None);
    let expected = json!({ "same": 3, "different": 0, "candidate_faults": 0, "live_faults": 0 });
    assert_eq!(report["shadow"]["roles"]["balancer"]["decisions"], expected);
}

#[test]
fn where_the_proxy_runs_is_what_its_configuration_says() {
    let endpoints = ["0", "1", "2"].map(Endpoint::named);
    let listed = addresses(&endpoints).iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
    let config = |node: &str| {
        format!(
            "{node}
plugins: [ {{ name: shown, path: {:?} }} ]
listeners: [ {WEB} ]
clusters: [ {{ name: app, balancer: {{ plugin: shown, config: {{ by: zone }} }}, endpoints: [ {listed} ] }} ]",
            guest_path("shown")
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("node: { id: edge, zone: ab }"));
    assert_eq!(get(proxy.address("web"), "/").text(), "2");
    let later = proxy.admin_json("PUT", "/v1/config?dry_run=true", Some(config("node: { id: edge }").as_bytes()));
    assert!(later.to_string().contains("\"node\""), "{later:#}");
    let elsewhere = Proxy::start(PLIMSOLL, &config("node: { zone: ab }"));
    assert_eq!(get(elsewhere.address("web"), "/").text(), "0");
}
