//! What is told of one plugin, and what an operator does with its versions.

use plimsoll_tests::{Endpoint, Proxy, get, guest, guest_path, specimen, wait_for};
use serde_json::{Value, json};

use super::json;
use crate::{PLIMSOLL, in_front_of};

fn detail(proxy: &Proxy, name: &str) -> Value {
    proxy.admin_json("GET", &format!("/v1/plugins/{name}"), None)
}

fn upload(proxy: &Proxy, name: &str, component: &[u8]) -> Value {
    proxy.admin_json("PUT", &format!("/v1/plugins/{name}?conformance=off"), Some(component))
}

/// The status of a refused removal, and what is said about it.
fn refused(proxy: &Proxy, name: &str) -> (u16, String) {
    let response = proxy.admin("DELETE", &format!("/v1/plugins/{name}"), None);
    (response.status, json(&response)["code"].as_str().unwrap_or_default().to_owned())
}

/// Components in the store of a proxy.
fn components(proxy: &Proxy) -> usize {
    let entries = std::fs::read_dir(proxy.directory().join("config.plugins")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "wasm")).count()
}

#[test]
fn a_plugin_tells_its_versions_its_settings_and_its_uses() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "balancer: { plugin: round-robin }");
    let shipped = detail(&proxy, "round-robin");
    assert_eq!(shipped["uses"], json!([{ "role": "balancer", "scope": "app", "path": "/clusters/0/balancer/config" }]));
    assert_eq!(shipped["versions"].as_array().map(Vec::len), Some(1), "{shipped:#}");
    assert_eq!(shipped["versions"][0]["digest"], shipped["plugin"]["digest"]);
    let uploaded = upload(&proxy, "round-robin", guest("first"));
    upload(&proxy, "round-robin", guest("last"));
    let after = detail(&proxy, "round-robin");
    let versions: Vec<_> = after["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|version| (version["source"].as_str().unwrap_or_default(), version["live"] == true))
        .collect();
    assert_eq!(versions, [("upload", true), ("upload", false), ("built-in", false)]);
    assert_eq!(after["versions"][1]["digest"], uploaded["digest"]);
    assert_eq!(after["versions"][2]["digest"], shipped["plugin"]["digest"]);
    let of_upload = &after["versions"][1]["upload"];
    assert!(of_upload["loaded_unix_seconds"].as_u64() > Some(1_700_000_000), "{of_upload}");
    assert!(of_upload["by"].as_str().is_some_and(|by| by.starts_with("127.0.0.1:")), "{of_upload}");
    assert_eq!(of_upload["conformance"], "off");
    // Each can be gone back to by what is told of it.
    let to = after["versions"][1]["digest"].as_str().expect("a digest");
    proxy.admin_json("POST", &format!("/v1/plugins/round-robin/rollback?to={to}"), None);
    assert_eq!(detail(&proxy, "round-robin")["versions"][0]["digest"], to);
}

#[test]
fn a_plugin_that_nothing_uses_tells_what_it_would_be_configured_with() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let maglev = detail(&proxy, "maglev");
    assert!(maglev["config_schemas"]["balancer"]["properties"]["table_size"].is_object(), "{maglev:#}");
    assert_eq!((&maglev["uses"], &maglev["faults"]), (&json!([]), &json!({})));
    assert_eq!(maglev["plugin"]["roles"], json!(["balancer"]));
    let missing = proxy.admin("GET", "/v1/plugins/none", None);
    assert_eq!((missing.status, json(&missing)["code"].as_str()), (404, Some("unknown_plugin")));
}

#[test]
fn faults_are_told_by_their_kind() {
    let endpoint = Endpoint::named("one");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: faulty, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: faulty, config: {{ fault: trap }} }}, endpoints: [ \"{}\" ] }} ]",
            guest_path("faulty"),
            endpoint.address()
        ),
    );
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    wait_for("a fault", || detail(&proxy, "faulty")["faults"]["trap"].as_u64().filter(|traps| *traps > 0));
}

