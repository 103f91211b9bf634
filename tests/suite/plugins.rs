//! Plugins come and go under traffic, and what cannot work never becomes live.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use plimsoll_tests::{Connection, Endpoint, Proxy, guest, guest_path, request, specimen, wait_for, wasi_guest_path};
use serde_json::Value;

use crate::PLIMSOLL;

/// Endpoints whose ids are their names.
struct Fleet(Vec<(String, Endpoint)>);

impl Fleet {
    fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| ((*name).to_owned(), Endpoint::named(name))).collect())
    }

    /// For a configuration.
    fn list(&self) -> String {
        let item =
            |(name, endpoint): &(String, Endpoint)| format!("{{ id: {name}, address: \"{}\" }}", endpoint.address());
        self.0.iter().map(item).collect::<Vec<_>>().join(", ")
    }
}

/// Answer to a GET with these header fields on a connection that is kept.
fn ask(connection: &mut Connection, path: &str, headers: &[(&str, &str)]) -> plimsoll_tests::Response {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let host = if headers.iter().any(|(name, _)| *name == "host") { "" } else { "host: test\r\n" };
    connection.send(format!("GET {path} HTTP/1.1\r\n{host}{fields}\r\n"));
    connection.response().expect("an answer")
}

/// Names of the endpoints that answered so many requests.
fn served_by(web: SocketAddr, requests: usize) -> BTreeSet<String> {
    let mut connection = Connection::open(web);
    (0..requests).map(|_| ask(&mut connection, "/", &[]).text()).collect()
}

fn only(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

/// What the admin API says of a plugin.
fn plugin(proxy: &Proxy, name: &str) -> Value {
    let plugins = proxy.admin_json("GET", "/v1/plugins", None);
    let found = plugins.as_array().and_then(|plugins| plugins.iter().find(|plugin| plugin["name"] == name));
    found.cloned().unwrap_or_else(|| panic!("no plugin `{name}` in {plugins}"))
}

/// A client that asks until it is told to stop, and answers how often, and what was wrong.
fn asking(web: SocketAddr, stop: &Arc<AtomicBool>) -> JoinHandle<(usize, Vec<String>)> {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let mut connection = Connection::open(web);
        let (mut asked, mut wrong) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            asked += 1;
            connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            match connection.response() {
                Some(response) if response.status == 200 && ["a", "b"].contains(&response.text().as_str()) => {}
                Some(response) => wrong.push(format!("{} {}", response.status, response.text())),
                None => {
                    wrong.push(format!("the connection ended at request {asked}"));
                    break;
                }
            }
        }
        (asked, wrong)
    })
}

#[test]
fn fifty_loads_under_traffic_fail_no_request() {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {} ] }} ]",
            fleet.list()
        ),
    );
    let web = proxy.address("web");
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4).map(|_| asking(web, &stop)).collect();
    for load in 0..50 {
        let (version, endpoint) = if load % 2 == 0 { ("first", "a") } else { ("last", "b") };
        proxy.admin_json("PUT", "/v1/plugins/round-robin", Some(guest(version)));
        // From the answer on, on every worker: new connections come to either.
        for _ in 0..4 {
            assert_eq!(served_by(web, 3), only(endpoint), "load {load}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (asked, wrong) = client.join().expect("the client lives");
        assert!(wrong.is_empty(), "{} of {asked}: {wrong:?}", wrong.len());
        assert!(asked > 50, "{asked} requests are no traffic");
    }
}

#[test]
fn a_rollback_goes_back_and_forth_and_ends_where_nothing_is() {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "plugins: [ {{ name: subject, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: subject }}, endpoints: [ {} ] }} ]",
            guest_path("first"),
            fleet.list()
        ),
    );
    let web = proxy.address("web");
    let code = |method, path| -> (u16, Value) {
        let response = proxy.admin(method, path, None);
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        (response.status, body["code"].clone())
    };
    assert_eq!(code("POST", "/v1/plugins/subject/rollback"), (409, "nothing_earlier".into()));
    assert_eq!(code("POST", "/v1/plugins/nobody/rollback"), (404, "unknown_plugin".into()));
    assert_eq!(code("POST", "/v1/plugins/nobody/release"), (404, "unknown_plugin".into()));
    let first = plugin(&proxy, "subject")["digest"].clone();
    proxy.admin_json("PUT", "/v1/plugins/subject", Some(guest("last")));
    assert_eq!(served_by(web, 10), only("b"));
    let back = proxy.admin_json("POST", "/v1/plugins/subject/rollback", None);
    assert_eq!((&back["digest"], served_by(web, 10)), (&first, only("a")));
    proxy.admin_json("POST", "/v1/plugins/subject/rollback", None);
    assert_eq!(served_by(web, 10), only("b"), "the version that was undone can be gone back to");
}

