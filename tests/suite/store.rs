//! Uploaded plugins are on disk, and there after whatever end of the process.

use std::path::{Path, PathBuf};

use plimsoll_tests::{Connection, Endpoint, Proxy, guest};
use serde_json::Value;

use crate::PLIMSOLL;

/// A directory that is gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn named(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("plimsoll-kept-{name}-{}", std::process::id())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A test that failed early may not have made it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(directory: Option<&Path>, endpoints: &[Endpoint; 2], balancer: &str) -> String {
    let directory = directory.map(|directory| format!("plugins_dir: {directory:?}\n")).unwrap_or_default();
    let [a, b] = endpoints.each_ref().map(Endpoint::address);
    format!(
        "workers: 1
{directory}listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: {balancer} }}, endpoints: [ {{ id: a, address: \"{a}\" }}, {{ id: b, address: \"{b}\" }} ] }} ]"
    )
}

fn a_and_b() -> [Endpoint; 2] {
    ["a", "b"].map(Endpoint::named)
}

fn served_by(proxy: &Proxy) -> Vec<String> {
    let mut connection = Connection::open(proxy.address("web"));
    let mut names: Vec<String> = (0..10)
        .map(|_| {
            connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            connection.response().expect("an answer").text()
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn plugin(proxy: &Proxy, name: &str) -> Value {
    let plugins = proxy.admin_json("GET", "/v1/plugins", None);
    let found = plugins.as_array().and_then(|plugins| plugins.iter().find(|plugin| plugin["name"] == name));
    found.cloned().unwrap_or_else(|| panic!("no plugin `{name}` in {plugins}"))
}

#[test]
fn an_upload_over_a_built_in_plugin_is_there_after_a_kill_and_so_is_what_it_can_be_gone_back_from() {
    let (directory, endpoints) = (Directory::named("kill"), a_and_b());
    let config = config(Some(&directory.0), &endpoints, "round-robin");
    let proxy = Proxy::start(PLIMSOLL, &config);
    proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(guest("first")));
    let loaded = proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(guest("last")));
    assert_eq!(loaded["kept"], true, "{loaded}");
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(served_by(&proxy), ["b"]);
    let again = plugin(&proxy, "round-robin");
    assert_eq!(
        (&again["digest"], &again["source"], &again["kept"]),
        (&loaded["digest"], &"upload".into(), &true.into())
    );
    assert_eq!(again["earlier"].as_array().map(Vec::len), Some(2), "{again}");
    proxy.admin_json("POST", "/v1/plugins/round-robin/rollback", None);
    assert_eq!(served_by(&proxy), ["a"]);
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(served_by(&proxy), ["a"], "a rollback lasts as well");
    proxy.admin_json("POST", "/v1/plugins/round-robin/rollback?to=builtin", None);
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(served_by(&proxy), ["a", "b"]);
    assert_eq!(plugin(&proxy, "round-robin")["source"], "built-in");
}

#[test]
fn the_store_is_beside_the_configuration_unless_it_is_said_otherwise() {
    let endpoints = a_and_b();
    let proxy = Proxy::start(PLIMSOLL, &config(None, &endpoints, "round-robin"));
    let beside = proxy.directory().join("config.plugins");
    assert!(!beside.exists(), "nothing is made before there is something to keep");
    let loaded = proxy.admin_json("PUT", "/v1/plugins/mine?conformance=off", Some(guest("first")));
    let file = beside.join(format!("{}.wasm", loaded["digest"].as_str().expect("a digest")));
    assert_eq!(std::fs::read(file).expect("the component"), guest("first"));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(beside.join("manifest.json")).expect("a manifest")).expect("JSON");
    let version = &manifest["plugins"]["mine"]["versions"][0];
    assert_eq!((&version["digest"], &version["version"]), (&loaded["digest"], &"0.1.0".into()), "{manifest:#}");
    assert!(version["by"].as_str().is_some_and(|by| by.starts_with("127.0.0.1:")), "{manifest:#}");
    assert!(version["grants"].as_array().is_some_and(|grants| grants.contains(&"log".into())), "{manifest:#}");
    // And the saved configuration may use it.
    let saved = proxy.admin("PUT", "/v1/config?save=true", Some(config(None, &endpoints, "mine").as_bytes()));
    assert_eq!(saved.status, 200, "{}", saved.text());
}

#[test]
fn what_would_not_start_again_is_not_saved() {
    let endpoints = a_and_b();
    let proxy = Proxy::start(PLIMSOLL, &config(Some(Path::new("off")), &endpoints, "round-robin"));
    let file = proxy.directory().join("config.yaml");
    let before = std::fs::read_to_string(&file).expect("the file is there");
    let loaded = proxy.admin_json("PUT", "/v1/plugins/mine?conformance=off", Some(guest("first")));
    assert_eq!(loaded["kept"], false);
    let using = config(None, &endpoints, "mine");
    for query in ["save=true", "save=true&dry_run=true"] {
        let refused = proxy.admin("PUT", &format!("/v1/config?{query}"), Some(using.as_bytes()));
        let body: Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!((refused.status, body["code"].as_str()), (409, Some("not_kept")), "{body}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("the file is there"), before);
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1);
    // Without saving it may be used as long as the process lives.
    proxy.admin_json("PUT", "/v1/config", Some(using.as_bytes()));
    assert_eq!(served_by(&proxy), ["a"]);
    assert!(!proxy.directory().join("config.plugins").exists());
}

#[test]
fn a_damaged_component_is_told_and_stops_only_who_needs_it() {
    let (directory, endpoints) = (Directory::named("damaged"), a_and_b());
    let unused = config(Some(&directory.0), &endpoints, "round-robin");
    let proxy = Proxy::start(PLIMSOLL, &unused);
    let loaded = proxy.admin_json("PUT", "/v1/plugins/mine?conformance=off", Some(guest("first")));
    drop(proxy);
    let file = directory.0.join(format!("{}.wasm", loaded["digest"].as_str().expect("a digest")));
    let mut bytes = guest("first").to_vec();
    bytes[1000] ^= 1;
    std::fs::write(&file, bytes).expect("damaged");
    let proxy = Proxy::start(PLIMSOLL, &unused);
    proxy.wait_for_log("its bytes are not those of its digest", "plugin=");
    let known = proxy.admin_json("GET", "/v1/plugins/mine", None);
    assert_eq!(
        (&known["versions"][0]["digest"], &known["plugin"]["roles"]),
        (&loaded["digest"], &serde_json::json!([]))
    );
    assert_eq!(served_by(&proxy), ["a", "b"]);
    let refused = proxy.admin("PUT", "/v1/config", Some(config(None, &endpoints, "mine").as_bytes()));
    assert!(refused.status == 422 && refused.text().contains("damaged"), "{}", refused.text());
    drop(proxy);
    let needed = config(Some(&directory.0), &endpoints, "mine");
    let mut proxy = Proxy::launch(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0 }}\n{needed}"));
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    // The same upload again mends it.
    let proxy = Proxy::start(PLIMSOLL, &unused);
    proxy.admin_json("PUT", "/v1/plugins/mine?conformance=off", Some(guest("first")));
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &needed);
    assert_eq!(served_by(&proxy), ["a"]);
}