#[test]
fn what_was_uploaded_can_be_removed_unless_it_is_used() {
    let endpoint = Endpoint::named("one");
    let config = |balancer: &str| {
        format!(
            "admin: {{ bind: \"127.0.0.1:0\" }}
workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: {balancer} }}, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("round-robin"));
    assert_eq!(refused(&proxy, "none"), (404, "unknown_plugin".into()));
    assert_eq!(refused(&proxy, "round-robin"), (409, "nothing_uploaded".into()));
    upload(&proxy, "mine", guest("first"));
    upload(&proxy, "round-robin", guest("last"));
    proxy.admin_json("PUT", "/v1/config", Some(config("mine").as_bytes()));
    let response = proxy.admin("DELETE", "/v1/plugins/mine", None);
    assert!(response.status == 409 && response.text().contains("/clusters/0/balancer/plugin"), "{}", response.text());
    assert_eq!(components(&proxy), 2);
    // Not used any more, it goes, with its component.
    assert_eq!(proxy.admin_json("DELETE", "/v1/plugins/round-robin", None)["left"], "built-in");
    assert_eq!(components(&proxy), 1);
    proxy.admin_json("PUT", "/v1/config", Some(config("round-robin").as_bytes()));
    assert_eq!(proxy.admin_json("DELETE", "/v1/plugins/mine", None)["left"], Value::Null);
    assert_eq!((components(&proxy), refused(&proxy, "mine").0), (0, 404));
    assert_eq!(proxy.admin("PUT", "/v1/config", Some(config("mine").as_bytes())).status, 422);
    let shipped = detail(&proxy, "round-robin");
    assert_eq!(
        (&shipped["plugin"]["source"], shipped["versions"].as_array().map(Vec::len)),
        (&json!("built-in"), Some(1))
    );
    assert_eq!(get(proxy.address("web"), "/").status, 200);
}

#[test]
fn a_dry_run_of_an_upload_judges_it_and_changes_nothing() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "balancer: { plugin: round-robin }");
    let before = detail(&proxy, "round-robin");
    let would_be =
        proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off&dry_run=true", Some(guest("first")));
    assert_eq!((&would_be["source"], &would_be["used_by"]), (&json!("upload"), &json!(["balancer app"])));
    assert_ne!(would_be["digest"], before["plugin"]["digest"]);
    let unsound = specimen("balancer/Turns/RepeatsTried");
    for (component, code) in [(&unsound[..], "unsound"), (b"garbage", "not_wasm")] {
        let refused = proxy.admin("PUT", "/v1/plugins/round-robin?dry_run=true", Some(component));
        assert_eq!((refused.status, json(&refused)["code"].as_str()), (422, Some(code)), "{}", refused.text());
    }
    assert_eq!((detail(&proxy, "round-robin"), components(&proxy)), (before, 0));
    let unknown = proxy.admin("GET", "/v1/plugins", None);
    assert!(!unknown.text().contains("\"upload\""), "{}", unknown.text());
}

#[test]
fn all_plugins_together_have_the_memory_that_the_configuration_says() {
    const MIB: f64 = (1 << 20) as f64;
    let endpoint = Endpoint::named("one");
    let config = |limit: &str| {
        format!(
            "admin: {{ bind: \"127.0.0.1:0\" }}
workers: 1
plugin_tables: {limit}
plugins: [ {{ name: hoarder, path: {:?}, conformance: off, limits: {{ memory: 16MiB }} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: hoarder, config: {{ entries: 8 }} }}, endpoints: [ \"{}\" ] }} ]",
            guest_path("hoarder"),
            endpoint.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("1MiB"));
    let web = proxy.address("web");
    let remembered = || {
        assert!((0..150).all(|_| get(web, "/").status == 200));
        proxy.metric("plimsoll_plugin_table_bytes{plugin=\"hoarder\"}")
    };
    let bytes = remembered();
    assert!((0.5 * MIB..=MIB).contains(&bytes), "{bytes}");
    proxy.admin_json("PUT", "/v1/config", Some(config("3MiB").as_bytes()));
    let bytes = remembered();
    assert!((2.0 * MIB..=3.0 * MIB).contains(&bytes), "{bytes}");
}