const CHOOSY: [(&str, &str); 4] = [
    ("subject", "{}"),
    ("refusing", "{ fault: refuse }"),
    ("trapping", "{ fault: trap, at: create }"),
    ("looping", "{ fault: loop, at: create }"),
];

/// Four clusters with a plugin each: one that any version can serve, and three whose configurations `faulty` does not
/// survive. The path leads to them.
fn choosy(fleet: &Fleet) -> Proxy {
    let path = guest_path("first");
    let endpoints = fleet.list();
    let plugins = CHOOSY.map(|(name, _)| format!("{{ name: {name}, path: {path:?}, conformance: off }}"));
    let routes = CHOOSY.map(|(name, _)| format!("{{ match: {{ path_exact: /{name} }}, cluster: {name} }}"));
    let clusters = CHOOSY.map(|(name, config)| {
        format!("{{ name: {name}, balancer: {{ plugin: {name}, config: {config} }}, endpoints: [ {endpoints} ] }}")
    });
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
plugins: [ {} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: rules, config: {{ routes: [ {} ] }} }} }} ]
clusters: [ {} ]",
            plugins.join(", "),
            routes.join(", "),
            clusters.join(", ")
        ),
    )
}

/// A component that imports an interface of that name, with nothing in it.
fn importing(interface: &str) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // One type: an instance without anything.
    bytes.extend([7, 3, 1, 0x42, 0]);
    let length = u8::try_from(interface.len()).expect("a short name");
    bytes.extend([10, length + 5, 1, 0, length]);
    bytes.extend(interface.bytes());
    bytes.extend([5, 0]);
    bytes
}

/// What it is, the name it is uploaded under, its bytes; status, code and a part of the message of the answer.
type Upload<'a> = (&'a str, &'a str, &'a [u8], u16, &'a str, &'a str);

