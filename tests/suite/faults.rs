//! What a plugin does wrong costs no request. The guest `faulty` fails where and how it is configured to, and otherwise
//! takes the first endpoint, so that its decisions can be told from those of the host.

use plimsoll_tests::{Connection, Endpoint, Proxy, guest, guest_path, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// A proxy with one worker, the plugin `faulty`, and the endpoints `a` and `b`. `listener` and `clusters` are the rest.
fn with_faulty(listener: &str, clusters: &str) -> Proxy {
    let path = guest_path("faulty");
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: faulty, path: {path:?}, conformance: off, limits: {{ memory: 8MiB }} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, {listener} }} ]
clusters: [ {clusters} ]"
        ),
    )
}

/// A cluster of two endpoints for a configuration.
fn cluster(name: &str, endpoints: &[Endpoint; 2], settings: &str) -> String {
    let [a, b] = endpoints;
    format!(
        "{{ name: {name}, {settings}, endpoints: [ {{ id: a, address: \"{}\" }}, {{ id: b, address: \"{}\" }} ] }}",
        a.address(),
        b.address()
    )
}

fn a_and_b() -> [Endpoint; 2] {
    ["a", "b"].map(Endpoint::named)
}

/// A client with one connection that counts.
struct Client {
    connection: Connection,
    sent: u32,
}

impl Client {
    fn of(proxy: &Proxy) -> Self {
        Self { connection: Connection::open(proxy.address("web")), sent: 0 }
    }

    /// Status and body of the answer to one request.
    fn ask(&mut self, path: &str) -> (u16, String) {
        self.sent += 1;
        self.connection.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let response = self.connection.response().unwrap_or_else(|| panic!("no answer to request {}", self.sent));
        (response.status, response.text())
    }

    /// The endpoint that answered. No other answer will do.
    fn served_by(&mut self) -> String {
        let (status, name) = self.ask("/");
        assert_eq!(status, 200, "request {}", self.sent);
        name
    }

    /// Endpoints that answered `requests` requests, without repetition.
    fn served_by_all(&mut self, requests: u32) -> Vec<String> {
        let mut names: Vec<String> = (0..requests).map(|_| self.served_by()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Asks until the plugin is left alone. Every request has to succeed.
    fn ask_until_quarantine(&mut self, proxy: &Proxy) {
        wait_for("quarantine", || {
            self.served_by();
            (state(proxy) == "quarantined").then_some(())
        });
    }
}

fn plugin(proxy: &Proxy) -> Value {
    let plugins = proxy.admin_json("GET", "/v1/plugins", None);
    let found = plugins.as_array().and_then(|plugins| plugins.iter().find(|plugin| plugin["name"] == "faulty"));
    found.cloned().unwrap_or_else(|| panic!("no plugin `faulty` in {plugins}"))
}

fn state(proxy: &Proxy) -> String {
    plugin(proxy)["state"].as_str().unwrap_or_default().to_owned()
}

fn traps(proxy: &Proxy, role: &str, kind: &str) -> f64 {
    proxy.metric(&format!("plimsoll_plugin_traps_total{{plugin=\"faulty\",role=\"{role}\",kind=\"{kind}\"}}"))
}

fn fallbacks(proxy: &Proxy, role: &str) -> f64 {
    proxy.metric(&format!("plimsoll_plugin_fallbacks_total{{plugin=\"faulty\",role=\"{role}\""))
}

fn invalid_answers(proxy: &Proxy, role: &str) -> f64 {
    proxy.metric(&format!("plimsoll_plugin_invalid_answers_total{{plugin=\"faulty\",role=\"{role}\"}}"))
}

fn quarantined(proxy: &Proxy) -> f64 {
    proxy.metric("plimsoll_plugin_quarantined{plugin=\"faulty\"}")
}

/// Waits until the log tells of so many faults, and of which plugin.
fn wait_for_faults_logged(proxy: &Proxy, role: &str, kind: &str, faults: usize) {
    let telling = |line: &&str| {
        let tells = |part: String| line.contains(&part);
        line.contains("plugin failed, the host decides in its stead")
            && tells("plugin=\"faulty\"".into())
            && tells(format!("role=\"{role}\""))
            && tells(format!("kind=\"{kind}\""))
    };
    let what = format!("{faults} {kind} faults of the {role} in the log");
    wait_for(&what, || (proxy.log().lines().filter(telling).count() == faults).then_some(()));
}

fn health_of(proxy: &Proxy, endpoint: usize) -> String {
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    report["endpoints"][endpoint]["health"].as_str().unwrap_or_default().to_owned()
}

/// A balancer that fails every pick: the host spreads the requests, says so, and soon leaves the plugin alone.
fn a_balancer_costs_no_request(fault: &str, kind: &str) {
    let endpoints = a_and_b();
    let balancer = format!("balancer: {{ plugin: faulty, config: {{ fault: {fault} }} }}");
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, &balancer));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(traps(&proxy, "balancer", kind), 5.0);
    assert_eq!(traps(&proxy, "balancer", ""), 0.0, "of other kinds");
    wait_for_faults_logged(&proxy, "balancer", kind, 5);
    assert_eq!(proxy.wait_for_log("plugin is quarantined after repeated faults", "plugin="), "\"faulty\"");
    assert_eq!(quarantined(&proxy), 1.0);
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["plugins_quarantined"], serde_json::json!(["faulty"]));
    assert_eq!(client.served_by_all(60), ["a", "b"]);
    assert_eq!(fallbacks(&proxy, "balancer"), f64::from(client.sent));
}

