//! Plugins find endpoints, by requests that the proxy makes for them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use plimsoll_tests::{Endpoint, Proxy, Refusing, example_plugin, get, read_request, wait_for};
use serde_json::{Value, json};

use crate::PLIMSOLL;

/// The file of examples/plugins/http-discovery.
static COMPONENT: LazyLock<PathBuf> = LazyLock::new(|| {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("http-discovery.wasm");
    std::fs::write(&file, example_plugin("http-discovery")).expect("a file");
    file
});

/// A service that knows endpoints: it says what was said last that it is to say.
struct Registry {
    endpoint: Endpoint,
    says: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    fn listing(endpoints: &[&Endpoint]) -> Self {
        let says = Arc::new(Mutex::new((200, list(endpoints))));
        let (saying, asked) = (says.clone(), Arc::<Mutex<Vec<String>>>::default());
        let heard = asked.clone();
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream| {
            while let Some(request) = read_request(&mut stream) {
                heard.lock().expect("nobody panics").push(request);
                let (status, body) = saying.lock().expect("nobody panics").clone();
                let head = format!("HTTP/1.1 {status} So\r\ncontent-length: {}\r\n\r\n", body.len());
                if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                    return;
                }
            }
        }));
        Self { endpoint, says, asked }
    }

    fn say(&self, status: u16, body: impl Into<String>) {
        *self.says.lock().expect("nobody panics") = (status, body.into());
    }
}

fn list(endpoints: &[&Endpoint]) -> String {
    let each = |endpoint: &&Endpoint| json!({ "address": endpoint.address().to_string() });
    json!({ "endpoints": endpoints.iter().map(each).collect::<Vec<_>>() }).to_string()
}

/// A cluster `app` whose endpoints are found at a cluster `registry` of these.
fn found_at(registry: &[&dyn Display], more: &str) -> Proxy {
    let registry: Vec<String> = registry.iter().map(|address| format!("\"{address}\"")).collect();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: http-discovery, path: {:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - {{ name: registry, endpoints: [ {} ] }}
  - name: app
    balancer: {{ plugin: round-robin }}
    discover: [ {{ plugin: http-discovery, config: {{ cluster: registry, path: /v1/app, interval: 100ms{more} }} }} ]",
            *COMPONENT,
            registry.join(", ")
        ),
    )
}

fn source(proxy: &Proxy) -> Value {
    proxy.admin_json("GET", "/v1/clusters/app", None)["sources"][0].clone()
}

fn wait_for_error(proxy: &Proxy, text: &str) {
    wait_for(text, || source(proxy)["error"].as_str().is_some_and(|error| error.contains(text)).then_some(()));
}

fn served_by(proxy: &Proxy) -> BTreeSet<String> {
    (0..6).map(|_| get(proxy.address("web"), "/").text()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_a_service_lists_serves_from_the_start_and_every_change_goes_live() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let registry = Registry::listing(&[&one]);
    let proxy = found_at(&[&registry.endpoint.address()], ", token: sesame");
    assert_eq!(served_by(&proxy), names(&["one"]));
    assert_eq!(source(&proxy), json!({ "source": "plugin http-discovery", "endpoints": 1, "error": null }));
    let asked = registry.asked.lock().expect("nobody panics").remove(0);
    assert!(
        asked.starts_with("GET /v1/app HTTP/1.1\r\n") && asked.contains("authorization: Bearer sesame\r\n"),
        "{asked}"
    );

    registry.say(200, list(&[&one, &two]));
    wait_for("the second to serve", || (served_by(&proxy) == names(&["one", "two"])).then_some(()));
    registry.say(200, list(&[&two]));
    wait_for("the first to be gone", || (served_by(&proxy) == names(&["two"])).then_some(()));
    assert!(proxy.metric("plimsoll_plugin_outward_calls_total{plugin=\"http-discovery\",result=\"answered\"}") > 2.0);
    assert!(proxy.metric("plimsoll_plugin_histogram_count{plugin=\"http-discovery\"") > 2.0);
    // Those that plugins have found are not the admin API's.
    let id = two.address();
    assert_eq!(proxy.admin("DELETE", &format!("/v1/clusters/app/endpoints/{id}"), None).status, 409);
    registry.say(200, r#"{"endpoints":[]}"#);
    wait_for("an empty list to count", || (get(proxy.address("web"), "/").status == 503).then_some(()));
}

#[test]
fn whatever_goes_wrong_leaves_the_endpoints_that_were_found() {
    let one = Endpoint::named("one");
    let registry = Registry::listing(&[&one]);
    let proxy = found_at(&[&registry.endpoint.address()], "");
    let found = list(&[&one]);
    let page = |entry: &str| format!("{{\"endpoints\":[{entry}]}}");
    for (status, body, error) in [
        (500, "[]".to_owned(), "the answer has the status 500"),
        (200, "no JSON".to_owned(), "no list of endpoints"),
        (200, page(r#"{"address":"10.0.0.1"}"#), "cannot be used: endpoints/0/address"),
        (200, page(r#"{"address":"10.0.0.1:1","weight":70000}"#), "cannot be used: endpoints/0/weight"),
        (200, " ".repeat(1 << 20), "the answer is too large"),
    ] {
        registry.say(status, body);
        wait_for_error(&proxy, error);
        assert_eq!((served_by(&proxy), &source(&proxy)["endpoints"]), (names(&["one"]), &json!(1)), "{error}");
        registry.say(200, found.clone());
        wait_for("the error to be over", || source(&proxy)["error"].is_null().then_some(()));
    }
    registry.endpoint.close();
    wait_for_error(&proxy, "no endpoint could take the call");
    assert_eq!(served_by(&proxy), names(&["one"]));
    // Another version begins anew, and what was found stays.
    proxy.admin_json("PUT", "/v1/plugins/http-discovery", Some(&std::fs::read(&*COMPONENT).expect("the component")));
    assert_eq!(served_by(&proxy), names(&["one"]));
}

#[test]
fn a_call_goes_to_another_endpoint_where_no_connection_comes_about() {
    let one = Endpoint::named("one");
    let registry = Registry::listing(&[&one]);
    let (dead, silent) = (Refusing::reserve(), Refusing::reserve());
    let proxy = found_at(&[&dead, &silent, &registry.endpoint.address()], "");
    assert_eq!(served_by(&proxy), names(&["one"]));
    let calls = |result: &str| {
        proxy.metric(&format!("plimsoll_plugin_outward_calls_total{{plugin=\"http-discovery\",result=\"{result}\"}}"))
    };
    wait_for("some calls", || (calls("answered") >= 3.0).then_some(()));
    assert_eq!(calls("unavailable"), 0.0);
}

#[test]
fn a_cluster_to_call_has_to_be_there_also_later() {
    let one = Endpoint::named("one");
    let registry = Registry::listing(&[&one]);
    let proxy = found_at(&[&registry.endpoint.address()], "");
    let config = proxy.admin("GET", "/v1/config", None).text();
    let renamed = config.replace("{ name: registry,", "{ name: other,");
    let refused = proxy.admin("PUT", "/v1/config", Some(renamed.as_bytes()));
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("cluster `registry` does not exist; there are: app, other"), "{}", refused.text());
    // One that only gets a neighbour goes on as it was.
    let more = config.replace("  - name: app\n", "  - { name: more, endpoints: [ \"127.0.0.1:1\" ] }\n  - name: app\n");
    proxy.admin_json("PUT", "/v1/config", Some(more.as_bytes()));
    assert_eq!(served_by(&proxy), names(&["one"]));
}