#[test]
fn what_cannot_work_is_refused_with_its_reason_and_the_live_version_stays() {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = choosy(&fleet);
    let web = proxy.address("web");
    let good = guest("last");
    let wasi = std::fs::read(wasi_guest_path()).expect("the guest was built");
    let large = [b"\0asm\x0d\0\x01\0".as_slice(), &vec![0; 32 << 20]].concat();
    let larger = vec![0; (33 << 20) + 1];
    let uploads: &[Upload<'_>] = &[
        ("no bytes", "subject", b"", 422, "not_wasm", "not WebAssembly"),
        ("garbage", "subject", b"#!/bin/sh\necho hello\n", 422, "not_wasm", "not WebAssembly"),
        ("half a preamble", "subject", &good[..5], 422, "not_wasm", "not WebAssembly"),
        ("half a component", "subject", &good[..good.len() / 2], 422, "invalid_component", "not a valid component"),
        ("all but the last byte", "subject", &good[..good.len() - 1], 422, "invalid_component", "not a valid"),
        ("a core module", "subject", b"\0asm\x01\0\0\0", 422, "core_module", "plimsoll plugin build"),
        ("too large a component", "subject", &large, 422, "too_large", "the limit is 33554432"),
        ("too large a body", "subject", &larger, 413, "too_large", "larger than"),
        ("a component of another world", "subject", b"\0asm\x0d\0\x01\0", 422, "not_a_plugin", "exports no"),
        (
            "an older contract",
            "subject",
            &importing("plimsoll:plugin/log@0.1.0"),
            422,
            "other_contract",
            "version 0.1.0",
        ),
        ("a later contract", "subject", &importing("plimsoll:plugin/x@0.9.1"), 422, "other_contract", "speaks 0.2"),
        ("an unknown import", "subject", &importing("acme:tools/magic"), 422, "unknown_import", "acme:tools/magic"),
        ("an import that is not granted", "subject", &wasi, 422, "not_granted", "add `wasi`"),
        ("a trap at load", "subject", guest("trap-at-load"), 422, "start_failed", "unreachable"),
        ("a loop at load", "subject", guest("loop-at-load"), 422, "start_failed", "interrupt"),
        ("a name that is none", "subject", guest("misnamed"), 422, "bad_manifest", "Not a Name"),
        ("a configuration that it refuses", "refusing", guest("faulty"), 422, "refused", "do not work"),
        ("a trap at its configuration", "trapping", guest("faulty"), 422, "refused", "do not work"),
        ("a loop at its configuration", "looping", guest("faulty"), 422, "refused", "do not work"),
        ("a name that no configuration can have", "Subject", good, 400, "bad_name", "of the form"),
    ];
    for &(what, name, bytes, status, code, message) in uploads {
        let before = proxy.admin_json("GET", "/v1/plugins", None);
        let response = proxy.admin("PUT", &format!("/v1/plugins/{name}"), Some(bytes));
        let body: Value =
            serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{what}: {}", response.text()));
        assert_eq!((response.status, body["code"].as_str()), (status, Some(code)), "{what}: {body}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains(message)), "{what}: {body}");
        assert_eq!(proxy.admin_json("GET", "/v1/plugins", None), before, "{what}");
        for (name, _) in CHOOSY {
            let mut connection = Connection::open(web);
            let answers: Vec<String> = (0..4).map(|_| ask(&mut connection, &format!("/{name}"), &[]).text()).collect();
            assert_eq!(answers, ["a"; 4], "{name} after {what}");
        }
    }
}

#[test]
fn a_refused_version_says_which_of_its_uses_do_not_work() {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = choosy(&fleet);
    for (name, path, text) in [
        ("refusing", "/clusters/1/balancer/config/fault", "refused, as configured"),
        ("trapping", "/clusters/2/balancer/config", "failed on this configuration"),
        ("looping", "/clusters/3/balancer/config", "failed on this configuration"),
    ] {
        let response = proxy.admin("PUT", &format!("/v1/plugins/{name}"), Some(guest("faulty")));
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(body["errors"][0]["path"], path, "{body}");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|message| message.contains(text)), "{body}");
    }
}

#[test]
fn an_unsound_version_is_refused_with_what_it_broke_and_the_old_one_stays() {
    let fleet = Fleet::of(&["a", "b"]);
    for (name, property) in [("balancer/Turns/RepeatsTried", "B4"), ("balancer/Turns/DiesOfHeavyWeights", "G10")] {
        let unsound = specimen(name);
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "plugins: [ {{ name: subject, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: subject }}, endpoints: [ {} ] }} ]",
                guest_path("first"),
                fleet.list()
            ),
        );
        let before = plugin(&proxy, "subject");
        for query in ["", "?conformance=quick"] {
            let response = proxy.admin("PUT", &format!("/v1/plugins/subject{query}"), Some(&unsound));
            let body: Value = serde_json::from_slice(&response.body).expect("JSON");
            assert_eq!((response.status, body["code"].as_str()), (422, Some("unsound")), "{body}");
            assert_eq!(body["message"], format!("it is not sound, by {property}"), "{body}");
            let told = body["errors"][0]["message"].as_str().unwrap_or_default();
            assert!(told.starts_with(&format!("{property}: ")), "{body}");
            assert_eq!(plugin(&proxy, "subject"), before);
            assert_eq!(served_by(proxy.address("web"), 10), only("a"));
        }
        let loaded = proxy.admin_json("PUT", "/v1/plugins/subject?conformance=off", Some(&unsound));
        assert_ne!(loaded["digest"], before["digest"], "who wants it all the same has it");
        assert_eq!(served_by(proxy.address("web"), 10), BTreeSet::from(["a", "b"].map(str::to_owned)));
    }
}