#[test]
fn a_damaged_manifest_is_told_and_the_proxy_starts() {
    let (directory, endpoints) = (Directory::named("manifest"), a_and_b());
    std::fs::create_dir_all(&directory.0).expect("a directory");
    std::fs::write(directory.0.join("manifest.json"), b"{ \"format\": 1, ").expect("half a manifest");
    let config = config(Some(&directory.0), &endpoints, "round-robin");
    let proxy = Proxy::start(PLIMSOLL, &config);
    proxy.wait_for_log("manifest.json is damaged", "ERROR");
    assert_eq!(served_by(&proxy), ["a", "b"]);
    assert!(directory.0.join("manifest.json.damaged").exists());
    // The store is in use all the same.
    let loaded = proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(guest("first")));
    assert_eq!(loaded["kept"], true, "{loaded}");
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(served_by(&proxy), ["a"]);
}

#[test]
fn the_copy_of_a_damaged_manifest_brings_every_plugin_back() {
    let (directory, endpoints) = (Directory::named("copy"), a_and_b());
    let config = config(Some(&directory.0), &endpoints, "round-robin");
    let proxy = Proxy::start(PLIMSOLL, &config);
    proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(guest("first")));
    let loaded = proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(guest("last")));
    drop(proxy);
    std::fs::write(directory.0.join("manifest.json"), b"").expect("damaged");
    let proxy = Proxy::start(PLIMSOLL, &config);
    proxy.wait_for_log("its copy, manifest.copy.json, stands in for it", "ERROR");
    assert_eq!(served_by(&proxy), ["b"]);
    let again = plugin(&proxy, "round-robin");
    assert_eq!((&again["digest"], &again["kept"]), (&loaded["digest"], &true.into()));
    assert_eq!(again["earlier"].as_array().map(Vec::len), Some(2), "{again}");
}

#[test]
fn a_refused_upload_leaves_no_component() {
    let (directory, endpoints) = (Directory::named("orphan"), a_and_b());
    // No manifest can take its place.
    std::fs::create_dir_all(directory.0.join("manifest.copy.json")).expect("a directory");
    let config = config(Some(&directory.0), &endpoints, "round-robin");
    let proxy = Proxy::start(PLIMSOLL, &config);
    std::fs::create_dir_all(directory.0.join("manifest.json")).expect("a directory");
    let refused = proxy.admin("PUT", "/v1/plugins/mine?conformance=off", Some(guest("first")));
    let body: Value = serde_json::from_slice(&refused.body).expect("JSON");
    assert_eq!((refused.status, body["code"].as_str()), (500, Some("not_kept")), "{body}");
    let left = || {
        let entries = std::fs::read_dir(&directory.0).expect("the directory").flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "wasm")).count()
    };
    assert_eq!(left(), 0);
    drop(proxy);
    // What a crash has cut off goes at the next start.
    for manifest in ["manifest.json", "manifest.copy.json"] {
        std::fs::remove_dir(directory.0.join(manifest)).expect("it was there");
    }
    std::fs::write(directory.0.join(format!("{}.wasm", "ab".repeat(32))), b"half").expect("written");
    let proxy = Proxy::start(PLIMSOLL, &config);
    proxy.wait_for_log("belonged to no plugin", "store");
    assert_eq!(left(), 0);
}
