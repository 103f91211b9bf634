//! Every folder under examples is started.

use std::path::{Path, PathBuf};

use plimsoll_tests::{Endpoint, Proxy, example_plugin, get, request, wait_for};

use crate::PLIMSOLL;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn every_example_has_a_test_here() {
    let mut names: Vec<String> = std::fs::read_dir(examples())
        .expect("the examples are there")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["plugins", "quickstart"]);
}

#[test]
fn quickstart_balances_two_to_one_and_answers_by_itself() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let config = std::fs::read_to_string(examples().join("quickstart/plimsoll.yaml"))
        .expect("the example's configuration")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:3000", &one.address().to_string())
        .replace("127.0.0.1:3001", &two.address().to_string());
    let proxy = Proxy::start(PLIMSOLL, &config);
    let web = proxy.address("web");
    let answers: Vec<String> = (0..60).map(|_| get(web, "/").text()).collect();
    let ones = answers.iter().filter(|answer| *answer == "one").count();
    // Each worker counts for itself, so a part of a cycle of 3 may be missing on each.
    assert!((36..=44).contains(&ones), "{ones} of 60");
    assert_eq!(get(web, "/ping").text(), "pong\n");
    let moved = get(web, "/old");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/new")));
    let three = Endpoint::named("three");
    let added = format!("{{\"id\": \"three\", \"address\": \"{}\"}}", three.address());
    assert_eq!(proxy.admin("POST", "/v1/clusters/app/endpoints", Some(added.as_bytes())).status, 201);
    wait_for("the third", || (get(web, "/").text() == "three").then_some(()));
    proxy.admin_json("DELETE", "/v1/clusters/app/endpoints/three", None);
    wait_for("the third to go", || (0..10).all(|_| get(web, "/").text() != "three").then_some(()));
    drop(two);
    wait_for("the probes to find out", || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        (report["endpoints"][1]["availability"] == "unavailable").then_some(())
    });
    assert!((0..10).all(|_| get(web, "/").text() == "one"));
}

#[test]
fn tenant_pin_replaces_the_balancer_in_flight() {
    let endpoints: Vec<Endpoint> = ["a", "b", "c", "d", "e", "f"].map(Endpoint::named).into();
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    hash_on: [ {{ header: x-tenant }} ]
    endpoints: [ {} ]",
            addresses.join(", ")
        ),
    );
    let web = proxy.address("web");
    let served_by = |tenant: &str| {
        let mut names: Vec<String> =
            (0..30).map(|_| request(web, "GET", "/", &[("x-tenant", tenant)], None).text()).collect();
        names.sort();
        names.dedup();
        names.len()
    };
    assert_eq!(served_by("acme"), 6);
    let loaded = proxy.admin_json("PUT", "/v1/plugins/round-robin", Some(&example_plugin("tenant-pin")));
    assert_eq!(loaded["source"], "upload");
    assert!(served_by("acme") <= 2);
    proxy.admin_json("POST", "/v1/plugins/round-robin/rollback", None);
    assert_eq!(served_by("acme"), 6);
}