#[test]
fn a_sound_version_passes_all_that_the_suite_has() {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {} ] }} ]",
            fleet.list()
        ),
    );
    let component = guest("last");
    let mut connection = Connection::open(proxy.admin_address());
    let head = format!(
        "PUT /v1/plugins/round-robin?conformance=full HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        component.len()
    );
    connection.send([head.as_bytes(), component].concat());
    // On a busy machine it takes longer than one read waits.
    let response = (0..10).find_map(|_| connection.response()).expect("an answer");
    let loaded: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(response.status, 200, "{loaded:#}");
    assert_eq!(loaded["state"], "healthy", "what it does on trial is not held against it");
    assert_eq!(served_by(proxy.address("web"), 10), only("b"));
}

#[test]
fn no_proxy_starts_with_a_plugin_that_fails_at_its_configuration() {
    let fleet = Fleet::of(&["a", "b"]);
    for fault in ["trap", "loop", "grow", "refuse"] {
        let mut proxy = Proxy::launch(
            PLIMSOLL,
            &format!(
                "admin: {{ bind: \"127.0.0.1:0\" }}
plugins: [ {{ name: faulty, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: faulty, config: {{ fault: {fault}, at: create }} }}, endpoints: [ {} ] }} ]",
                guest_path("faulty"),
                fleet.list()
            ),
        );
        assert!(!proxy.wait_for_end().success(), "{fault}");
        let log = proxy.log();
        let said =
            if fault == "refuse" { "refused, as configured" } else { "plugin `faulty` failed on this configuration" };
        assert!(log.contains("clusters[0].balancer.config") && log.contains(said), "{fault}: {log}");
    }
}

#[test]
fn a_version_that_has_lost_a_role_in_use_is_refused() {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: rules, config: {{ routes: [ {{ cluster: app }} ] }} }} }} ]
clusters: [ {{ name: app, endpoints: [ {} ] }} ]",
            fleet.list()
        ),
    );
    let response = proxy.admin("PUT", "/v1/plugins/rules", Some(guest("first")));
    assert!(response.status == 422 && response.text().contains("is no router"), "{}", response.text());
    assert_eq!(served_by(proxy.address("web"), 20), BTreeSet::from(["a", "b"].map(str::to_owned)));
}

/// A proxy with the balancer `wasi-clock`.
fn with_wasi(config: &str) -> (Proxy, Fleet) {
    let fleet = Fleet::of(&["a", "b"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: wasi-clock, path: {:?}, conformance: off, grants: [ wasi ] }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: wasi-clock, config: {config} }}, endpoints: [ {} ] }} ]",
            wasi_guest_path(),
            fleet.list()
        ),
    );
    (proxy, fleet)
}

#[test]
fn a_wasi_guest_with_the_grant_works_and_finds_nothing() {
    let (proxy, _fleet) = with_wasi("{}");
    assert_eq!(served_by(proxy.address("web"), 40), only("a"));
    let year: u32 = proxy.wait_for_log("the year is ", "the year is ").parse().expect("a year");
    assert!(year >= 2025, "{year}");
    proxy.wait_for_log("0 variables, 0 arguments", "");
    proxy.wait_for_log("files: false", "");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total{plugin=\"wasi-clock\""), 0.0);
}

#[test]
fn a_wasi_guest_that_waits_is_ended() {
    let (proxy, _fleet) = with_wasi("{ sleep: true }");
    let web = proxy.address("web");
    assert_eq!(served_by(web, 60), BTreeSet::from(["a", "b"].map(str::to_owned)));
    assert!(proxy.metric("plimsoll_plugin_traps_total{plugin=\"wasi-clock\"") >= 1.0);
    proxy.wait_for_log("the guest waits for something", "plugin=");
}

