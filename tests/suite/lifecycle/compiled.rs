//! Plugins that were compiled before.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use plimsoll_tests::{Endpoint, Proxy, get};

use crate::PLIMSOLL;

/// A proxy that keeps what it compiles here, and has served a request.
fn serving(cache: &Path, endpoint: &Endpoint) -> Proxy {
    let config = format!(
        "admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: web }} ]
clusters: [ {{ name: web, balancer: {{ plugin: maglev }}, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    );
    let arguments = ["--log", "debug", "run", "--config", "config.yaml"];
    let variables = [("PLIMSOLL_CACHE_DIR", cache.to_str().expect("a path in UTF-8"))];
    let proxy = Proxy::run_with(PLIMSOLL, &arguments, Some(&config), &variables);
    assert_eq!(get(proxy.address("web"), "/").text(), "one");
    proxy
}

fn directory(test: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("plimsoll-cache-{}-{test}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

const COMPILED: &str = "compiled a plugin";

#[test]
fn a_plugin_is_compiled_at_the_first_start_alone() {
    let (cache, endpoint) = (directory("once"), Endpoint::named("one"));
    assert!(serving(&cache, &endpoint).log().contains(COMPILED));
    assert!(!serving(&cache, &endpoint).log().contains(COMPILED));
    fs::remove_dir_all(&cache).expect("cleaned up");
}

#[test]
fn what_was_changed_since_it_was_compiled_is_told_and_compiled_anew() {
    let (cache, endpoint) = (directory("changed"), Endpoint::named("one"));
    serving(&cache, &endpoint);
    let entries = || fs::read_dir(cache.join("compiled")).expect("the cache").flatten().map(|entry| entry.path());
    for entry in entries().filter(|path| path.extension().is_some_and(|ending| ending == "compiled")) {
        let mut code = fs::read(&entry).expect("an entry");
        let middle = code.len() / 2;
        code[middle] ^= 1;
        fs::write(&entry, code).expect("another entry");
    }
    let proxy = serving(&cache, &endpoint);
    proxy.wait_for_log("is damaged or not of this proxy", "plugin");
    assert!(proxy.log().contains(COMPILED));
    assert!(!serving(&cache, &endpoint).log().contains(COMPILED));
    fs::remove_dir_all(&cache).expect("cleaned up");
}

#[test]
fn a_cache_that_others_may_write_to_is_told_and_not_used() {
    let (cache, endpoint) = (directory("open"), Endpoint::named("one"));
    fs::create_dir(cache.join("compiled")).expect("a directory");
    fs::set_permissions(cache.join("compiled"), Permissions::from_mode(0o777)).expect("open to all");
    serving(&cache, &endpoint).wait_for_log("compiled plugins are not kept", "mode");
    assert!(serving(&cache, &endpoint).log().contains(COMPILED));
    fs::remove_dir_all(&cache).expect("cleaned up");
}
