//! Endpoints that come and go by the admin API.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_tests::{Connection, Endpoint, Gate, Proxy, Signal, get, read_request, wait_for};
use serde_json::{Value, json};

use super::json;
use crate::{PLIMSOLL, in_front_of};

const ENDPOINTS: &str = "/v1/clusters/app/endpoints";

/// A directory of its own, whose file the amendments are kept in.
struct Directory(PathBuf);

impl Directory {
    fn named(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-amendments-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.join("endpoints.json")
    }

    fn config(&self, endpoints: &[&Endpoint]) -> String {
        let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
        format!(
            "workers: 1
endpoints_file: {:?}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {} ] }} ]",
            self.file(),
            addresses.join(", ")
        )
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Whoever is gone needs no cleaning up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn add(proxy: &Proxy, query: &str, endpoint: Value) -> Value {
    let response = proxy.admin("POST", &format!("{ENDPOINTS}{query}"), Some(endpoint.to_string().as_bytes()));
    assert_eq!(response.status, 201, "{}", response.text());
    json(&response)
}

fn remove(proxy: &Proxy, id: impl std::fmt::Display, query: &str) -> Value {
    proxy.admin_json("DELETE", &format!("{ENDPOINTS}/{id}{query}"), None)
}

fn report(proxy: &Proxy) -> Value {
    proxy.admin_json("GET", "/v1/clusters/app", None)
}

/// Ids of the endpoints and where each comes from.
fn known(proxy: &Proxy) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let report = report(proxy);
    let endpoints = report["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().map(|endpoint| (text(&endpoint["id"]), text(&endpoint["source"]))).collect()
}

/// Who answers eight requests, in order and without repetition.
fn served_by(proxy: &Proxy) -> Vec<String> {
    let web = proxy.address("web");
    let mut names: Vec<String> = (0..8).map(|_| get(web, "/").text()).collect();
    names.sort();
    names.dedup();
    names
}

/// Waits until these answer, and no others. The workers hear of a change a moment after the API has answered.
fn is_served_by(proxy: &Proxy, names: &[&str]) {
    wait_for(&format!("{names:?} to serve"), || (served_by(proxy) == names).then_some(()));
    assert_eq!(served_by(proxy), names);
}

#[test]
fn an_added_endpoint_serves_and_a_removed_one_gets_nothing_new() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "balancer: { plugin: round-robin }, max_connections: 9");
    let added = add(&proxy, "", json!({ "address": two.address(), "id": "second", "weight": 2, "zone": "b" }));
    assert_eq!((&added["id"], &added["persisted"]), (&json!("second"), &json!(false)));
    is_served_by(&proxy, &["one", "two"]);
    let expected = [(one.address().to_string(), "configuration".to_owned()), ("second".to_owned(), "api".to_owned())];
    assert_eq!(known(&proxy), expected);
    let report = report(&proxy);
    assert_eq!(proxy.admin_json("GET", ENDPOINTS, None)[1]["id"], "second");
    let second = &report["endpoints"][1];
    assert_eq!((&second["weight"], &second["max_connections"]), (&json!(2), &json!(9)), "{second}");
    assert_eq!(report["sources"], json!([{ "source": "api", "endpoints": 1, "error": null }]));
    remove(&proxy, "second", "");
    is_served_by(&proxy, &["one"]);
    let before = two.requests().len();
    is_served_by(&proxy, &["one"]);
    assert_eq!(two.requests().len(), before);
    assert_eq!(proxy.admin_json("GET", "/v1/config/versions", None).as_array().map(Vec::len), Some(1), "no reload");
}

#[test]
fn an_address_alone_will_do_and_a_name_is_looked_up() {
    let two = Endpoint::named("two");
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "balancer: { plugin: round-robin }");
    let name = format!("app.localhost:{}", two.address().port());
    add(&proxy, "", json!(name));
    // Nobody listens on the other address of localhost.
    wait_for("the name to serve", || served_by(&proxy).contains(&"two".to_owned()).then_some(()));
    remove(&proxy, &name, "");
    is_served_by(&proxy, &["one"]);
    assert_eq!(known(&proxy).len(), 1);
}

#[test]
fn requests_under_way_at_a_removed_endpoint_finish() {
    let (gate, other) = (Gate::default(), Endpoint::named("other"));
    let waiting = gate.clone();
    let slow = Endpoint::scripted(std::sync::Arc::new(move |mut stream| {
        while read_request(&mut stream).is_some() {
            waiting.pass();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow";
            if std::io::Write::write_all(&mut stream, answer).is_err() {
                return;
            }
        }
    }));
    let proxy = in_front_of(&[&slow], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    gate.wait_for_arrivals(1);
    add(&proxy, "", json!(other.address()));
    remove(&proxy, slow.address(), "");
    is_served_by(&proxy, &["other"]);
    assert_eq!(report(&proxy)["removed"], json!([slow.address()]));
    gate.open();
    let response = client.response().expect("an answer");
    assert_eq!((response.status, response.text().as_str()), (200, "slow"));
    assert_eq!(proxy.metric("plimsoll_requests_total{cluster=\"app\",class=\"5xx\"}"), 0.0);
}

#[test]
fn no_request_fails_while_endpoints_come_and_go() {
    let [one, two, three] = ["one", "two", "three"].map(Endpoint::named);
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin }");
    let web = proxy.address("web");
    let enough = AtomicBool::new(false);
    let client = || {
        let mut connection = Connection::open(web);
        while !enough.load(Ordering::Relaxed) {
            connection.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
            let response = connection.response().expect("an answer on the same connection");
            assert_eq!(response.status, 200, "{}", response.text());
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        for _ in 0..20 {
            add(&proxy, "", json!(three.address()));
            let before = three.requests().len();
            wait_for("traffic at the third", || (three.requests().len() > before).then_some(()));
            remove(&proxy, three.address(), "");
            remove(&proxy, one.address(), "");
            add(&proxy, "", json!(one.address()));
        }
        enough.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("no request failed"));
    });
}