#[test]
fn a_balancer_that_traps_costs_no_request() {
    a_balancer_costs_no_request("trap", "trap");
}

#[test]
fn a_balancer_that_loops_costs_no_request() {
    a_balancer_costs_no_request("loop", "deadline");
}

#[test]
fn a_balancer_that_allocates_without_end_costs_no_request() {
    a_balancer_costs_no_request("grow", "memory");
}

#[test]
fn a_balancer_that_names_no_endpoint_costs_no_request() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: lie } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(invalid_answers(&proxy, "balancer"), 5.0);
    assert_eq!(proxy.wait_for_log("plugin is quarantined after repeated faults", "plugin="), "\"faulty\"");
    assert_eq!(client.served_by_all(60), ["a", "b"]);
    assert_eq!(fallbacks(&proxy, "balancer"), f64::from(client.sent));
    // It was never more than wrong, so there was nothing to rebuild.
    assert_eq!(proxy.metric("plimsoll_plugin_rebuilds_total{plugin=\"faulty\"}"), 0.0);
}

#[test]
fn a_plugin_that_fails_once_is_rebuilt_and_decides_again() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap, times: 1 } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    client.served_by();
    assert_eq!(client.served_by_all(40), ["a"]);
    assert_eq!(fallbacks(&proxy, "balancer"), 1.0);
    assert_eq!(proxy.metric("plimsoll_plugin_rebuilds_total{plugin=\"faulty\"}"), 1.0);
    assert_eq!((state(&proxy).as_str(), quarantined(&proxy)), ("degraded", 0.0));
}

#[test]
fn a_balancer_that_fails_at_a_change_of_endpoints_costs_no_request() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap, at: endpoints } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    assert_eq!(client.served_by_all(20), ["a"]);
    proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/a", Some(b"{\"enabled\": false}"));
    client.ask_until_quarantine(&proxy);
    assert_eq!(client.served_by_all(20), ["b"], "the host knows better than the plugin");
    proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/a", Some(b"{\"enabled\": true}"));
    proxy.admin_json("POST", "/v1/plugins/faulty/release", None);
    wait_for("the plugin to decide again", || (client.served_by_all(40) == ["a"]).then_some(()));
}