#[test]
fn a_configuration_with_a_plugin_that_lacks_a_grant_is_refused() {
    let (proxy, fleet) = with_wasi("{}");
    let without = format!(
        "plugins: [ {{ name: wasi-clock, path: {:?}, conformance: off, grants: [ log ] }} ]
clusters: [ {{ name: app, balancer: {{ plugin: wasi-clock }}, endpoints: [ {} ] }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]",
        wasi_guest_path(),
        fleet.list()
    );
    let refused = proxy.admin("PUT", "/v1/config", Some(without.as_bytes()));
    assert!(refused.status == 422 && refused.text().contains("not granted"), "{}", refused.text());
    assert_eq!(served_by(proxy.address("web"), 10), only("a"));
}

/// Which endpoint each key goes to. Each key is asked for on another connection, and so maybe on another worker.
fn endpoint_by_key(web: SocketAddr, keys: usize) -> BTreeMap<usize, String> {
    let mut connections: Vec<Connection> = (0..4).map(|_| Connection::open(web)).collect();
    let endpoint = |key: usize, connection: &mut Connection| {
        let value = format!("key-{key}");
        ask(connection, "/", &[("x-key", &value)]).text()
    };
    (0..keys)
        .map(|key| {
            let answers: BTreeSet<String> =
                connections.iter_mut().map(|connection| endpoint(key, connection)).collect();
            assert_eq!(answers.len(), 1, "key {key}");
            (key, answers.into_iter().next().expect("one answer"))
        })
        .collect()
}

#[test]
fn maglev_keeps_a_key_on_its_endpoint_and_moves_few_without_need() {
    const KEYS: usize = 300;
    let fleet = Fleet::of(&["a", "b", "c", "d", "e"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: maglev }}
    hash_on: [ {{ header: x-key }} ]
    endpoints: [ {} ]",
            fleet.list()
        ),
    );
    let web = proxy.address("web");
    let before = endpoint_by_key(web, KEYS);
    for name in ["a", "b", "c", "d", "e"] {
        let share = before.values().filter(|endpoint| *endpoint == name).count();
        assert!((KEYS / 10..=KEYS * 3 / 10).contains(&share), "{name} has {share} of {KEYS} keys");
    }
    proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/c", Some(b"{\"enabled\": false}"));
    let without = endpoint_by_key(web, KEYS);
    assert!(without.values().all(|endpoint| endpoint != "c"));
    let moved = before.iter().filter(|(key, endpoint)| *endpoint != "c" && without[key] != **endpoint).count();
    assert!(moved <= KEYS / 20, "{moved} keys moved without need");
    proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/c", Some(b"{\"enabled\": true}"));
    assert_eq!(endpoint_by_key(web, KEYS), before);
}