#[test]
fn an_added_endpoint_serves_once_probes_speak_for_it() {
    let [one, two] = ["one", "two"].map(Endpoint::named);
    let ill = Endpoint::answering("HTTP/1.1 500 Ill\r\ncontent-length: 3\r\n\r\nill");
    let health = "health: { evaluator: { plugin: thresholds, config: { initial: 1 } }, probe: { plugin: http, interval: 50ms } }";
    let proxy = in_front_of(&[&one], "", &format!("balancer: {{ plugin: round-robin }}, {health}"));
    wait_for("the first", || (get(proxy.address("web"), "/").text() == "one").then_some(()));
    add(&proxy, "", json!({ "id": "ill", "address": ill.address() }));
    add(&proxy, "", json!({ "id": "two", "address": two.address() }));
    is_served_by(&proxy, &["one", "two"]);
    let report = report(&proxy);
    assert_eq!(
        (&report["endpoints"][1]["id"], &report["endpoints"][1]["availability"]),
        (&json!("ill"), &json!("unavailable"))
    );
}

#[test]
fn what_is_persisted_is_so_after_a_restart_and_the_rest_is_not() {
    let directory = Directory::named("restart");
    let [one, two, three, four] = ["one", "two", "three", "four"].map(Endpoint::named);
    let config = directory.config(&[&one, &two]);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert!(!directory.file().exists(), "nothing is written before there is something to keep");
    assert_eq!(add(&proxy, "?persist=true", json!({ "address": three.address(), "weight": 3 }))["persisted"], true);
    add(&proxy, "", json!(four.address()));
    remove(&proxy, one.address(), "?persist=true");
    remove(&proxy, two.address(), "");
    is_served_by(&proxy, &["four", "three"]);
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    is_served_by(&proxy, &["three", "two"]);
    assert_eq!(report(&proxy)["endpoints"][1]["weight"], 3);
    assert_eq!(report(&proxy)["removed"], json!([one.address()]));
    // The one that was removed comes back when it is added as it was.
    add(&proxy, "?persist=true", json!(one.address()));
    remove(&proxy, three.address(), "?persist=true");
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    is_served_by(&proxy, &["one", "two"]);
    assert!(known(&proxy).iter().all(|(_, source)| source == "configuration"));
}

#[test]
fn what_was_changed_outlives_a_reload_until_the_configuration_takes_it_over() {
    let directory = Directory::named("reload");
    let [one, two, three] = ["one", "two", "three"].map(Endpoint::named);
    let proxy = Proxy::start(PLIMSOLL, &directory.config(&[&one, &two]));
    let reload = |config: &str| {
        let version = || proxy.admin_json("GET", "/v1/status", None)["config_version"].as_u64();
        let before = version();
        proxy.write_config(&format!("admin: {{ bind: \"127.0.0.1:0\" }}\n{config}"));
        proxy.signal(Signal::Hup);
        wait_for("the new configuration", || (version() > before).then_some(()));
    };
    add(&proxy, "?persist=true", json!(three.address()));
    remove(&proxy, one.address(), "?persist=true");
    reload(&directory.config(&[&one, &two]).replace("workers: 1", "workers: 1\nshutdown: { grace: 1s }"));
    is_served_by(&proxy, &["three", "two"]);
    // From now on the file says who is there.
    reload(&directory.config(&[&two, &three]));
    assert!(known(&proxy).iter().all(|(_, source)| source == "configuration"), "{:?}", known(&proxy));
    wait_for("nothing to be kept any more", || {
        let kept: Value = serde_json::from_slice(&std::fs::read(directory.file()).ok()?).ok()?;
        (kept["clusters"] == json!({})).then_some(())
    });
    reload(&directory.config(&[&one]));
    is_served_by(&proxy, &["one"]);
}