#[test]
fn a_balancer_that_fails_at_outcomes_costs_no_request() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap, at: outcomes } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(traps(&proxy, "balancer", "trap"), 5.0);
    assert_eq!(client.served_by_all(60), ["a", "b"]);
}

#[test]
fn a_balancer_that_traps_costs_no_tcp_connection() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap } }";
    let proxy = with_faulty("protocol: tcp, cluster: app", &cluster("app", &endpoints, balancer));
    wait_for("quarantine", || {
        Client::of(&proxy).served_by();
        (state(&proxy) == "quarantined").then_some(())
    });
    assert_eq!(traps(&proxy, "balancer", "trap"), 5.0);
}

#[test]
fn an_operator_releases_from_quarantine() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap, times: 5 } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(client.served_by_all(60), ["a", "b"]);
    let released = proxy.admin_json("POST", "/v1/plugins/faulty/release", None);
    assert_eq!(released["state"], "healthy");
    // The last fault may still have its rebuild delayed.
    wait_for("the plugin to decide again", || (client.served_by_all(40) == ["a"]).then_some(()));
    assert_eq!(quarantined(&proxy), 0.0);
}

#[test]
fn another_version_ends_quarantine_and_a_rollback_gives_the_old_one_a_chance() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap, times: 5 } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    let loaded = proxy.admin_json("PUT", "/v1/plugins/faulty", Some(guest("last")));
    assert_eq!(loaded["state"], "healthy");
    assert_eq!(client.served_by_all(40), ["b"]);
    assert_eq!(quarantined(&proxy), 0.0);
    let back = proxy.admin_json("POST", "/v1/plugins/faulty/rollback", None);
    assert_eq!(back["state"], "healthy");
    assert_eq!(client.served_by_all(40), ["a"]);
}

#[test]
fn a_version_that_fails_to_hand_over_its_state_can_be_replaced() {
    let endpoints = a_and_b();
    for fault in ["trap", "loop", "grow"] {
        let balancer = format!("balancer: {{ plugin: faulty, config: {{ fault: {fault}, at: save }} }}");
        let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, &balancer));
        let mut client = Client::of(&proxy);
        assert_eq!(client.served_by_all(20), ["a"]);
        proxy.admin_json("PUT", "/v1/plugins/faulty", Some(guest("last")));
        assert_eq!(client.served_by_all(20), ["b"], "after {fault}");
    }
}

#[test]
fn a_version_that_fails_to_take_state_over_starts_afresh() {
    let endpoints = a_and_b();
    let balancer = "balancer: { plugin: faulty, config: { fault: trap, at: restore } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, balancer));
    let mut client = Client::of(&proxy);
    // The same with an empty section of its own, so that it is another version.
    let another = [guest("faulty"), &[0, 2, 1, b'x']].concat();
    proxy.admin_json("PUT", "/v1/plugins/faulty?conformance=off", Some(&another));
    assert_eq!(traps(&proxy, "balancer", "trap"), 1.0);
    assert_eq!(client.served_by_all(40), ["a"]);
}

#[test]
fn clients_of_an_affinity_that_fails_count_as_new() {
    for (fault, kind) in [("trap", "trap"), ("loop", "deadline"), ("grow", "memory")] {
        let endpoints = a_and_b();
        let affinity = format!("affinity: {{ plugin: faulty, config: {{ fault: {fault} }} }}");
        let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, &affinity));
        let mut client = Client::of(&proxy);
        client.ask_until_quarantine(&proxy);
        assert_eq!(traps(&proxy, "affinity", kind), 5.0, "{fault}");
        wait_for_faults_logged(&proxy, "affinity", kind, 5);
        assert!(fallbacks(&proxy, "affinity") >= f64::from(client.sent));
        assert_eq!(client.served_by_all(60), ["a", "b"], "least-request decides");
    }
}

#[test]
fn a_binding_to_no_endpoint_is_no_binding() {
    let endpoints = a_and_b();
    let affinity = "affinity: { plugin: faulty, config: { fault: lie } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, affinity));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(invalid_answers(&proxy, "affinity"), 5.0);
    assert_eq!(client.served_by_all(60), ["a", "b"]);
}

