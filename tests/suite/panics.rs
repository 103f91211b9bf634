//! What went wrong in a plugin is told in words: to who reads the log, who asks the API, and who runs the suite.

use std::process::Command;

use plimsoll_tests::{Connection, Endpoint, Proxy, guest_path, specimen, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// A proxy whose balancer `faulty` fails so at each pick.
fn failing(endpoint: &Endpoint, fault: &str, grants: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: faulty, path: {:?}, conformance: off, limits: {{ memory: 8MiB }}, grants: [ {grants} ] }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: faulty, config: {{ fault: {fault} }} }}, endpoints: [ \"{}\" ] }} ]",
            guest_path("faulty"),
            endpoint.address()
        ),
    )
}

fn ask(proxy: &Proxy) {
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(connection.response().expect("an answer").status, 200);
}

/// What the API tells of the last fault, once there is one.
fn last_fault(proxy: &Proxy, plugin: &str) -> Value {
    wait_for("a fault", || {
        let detail = proxy.admin_json("GET", &format!("/v1/plugins/{plugin}"), None);
        detail["recent_faults"].as_array().and_then(|faults| faults.last()).cloned()
    })
}

/// The line of the log that has both.
fn line(proxy: &Proxy, one: &str, other: &str) -> String {
    wait_for(&format!("{one} and {other} in the log"), || {
        proxy.log().lines().find(|line| line.contains(one) && line.contains(other)).map(ToOwned::to_owned)
    })
}

fn is_told(text: &str) -> bool {
    text.contains("panicked in pick at ") && text.contains("src/fault.rs:") && text.contains(": trapped, as configured")
}

#[test]
fn a_panic_says_what_and_where_in_the_log_and_at_the_api() {
    let endpoint = Endpoint::named("a");
    let proxy = failing(&endpoint, "trap", "log, table");
    ask(&proxy);
    let fault = last_fault(&proxy, "faulty");
    assert!(is_told(fault["reason"].as_str().unwrap_or_default()), "{fault:#}");
    assert_eq!((&fault["kind"], &fault["role"], &fault["scope"]), (&"trap".into(), &"balancer".into(), &"app".into()));
    let told = line(&proxy, "the host decides in its stead", "plugin=\"faulty\"");
    assert!(is_told(&told), "{told}");
    let said = line(&proxy, "plimsoll::guest: panicked at ", "trapped, as configured");
    assert!(said.contains("src/fault.rs:") && said.ends_with("plugin=\"faulty\""), "{said}");
}

#[test]
fn a_panic_of_a_plugin_that_may_not_write_to_the_log_is_told_as_its_fault_only() {
    let endpoint = Endpoint::named("a");
    let proxy = failing(&endpoint, "trap", "table");
    ask(&proxy);
    let told = line(&proxy, "the host decides in its stead", "plugin=\"faulty\"");
    assert!(is_told(&told), "{told}");
    assert!(!proxy.log().contains("plimsoll::guest"), "{}", proxy.log());
}

#[test]
fn a_deadline_is_called_a_deadline_and_an_answer_says_why_it_was_not_taken() {
    let endpoint = Endpoint::named("a");
    for (fault, reason) in [
        ("loop", "deadline of 2 ms passed in pick"),
        ("grow", "asked for more memory than its 8 MiB in pick"),
        ("lie", "picked slot 4000000, which is no endpoint"),
    ] {
        let proxy = failing(&endpoint, fault, "log, table");
        ask(&proxy);
        assert_eq!(last_fault(&proxy, "faulty")["reason"], reason);
        line(&proxy, "the host decides in its stead", reason);
    }
}

#[test]
fn a_choice_that_may_not_be_taken_is_told_with_its_slot_and_its_state() {
    let endpoint = Endpoint::named("a");
    let path = std::env::temp_dir().join(format!("plimsoll-negligent-{}.wasm", std::process::id()));
    std::fs::write(&path, specimen("balancer/Turns/IgnoresDraining")).expect("a file");
    let endpoints: Vec<String> =
        (0..9).map(|id| format!("{{ id: e{id}, address: \"{}\" }}", endpoint.address())).collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: negligent, path: {path:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: negligent }}, endpoints: [ {} ] }} ]",
            endpoints.join(", ")
        ),
    );
    proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/e3", Some(b"{\"drain\": true}"));
    wait_for("the choice of who drains", || {
        ask(&proxy);
        let detail = proxy.admin_json("GET", "/v1/plugins/negligent", None);
        (detail["recent_faults"][0]["reason"] == "picked slot 3, which is draining").then_some(())
    });
}

#[test]
fn the_suite_says_what_a_plugin_panicked_with() {
    let tested = Command::new(PLIMSOLL)
        .args(["plugin", "test"])
        .arg(guest_path("faulty"))
        .args(["--config", r#"{"fault":"trap"}"#, "--only", "B3"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&tested.stdout);
    assert!(tested.status.code() == Some(1) && is_told(&text), "{text}");
}
