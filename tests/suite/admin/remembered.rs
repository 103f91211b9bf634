//! What is known of endpoints outlives a restart.

use std::path::PathBuf;

use plimsoll_tests::{Endpoint, Proxy, wait_for};
use serde_json::{Value, json};

use crate::PLIMSOLL;

struct Directory(PathBuf);

impl Directory {
    fn named(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-remembered-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.json")
    }

    fn kept(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.file()).ok()?).ok()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Whoever is gone needs no cleaning up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn answering(status: u16) -> Endpoint {
    Endpoint::answering(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"))
}

/// Endpoints with the weights that the configuration has for them, probed so often.
fn config(directory: &Directory, endpoints: &[(&Endpoint, u32)], probe: &str) -> String {
    let endpoints: Vec<String> = endpoints
        .iter()
        .zip(["a", "b", "c"])
        .map(|((endpoint, weight), id)| {
            format!("{{ id: {id}, address: \"{}\", weight: {weight} }}", endpoint.address())
        })
        .collect();
    format!(
        "workers: 1
state_file: {:?}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health: {{ probe: {{ plugin: http, {probe} }} }}
    endpoints: [ {} ]",
        directory.file(),
        endpoints.join(", ")
    )
}

const OFTEN: &str = "interval: 20ms";
const NEVER: &str = "interval: 1h, initial_delay: 1h";

fn endpoints(proxy: &Proxy) -> Vec<Value> {
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    let report = report["endpoints"].as_array().expect("endpoints").clone();
    report.iter().map(|one| json!([one["availability"], one["weight"], one["reason"]])).collect()
}

fn patch(proxy: &Proxy, id: &str, patch: Value) {
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{id}"), Some(patch.to_string().as_bytes()));
}

#[test]
fn what_operators_said_and_who_was_out_by_probes_is_so_after_a_restart() {
    let directory = Directory::named("restart");
    let (good, other, ill) = (answering(200), answering(200), answering(503));
    let all = [(&good, 1), (&other, 1), (&ill, 1)];
    let proxy = Proxy::start(PLIMSOLL, &config(&directory, &all, OFTEN));
    let reason = "3 probes in a row failed: expected status 200-399, got 503";
    wait_for("the ill one to be out", || (endpoints(&proxy)[2][0] == "unavailable").then_some(()));
    patch(&proxy, "a", json!({ "weight": 7 }));
    patch(&proxy, "b", json!({ "drain": true }));
    let as_it_was = [json!(["ready", 7, null]), json!(["draining", 1, null]), json!(["unavailable", 1, reason])];
    assert_eq!(endpoints(&proxy), as_it_was);
    wait_for("it to be kept", || {
        let kept = directory.kept()?["clusters"]["app"].clone();
        (kept["a"]["weight"] == 7 && kept["b"]["draining"] == true && kept["c"]["unhealthy"] == reason).then_some(())
    });
    drop(proxy);
    // Nobody is probed, so that all it knows is what was kept.
    let proxy = Proxy::start(PLIMSOLL, &config(&directory, &all, NEVER));
    assert_eq!(endpoints(&proxy), as_it_was);
    drop(proxy);
    // The configuration wins: of the first the weight, of the second all, since it is another one.
    let proxy = Proxy::start(PLIMSOLL, &config(&directory, &[(&good, 2), (&ill, 1), (&ill, 1)], NEVER));
    assert_eq!(endpoints(&proxy)[..2], [json!(["ready", 2, null]), json!(["ready", 1, null])]);
}

#[test]
fn who_was_out_before_is_back_with_its_first_good_probe_and_after_a_time_nobody_believes_it() {
    let directory = Directory::named("back");
    let endpoint = answering(200);
    let all = [(&endpoint, 1)];
    let keep = |written_unix_ms: u64| {
        let known = json!({ "address": endpoint.address(), "configured_weight": 1, "unhealthy": "it was ill" });
        let state = json!({ "written_unix_ms": written_unix_ms, "clusters": { "app": { "a": known } } });
        std::fs::write(directory.file(), state.to_string()).expect("room for a file");
    };
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    keep(now);
    let proxy = Proxy::start(PLIMSOLL, &config(&directory, &all, NEVER));
    assert_eq!(endpoints(&proxy), [json!(["unavailable", 1, "it was ill"])]);
    drop(proxy);
    keep(now);
    let proxy = Proxy::start(PLIMSOLL, &config(&directory, &all, OFTEN));
    wait_for("it to be back", || (endpoints(&proxy) == [json!(["ready", 1, null])]).then_some(()));
    wait_for("nothing to be kept", || (directory.kept()?["clusters"] == json!({})).then_some(()));
    drop(proxy);
    keep(now - 3_600_000);
    let proxy = Proxy::start(PLIMSOLL, &config(&directory, &all, NEVER));
    assert_eq!(endpoints(&proxy), [json!(["ready", 1, null])]);
}
