use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use plimsoll_tests::{Endpoint, Proxy, get, request, wait_for};
use serde_json::json;

use super::{becomes, probing_by};
use crate::PLIMSOLL;

/// An agent, and what it says.
fn agent(line: &'static str) -> (Endpoint, Arc<Mutex<&'static str>>) {
    let says = Arc::new(Mutex::new(line));
    let said = says.clone();
    let agent = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let line = *said.lock().expect("nobody panics with it");
        let _ = writeln!(stream, "{line}");
    }));
    (agent, says)
}

#[test]
fn an_agent_says_how_its_endpoint_is_treated_until_it_says_otherwise() {
    let app = Endpoint::named("app");
    let (agent, says) = agent("drain # a new version comes");
    let port = agent.address().port();
    let proxy = probing_by(app.address(), &format!("plugin: agent, port: {port}"));
    let say = |line| *says.lock().expect("nobody panics with it") = line;
    let report = becomes(&proxy, "draining");
    assert_eq!(
        (&report["health"], &report["wishes"], &report["drain"]),
        (&json!("healthy"), &json!({ "mode": "draining" }), &json!(false))
    );
    let id = report["id"].as_str().expect("an id");
    assert_eq!(proxy.metric(&format!("plimsoll_endpoint_draining{{cluster=\"app\",endpoint=\"{id}\"}}")), 1.0);
    assert_eq!(get(proxy.address("web"), "/").status, 503);
    // What says nothing of it changes nothing.
    say("up 50% maxconn:7 # half of us are ill");
    wait_for("what it says", || {
        let report = becomes(&proxy, "draining");
        (report["wishes"] == json!({ "mode": "draining", "weight": 500, "max_connections": 7 })).then_some(())
    });
    let report = becomes(&proxy, "draining");
    assert_eq!((&report["weight"], &report["ramp"], &report["max_connections"]), (&json!(1), &json!(500), &json!(7)));
    assert_eq!(report["probes"][0]["detail"], "the agent says that it is up: half of us are ill");
    say("maint");
    assert_eq!(becomes(&proxy, "unavailable")["health"], "healthy");
    say("ready");
    becomes(&proxy, "ready");
    assert_eq!(get(proxy.address("web"), "/").text(), "app");
    // What the operator says goes further, and is not undone by an endpoint.
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{id}"), Some(br#"{ "drain": true }"#));
    assert_eq!(becomes(&proxy, "draining")["wishes"]["mode"], "ready");
}

#[test]
fn who_is_asked_no_more_has_nothing_to_say() {
    let app = Endpoint::named("app");
    let (agent, _) = agent("maint");
    let config = |probe: &str| {
        format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, {probe} endpoints: [ \"{}\" ] }} ]",
            app.address()
        )
    };
    let probe = format!("health: {{ probe: {{ plugin: agent, port: {}, interval: 50ms }} }},", agent.address().port());
    let proxy = Proxy::start(PLIMSOLL, &config(&probe));
    becomes(&proxy, "unavailable");
    let answer = proxy.admin("PUT", "/v1/config", Some(config("").as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    becomes(&proxy, "ready");
}

#[test]
fn what_an_endpoint_wants_outlives_reloads_that_ask_it_the_same() {
    let app = Endpoint::named("app");
    let (agent, says) = agent("drain");
    let config = |before: &str, interval: &str| {
        format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
{before}- name: app
  health: {{ probe: {{ plugin: agent, port: {}, interval: {interval} }} }}
  endpoints: [ \"{}\" ]",
            agent.address().port(),
            app.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("", "50ms"));
    becomes(&proxy, "draining");
    *says.lock().expect("nobody panics with it") = "up";
    wait_for("a word that says nothing of it", || {
        let report = becomes(&proxy, "draining");
        (report["probes"][0]["detail"] == "the agent says that it is up").then_some(())
    });
    // It stands elsewhere in the file then, and is asked at another pace.
    let other = format!("- {{ name: other, endpoints: [ \"{}\" ] }}\n", app.address());
    let answer = proxy.admin("PUT", "/v1/config", Some(config(&other, "40ms").as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let report = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0].clone();
    assert_eq!((&report["availability"], &report["wishes"]), (&json!("draining"), &json!({ "mode": "draining" })));
}

#[test]
fn a_status_says_that_an_endpoint_drains_and_those_bound_to_it_stay() {
    let is_leaving = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = is_leaving.clone();
    let leaving = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        while let Some(head) = plimsoll_tests::read_request(&mut stream) {
            let is_probe = head.starts_with("GET /health ");
            let status =
                if is_probe && told.load(std::sync::atomic::Ordering::Relaxed) { "404 Not Found" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 7\r\n\r\nleaving");
        }
    }));
    let other = Endpoint::named("other");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    affinity: {{ plugin: cookie }}
    health: {{ probe: {{ plugin: http, interval: 50ms, config: {{ path: /health, drain_statuses: [ 404 ] }} }} }}
    endpoints: [ \"{}\", \"{}\" ]",
            leaving.address(),
            other.address()
        ),
    );
    let web = proxy.address("web");
    let cookie = wait_for("a client that is bound to it", || {
        let answer = get(web, "/");
        let cookie = answer.header("set-cookie")?.split(';').next()?.to_owned();
        (answer.text() == "leaving").then_some(cookie)
    });
    is_leaving.store(true, std::sync::atomic::Ordering::Relaxed);
    becomes(&proxy, "draining");
    for _ in 0..10 {
        assert_eq!(get(web, "/").text(), "other");
        assert_eq!(request(web, "GET", "/", &[("cookie", &cookie)], None).text(), "leaving");
    }
    is_leaving.store(false, std::sync::atomic::Ordering::Relaxed);
    becomes(&proxy, "ready");
    wait_for("new clients", || (get(web, "/").text() == "leaving").then_some(()));
}