#[test]
fn rules_decide_by_host_path_header_and_weight() {
    let names = ["api", "shop", "beta", "old", "new", "web"];
    let fleet = Fleet::of(&names);
    let clusters: Vec<String> = fleet
        .0
        .iter()
        .map(|(name, endpoint)| format!("{{ name: {name}, endpoints: [ \"{}\" ] }}", endpoint.address()))
        .collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners:
  - name: web
    bind: 127.0.0.1:0
    router:
      plugin: rules
      config:
        routes:
          - {{ match: {{ path_prefix: /api }}, cluster: api }}
          - {{ match: {{ host: \"*.shop.test\" }}, cluster: shop }}
          - {{ match: {{ headers: {{ x-beta: {{ exact: \"1\" }} }} }}, cluster: beta }}
          - {{ match: {{ path_prefix: /split }}, clusters: [ {{ cluster: old, weight: 3 }}, {{ cluster: new, weight: 1 }} ] }}
          - {{ match: {{ path_exact: /moved }}, redirect: {{ status: 308, path: /here }} }}
          - {{ match: {{ path_exact: /teapot }}, respond: {{ status: 418, headers: {{ x-kind: green }}, body: short }} }}
          - {{ match: {{ host: known.test }}, cluster: web }}
clusters: [ {} ]",
            clusters.join(", ")
        ),
    );
    let mut connection = Connection::open(proxy.address("web"));
    let mut text = |path: &str, headers: &[(&str, &str)]| {
        let response = ask(&mut connection, path, headers);
        (response.status, response.text())
    };
    let known = ("host", "known.test");
    let to = |name: &str| (200, name.to_owned());
    assert_eq!(text("/", &[known]), to("web"));
    assert_eq!(text("/api", &[]), to("api"));
    assert_eq!(text("/api/x?y", &[]), to("api"));
    assert_eq!(text("/", &[("host", "www.Shop.test:8080")]), to("shop"));
    assert_eq!(text("/", &[("x-beta", "1")]), to("beta"));
    // A segment is matched whole, a value exactly, and a wildcard wants a label: nothing else takes these.
    for (path, header) in [("/apis", ("x-a", "b")), ("/", ("x-beta", "2")), ("/", ("host", "shop.test"))] {
        assert_eq!(text(path, &[header]).0, 404, "{path} {header:?}");
    }
    let split: Vec<String> = (0..400).map(|_| text("/split", &[]).1).collect();
    let old = split.iter().filter(|name| *name == "old").count();
    let new = split.iter().filter(|name| *name == "new").count();
    assert_eq!(old + new, 400);
    // Six standard deviations around 300 of 400.
    assert!((248..=352).contains(&old), "{old} of 400 with a weight of 3 in 4");
    assert_eq!(text("/teapot", &[]), (418, "short".to_owned()));
    let moved = ask(&mut connection, "/moved?q=1", &[]);
    assert_eq!(moved.status, 308);
    assert!(moved.header("location").is_some_and(|location| location.ends_with("/here?q=1")), "{moved:?}");
    let teapot = ask(&mut connection, "/teapot", &[]);
    assert_eq!(teapot.header("x-kind"), Some("green"));
}

#[test]
fn a_cookie_keeps_a_client_on_its_endpoint_and_a_forged_one_does_not() {
    let fleet = Fleet::of(&["a", "b", "c"]);
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
secret: the secret of this test
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    affinity: {{ plugin: cookie, config: {{ name: stick }} }}
    endpoints: [ {} ]",
            fleet.list()
        ),
    );
    let web = proxy.address("web");
    let given = |response: &plimsoll_tests::Response| -> Option<String> {
        Some(response.header("set-cookie")?.split(';').next()?.to_owned())
    };
    let first = request(web, "GET", "/", &[], None);
    let (home, cookie) = (first.text(), given(&first).expect("a new client gets a cookie"));
    assert!(cookie.starts_with("stick="), "{cookie}");
    for _ in 0..20 {
        let again = request(web, "GET", "/", &[("cookie", &cookie)], None);
        assert_eq!((again.text(), given(&again)), (home.clone(), None));
    }
    // The last character but one: the last has bits that mean nothing.
    let place = cookie.len() - 2;
    let other = if &cookie[place..=place] == "A" { "B" } else { "A" };
    let forged = format!("{}{other}{}", &cookie[..place], &cookie[place + 1..]);
    let mut connection = Connection::open(web);
    let answers: Vec<_> = (0..12).map(|_| ask(&mut connection, "/", &[("cookie", &forged)])).collect();
    assert!(answers.iter().all(|answer| given(answer).is_some_and(|fresh| fresh != forged)), "each is a new client");
    let endpoints: BTreeSet<String> = answers.iter().map(plimsoll_tests::Response::text).collect();
    assert_eq!(endpoints.len(), 3, "the balancer decides: {endpoints:?}");

    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{home}"), Some(b"{\"drain\": true}"));
    assert_eq!(
        request(web, "GET", "/", &[("cookie", &cookie)], None).text(),
        home,
        "a draining endpoint keeps its own"
    );
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{home}"), Some(b"{\"enabled\": false}"));
    let moved = request(web, "GET", "/", &[("cookie", &cookie)], None);
    let cookie = given(&moved).expect("a client that moves gets another cookie");
    assert_ne!(moved.text(), home);
    wait_for("the client to stay at its new endpoint", || {
        let again = request(web, "GET", "/", &[("cookie", &cookie)], None);
        (again.text() == moved.text() && given(&again).is_none()).then_some(())
    });
}