#[test]
fn many_changes_at_once_are_all_made_and_kept() {
    let directory = Directory::named("many");
    let one = Endpoint::named("one");
    let config = directory.config(&[&one]);
    let proxy = Proxy::start(PLIMSOLL, &config);
    std::thread::scope(|scope| {
        for number in 1..=24 {
            let proxy = &proxy;
            scope.spawn(move || {
                add(proxy, "?persist=true", json!({ "address": format!("127.0.0.1:{number}"), "weight": 0 }))
            });
        }
    });
    assert_eq!(known(&proxy).len(), 25);
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!((known(&proxy).len(), served_by(&proxy)), (25, vec!["one".to_owned()]));
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let directory = Directory::named("refused");
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let file = directory.0.join("found.yaml");
    std::fs::write(&file, format!("endpoints: [ {{ id: found, address: \"{}\" }} ]", two.address())).expect("written");
    let config =
        directory.config(&[&one]).replace("balancer:", &format!("discover: [ {{ file: {file:?} }} ], balancer:"));
    let proxy = Proxy::start(PLIMSOLL, &config.replace(&format!("{:?}", directory.file()), "off"));
    wait_for("the file", || (known(&proxy).len() == 2).then_some(()));
    let before = report(&proxy);
    let (id, nowhere) = (one.address().to_string(), "/v1/clusters/none/endpoints");
    let one_of = |id: &str| format!("{ENDPOINTS}/{id}");
    for (method, path, body, status, told) in [
        ("POST", nowhere, "\"127.0.0.1:1\"", 404, "clusters are made by the configuration"),
        ("POST", ENDPOINTS, id.as_str(), 409, "has an endpoint `127.0.0.1:"),
        ("POST", ENDPOINTS, "{ id: found, address: \"127.0.0.1:1\" }", 409, "from file "),
        ("POST", ENDPOINTS, "{ address: nowhere, weight: 65536 }", 422, "address: expected IP:PORT or HOST:PORT"),
        ("POST", ENDPOINTS, "{ adress: \"127.0.0.1:1\" }", 422, "did you mean `address`?"),
        ("POST", ENDPOINTS, "7", 422, "expected "),
        ("POST", ENDPOINTS, "", 422, "`address` is missing"),
        ("POST", ENDPOINTS, "{", 422, "not valid YAML"),
        ("POST", &format!("{ENDPOINTS}?persist=true"), "\"127.0.0.1:1\"", 409, "`endpoints_file`"),
        ("POST", &format!("{ENDPOINTS}?presist=true"), "\"127.0.0.1:1\"", 400, "unknown query parameter"),
        ("DELETE", &format!("{nowhere}/x"), "", 404, "no cluster of the name `none`"),
        ("DELETE", &one_of("x"), "", 404, "has no endpoint `x`"),
        ("DELETE", &one_of("found"), "", 409, "which would bring it back"),
        ("DELETE", &format!("{}?persist=true", one_of(&id)), "", 409, "`endpoints_file`"),
    ] {
        let response = proxy.admin(method, path, Some(body.as_bytes()));
        let message = json(&response)["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(response.status, status, "{method} {path} {body}: {message}");
        assert!(message.contains(told), "{method} {path} {body}: {message}");
    }
    let response = proxy.admin("POST", ENDPOINTS, Some(b"{ address: \"127.0.0.1:1\", weight: 65536, zone: 1 }"));
    let paths: Vec<Value> =
        json(&response)["errors"].as_array().into_iter().flatten().map(|error| error["path"].clone()).collect();
    assert_eq!(paths, ["/weight", "/zone"], "{}", response.text());
    let counters = |report: &Value| report["generation"].clone();
    assert_eq!(counters(&report(&proxy)), counters(&before));
}

#[test]
fn a_damaged_file_is_put_aside_and_the_proxy_starts() {
    let directory = Directory::named("damaged");
    std::fs::write(directory.file(), "{ \"format\": 1,").expect("half a file");
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(PLIMSOLL, &directory.config(&[&one]));
    proxy.wait_for_log("endpoints.json is damaged", "kept as");
    assert_eq!(std::fs::read(directory.0.join("endpoints.json.damaged")).expect("it is aside"), b"{ \"format\": 1,");
    add(&proxy, "?persist=true", json!(two.address()));
    is_served_by(&proxy, &["one", "two"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_not_written_over() {
    let directory = Directory::named("unreadable");
    // Even root cannot read this.
    std::fs::create_dir(directory.file()).expect("a directory in the place of the file");
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(PLIMSOLL, &directory.config(&[&one]));
    proxy.wait_for_log("endpoints that were kept there are missing", "reading");
    let refused =
        proxy.admin("POST", &format!("{ENDPOINTS}?persist=true"), Some(json!(two.address()).to_string().as_bytes()));
    assert_eq!((refused.status, json(&refused)["code"].as_str()), (409, Some("not_kept")));
    assert!(directory.file().is_dir());
    add(&proxy, "", json!(two.address()));
    is_served_by(&proxy, &["one", "two"]);
}

#[test]
fn the_directory_of_the_file_is_made_with_the_first_that_is_kept() {
    let directory = Directory::named("made");
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let file = directory.0.join("state/of/endpoints.json");
    let config = directory.config(&[&one]).replace(&format!("{:?}", directory.file()), &format!("{file:?}"));
    let proxy = Proxy::start(PLIMSOLL, &config);
    add(&proxy, "?persist=true", json!(two.address()));
    drop(proxy);
    assert_eq!(served_by(&Proxy::start(PLIMSOLL, &config)), ["one", "two"]);
}