#[test]
fn an_affinity_that_fails_at_heads_fails_no_request() {
    for (fault, kind) in [("trap", "trap"), ("loop", "deadline")] {
        let endpoints = a_and_b();
        let affinity = format!("affinity: {{ plugin: faulty, config: {{ fault: {fault}, at: edit }} }}");
        let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, &affinity));
        let mut client = Client::of(&proxy);
        client.ask_until_quarantine(&proxy);
        assert_eq!(traps(&proxy, "affinity", kind), 5.0, "{fault}");
        assert_eq!(client.served_by_all(60), ["a", "b"]);
    }
}

#[test]
fn edits_that_would_break_the_message_are_left_out_and_counted() {
    let endpoints = a_and_b();
    let affinity = "affinity: { plugin: faulty, config: { fault: lie, at: edit, times: 2 } }";
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, affinity));
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("GET / HTTP/1.1\r\nhost: test\r\ncookie: a=0\r\n\r\n");
    let response = connection.response().expect("an answer");
    let name = response.text();
    assert!(["a", "b"].contains(&name.as_str()), "{response:?}");
    let names: Vec<&str> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x-bound") && names.contains(&"content-length"), "{names:?}");
    assert!(
        !names.iter().any(|name| ["transfer-encoding", "host", "x-split", "x-smuggled"].contains(name)),
        "{names:?}"
    );
    let seen = endpoints.iter().flat_map(Endpoint::requests).next().expect("a request");
    assert!(seen.contains("x-prepared: 1\r\n") && seen.contains("host: test\r\ncookie: a=0\r\n"), "{seen}");
    assert!(
        !["content-length", "transfer-encoding", "smuggled", "evil"].iter().any(|part| seen.contains(part)),
        "{seen}"
    );
    assert!(invalid_answers(&proxy, "affinity") >= 2.0, "one for each head");
    // The connections are still in step.
    connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(connection.response().expect("an answer").status, 200);
}

/// A listener whose router is `faulty`, for these clusters.
fn router(config: &str) -> String {
    format!("router: {{ plugin: faulty, config: {{ {config} }} }}")
}

const ROUND_ROBIN: &str = "balancer: { plugin: round-robin }";

#[test]
fn requests_go_where_a_router_that_fails_has_said() {
    for (fault, kind) in [("trap", "trap"), ("loop", "deadline"), ("grow", "memory")] {
        let (app, other) = (a_and_b(), a_and_b());
        let clusters = [cluster("other", &other, ROUND_ROBIN), cluster("app", &app, ROUND_ROBIN)].join(", ");
        let proxy =
            with_faulty(&router(&format!("fault: {fault}, falls_back: true, clusters: [app, other]")), &clusters);
        let mut client = Client::of(&proxy);
        client.ask_until_quarantine(&proxy);
        assert_eq!(traps(&proxy, "router", kind), 5.0, "{fault}");
        wait_for_faults_logged(&proxy, "router", kind, 5);
        assert_eq!(fallbacks(&proxy, "router"), f64::from(client.sent));
        assert!(other.iter().all(|endpoint| endpoint.requests().is_empty()));
    }
}

#[test]
fn a_router_that_names_no_cluster_is_answered_like_one_that_fails() {
    let endpoints = a_and_b();
    let proxy =
        with_faulty(&router("fault: lie, falls_back: true, clusters: [app]"), &cluster("app", &endpoints, ROUND_ROBIN));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(invalid_answers(&proxy, "router"), 5.0);
    assert_eq!(fallbacks(&proxy, "router"), f64::from(client.sent));
}

