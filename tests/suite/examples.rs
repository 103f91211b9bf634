//! Every folder under examples is started.

use std::path::{Path, PathBuf};
use std::process::Command;

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
fn guarded_rules_wraps_a_built_in_router_and_goes_live_over_it() {
    let directory = std::env::temp_dir().join(format!("plimsoll-compose-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = |name: &str| directory.join(name);
    std::fs::write(file("outer.wasm"), example_plugin("guarded-rules")).expect("a file");
    let compose = |outer: &str, inner: &str| {
        let mut command = Command::new(PLIMSOLL);
        command.args(["plugin", "compose"]).arg(file(outer)).arg(inner).arg("--output").arg(file("composed.wasm"));
        command.output().expect("the program runs")
    };
    let done = compose("outer.wasm", "rules");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("router"), "{said}{}", String::from_utf8_lossy(&done.stderr));

    let one = Endpoint::named("one");
    let config = format!(
        "listeners:
  - name: web
    bind: 127.0.0.1:0
    router:
      plugin: rules
      config:
        routes:
          - {{ match: {{ path_prefix: /ping }}, respond: {{ status: 200, body: pong }} }}
          - {{ cluster: app }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        one.address()
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    let status = |path: &str| get(proxy.address("web"), path).status;
    assert_eq!((status("/.git/config"), status("/a/%2eenv")), (200, 200));
    // The gate holds for what both become, with the routes that are live.
    let composed = std::fs::read(file("composed.wasm")).expect("a file");
    let live = proxy.admin_json("PUT", "/v1/plugins/rules", Some(&composed));
    assert_eq!((&live["roles"][0], live["imports"].to_string().contains("router")), (&"router".into(), false));
    assert_eq!((status("/.git/config"), status("/a/%2eenv"), status("/.well-known/x")), (404, 404, 200));
    let pong = get(proxy.address("web"), "/ping");
    assert_eq!((pong.text(), get(proxy.address("web"), "/a").text()), ("pong".into(), "one".into()));

    // Two that have nothing in common.
    let refused = compose("composed.wasm", "rules");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("imports nothing that the one inside exports"), "{said}");
    let refused = compose("outer.wasm", "ruels");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`ruels` is no built-in plugin"));
    std::fs::remove_dir_all(directory).expect("cleaned up");
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
