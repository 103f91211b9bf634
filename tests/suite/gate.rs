//! No version of a plugin goes live that is not sound, whichever way it came, and looking at one holds nobody up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use plimsoll_tests::{Connection, Endpoint, Proxy, guest, specimen};
use serde_json::Value;

use crate::PLIMSOLL;

/// The file of a component that chooses again what has failed the request.
fn unsound_file(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("plimsoll-{name}-{}.wasm", std::process::id()));
    std::fs::write(&file, specimen("balancer/Turns/RepeatsTried")).expect("a file");
    file
}

fn with_file(file: &std::path::Path, settings: &str, endpoint: &Endpoint) -> String {
    format!(
        "workers: 1
plugins: [ {{ name: subject, path: {file:?}{settings} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: subject }}, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

fn plain(endpoint: &Endpoint) -> String {
    format!(
        "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

fn json(response: &plimsoll_tests::Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("JSON: {}", response.text()))
}

#[test]
fn a_file_that_is_not_sound_starts_nothing_unless_the_operator_wants_it() {
    let endpoint = Endpoint::named("a");
    let file = unsound_file("start");
    let admin = "admin: { bind: 127.0.0.1:0 }\n";
    let mut proxy = Proxy::launch(PLIMSOLL, &format!("{admin}{}", with_file(&file, "", &endpoint)));
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    assert!(proxy.log().contains("plugin `subject` is not sound: B4: "), "{}", proxy.log());
    let proxy = Proxy::start(PLIMSOLL, &with_file(&file, ", conformance: off", &endpoint));
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(connection.response().map(|response| response.text()), Some("a".to_owned()));
    std::fs::remove_file(file).expect("cleaned up");
}

#[test]
fn a_configuration_that_brings_an_unsound_file_is_refused_and_a_dry_run_says_so_too() {
    let endpoint = Endpoint::named("a");
    let file = unsound_file("reload");
    let proxy = Proxy::start(PLIMSOLL, &plain(&endpoint));
    for query in ["", "?dry_run=true"] {
        let refused =
            proxy.admin("PUT", &format!("/v1/config{query}"), Some(with_file(&file, "", &endpoint).as_bytes()));
        assert!(refused.status == 422 && refused.text().contains("is not sound: B4"), "{}", refused.text());
    }
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1);
    std::fs::remove_file(file).expect("cleaned up");
}

#[test]
fn what_could_not_be_looked_at_without_a_configuration_is_when_one_uses_it() {
    let endpoint = Endpoint::named("a");
    let proxy = Proxy::start(PLIMSOLL, &plain(&endpoint));
    let loaded = proxy.admin_json("PUT", "/v1/plugins/needy", Some(guest("needy")));
    let skipped = loaded["judgement"]["skipped"].as_array().cloned().unwrap_or_default();
    let told = skipped.iter().any(|skipped| {
        let why = skipped["why"].as_str().unwrap_or_default();
        why.contains("give it a configuration") && skipped["properties"].to_string().contains("\"B1\"")
    });
    assert!(told, "what was skipped, and why, is in the answer: {loaded:#}");
    let untested = loaded["judgement"]["untested"][0].as_str().unwrap_or_default();
    assert!(untested.starts_with("balancer: ") && untested.contains("give it a configuration"), "{loaded:#}");
    proxy.wait_for_log("what goes live is not tested as balancer", "plugin=");
    let using = plain(&endpoint).replace("name: app,", "name: app, balancer: { plugin: needy, config: { on: true } },");
    let refused = proxy.admin("PUT", "/v1/config", Some(using.as_bytes()));
    assert!(refused.status == 422 && refused.text().contains("plugin `needy` is not sound: B1"), "{}", refused.text());
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1);
    // Whoever wants it all the same says so.
    proxy.admin_json("PUT", "/v1/plugins/needy?conformance=off", Some(guest("needy")));
    proxy.admin_json("PUT", "/v1/config", Some(using.as_bytes()));
}

#[test]
fn who_takes_too_long_is_refused_and_holds_up_no_other_change() {
    let endpoint = Endpoint::named("a");
    let proxy = Proxy::start(PLIMSOLL, &plain(&endpoint));
    proxy.admin_json("PUT", "/v1/config", Some(plain(&endpoint).as_bytes()));
    std::thread::scope(|scope| {
        let upload = scope.spawn(|| {
            let mut connection = Connection::open(proxy.admin_address());
            let component = guest("slow");
            let head = format!(
                "PUT /v1/plugins/slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
                component.len()
            );
            connection.send([head.as_bytes(), component].concat());
            // It takes longer than this harness waits for an answer in one piece.
            (0..3).find_map(|_| connection.response())
        });
        let begun = Instant::now();
        let mut changes = 0;
        while !upload.is_finished() {
            let change = Instant::now();
            proxy.admin_json("POST", "/v1/config/rollback", None);
            proxy.admin_json("PUT", "/v1/plugins/random?conformance=off", Some(guest("first")));
            proxy.admin_json("POST", "/v1/plugins/random/rollback", None);
            assert!(change.elapsed() < Duration::from_secs(10), "{:?}", change.elapsed());
            changes += 1;
        }
        let took = begun.elapsed();
        let refused = upload.join().expect("no panic").expect("an answer");
        assert_eq!((refused.status, json(&refused)["code"].as_str()), (422, Some("out_of_time")), "{}", refused.text());
        assert!(changes > 3 && took > Duration::from_secs(10), "{changes} changes in {took:?}");
    });
}

#[test]
fn the_same_bytes_are_the_same_version_and_asking_twice_is_asking_once() {
    let endpoint = Endpoint::named("a");
    let proxy = Proxy::start(PLIMSOLL, &plain(&endpoint));
    let earlier = |report: &Value| report["earlier"].as_array().map_or(0, Vec::len);
    let put = |name: &str| proxy.admin_json("PUT", "/v1/plugins/random?conformance=off", Some(guest(name)));
    let first = put("first");
    assert_eq!(earlier(&first), 1, "the built-in one: {first}");
    assert_eq!(put("first"), first);
    let last = put("last");
    assert_eq!(earlier(&last), 2);
    assert_eq!(earlier(&put("first")), 2, "what was live before is there once");
    let back = |to: &str| proxy.admin("POST", &format!("/v1/plugins/random/rollback?to={to}"), None);
    let digest = last["digest"].as_str().expect("a digest");
    for _ in 0..2 {
        let went = back(digest);
        assert_eq!((went.status, json(&went)["digest"].as_str()), (200, Some(digest)));
    }
    for _ in 0..2 {
        let went = back("builtin");
        assert_eq!((went.status, json(&went)["source"].as_str()), (200, Some("built-in")));
    }
    assert_eq!((back("nothing").status, json(&back("nothing"))["code"].as_str()), (404, Some("no_such_version")));
}