#[test]
fn nobody_guesses_between_the_clusters_of_a_router_that_fails() {
    let (app, other) = (a_and_b(), a_and_b());
    let clusters = [cluster("app", &app, ROUND_ROBIN), cluster("other", &other, ROUND_ROBIN)].join(", ");
    let proxy = with_faulty(&router("fault: trap, path_prefix: /bad, clusters: [app, other]"), &clusters);
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("/known").0, 200);
    wait_for("quarantine", || {
        assert_eq!(client.ask("/bad").0, 503);
        (state(&proxy) == "quarantined").then_some(())
    });
    assert_eq!(client.ask("/known").0, 200, "an answer that holds for these attributes is remembered");
    assert_eq!(client.ask("/unknown").0, 503);
    proxy.admin_json("POST", "/v1/plugins/faulty/release", None);
    wait_for("the plugin to decide again", || (client.ask("/unknown").0 == 200).then_some(()));
    assert!(other.iter().all(|endpoint| endpoint.requests().is_empty()));
}

/// `a` answers nothing and `b` does, and probes find that out when nothing fails.
fn probed(settings: &str) -> (Proxy, [Endpoint; 2]) {
    let endpoints = a_and_b();
    endpoints[0].close();
    let settings = format!("{ROUND_ROBIN}, max_attempts: 2, {settings}");
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, &settings));
    (proxy, endpoints)
}

/// While the plugin is left alone nobody's health changes; when it works, the dead endpoint goes.
fn health_stays_until_release(proxy: &Proxy, role: &str) {
    wait_for("quarantine", || (state(proxy) == "quarantined").then_some(()));
    assert_eq!((health_of(proxy, 0), health_of(proxy, 1)), ("healthy".into(), "healthy".into()));
    assert_eq!(traps(proxy, role, "trap"), 5.0);
    wait_for_faults_logged(proxy, role, "trap", 5);
    let mut client = Client::of(proxy);
    assert_eq!(client.served_by_all(10), ["b"], "a request moves on from a dead endpoint");
    proxy.admin_json("POST", "/v1/plugins/faulty/release", None);
    wait_for("the dead endpoint to go", || (health_of(proxy, 0) == "unhealthy").then_some(()));
    assert_eq!(health_of(proxy, 1), "healthy");
}

#[test]
fn endpoints_stay_as_they_are_while_their_evaluator_fails() {
    let (proxy, _endpoints) = probed(
        "health: { evaluator: { plugin: faulty, config: { fault: trap, times: 5 } }, probe: { plugin: tcp, interval: 50ms } }",
    );
    health_stays_until_release(&proxy, "health");
}

#[test]
fn endpoints_stay_as_they_are_while_their_prober_fails() {
    let (proxy, _endpoints) = probed(
        "health: { evaluator: { plugin: thresholds, config: { passive: \"off\" } }, \
         probe: { plugin: faulty, interval: 50ms, config: { fault: trap, times: 5 } } }",
    );
    health_stays_until_release(&proxy, "prober");
}

#[test]
fn a_verdict_about_no_endpoint_changes_nothing() {
    let (proxy, _endpoints) = probed(
        "health: { evaluator: { plugin: faulty, config: { fault: lie, times: 4 } }, probe: { plugin: tcp, interval: 50ms } }",
    );
    wait_for("four lies", || (invalid_answers(&proxy, "health") == 4.0).then_some(()));
    wait_for("the truth", || (health_of(&proxy, 0) == "unhealthy").then_some(()));
    assert_eq!(health_of(&proxy, 1), "healthy");
}

#[test]
fn an_evaluator_that_fails_at_outcomes_costs_no_request() {
    let endpoints = a_and_b();
    let settings = format!(
        "{ROUND_ROBIN}, health: {{ evaluator: {{ plugin: faulty, config: {{ fault: loop, at: outcomes }} }} }}"
    );
    let proxy = with_faulty("cluster: app", &cluster("app", &endpoints, &settings));
    let mut client = Client::of(&proxy);
    client.ask_until_quarantine(&proxy);
    assert_eq!(traps(&proxy, "health", "deadline"), 5.0);
    assert_eq!(client.served_by_all(10), ["a", "b"]);
}
