//! `run --watch`.

use plimsoll_tests::{Endpoint, Proxy, get, wait_for};

use crate::PLIMSOLL;

fn config(endpoint: &Endpoint) -> String {
    format!(
        "admin: {{ bind: \"127.0.0.1:0\" }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

fn watching(config: &str) -> Proxy {
    Proxy::run(PLIMSOLL, &["run", "--watch", "--config", "config.yaml"], Some(config))
}

fn version(proxy: &Proxy) -> u64 {
    proxy.admin_json("GET", "/v1/status", None)["config_version"].as_u64().expect("a number")
}

fn is_served_by(proxy: &Proxy, name: &str) {
    let web = proxy.address("web");
    wait_for(name, || (get(web, "/").text() == name).then_some(()));
}

#[test]
fn a_changed_file_is_live_without_a_signal_however_it_was_changed() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = watching(&config(&one));
    is_served_by(&proxy, "one");
    proxy.write_config(&config(&two));
    is_served_by(&proxy, "two");
    // As editors and tools do that replace files.
    let next = proxy.directory().join("next");
    std::fs::write(&next, config(&one)).expect("written");
    std::fs::rename(&next, proxy.directory().join("config.yaml")).expect("replaced");
    is_served_by(&proxy, "one");
    // As Kubernetes does with mounted ConfigMaps.
    let [first, second] = ["first", "second"].map(|name| proxy.directory().join(name));
    std::fs::write(&first, config(&two)).expect("written");
    std::fs::write(&second, config(&one)).expect("written");
    for (target, name) in [(first, "two"), (second, "one")] {
        std::os::unix::fs::symlink(target, &next).expect("a link");
        std::fs::rename(&next, proxy.directory().join("config.yaml")).expect("replaced");
        is_served_by(&proxy, name);
    }
    assert_eq!(version(&proxy), 5);
}

#[test]
fn a_bad_file_is_told_and_leaves_what_is_live() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = watching(&config(&one));
    is_served_by(&proxy, "one");
    let is_successful = || proxy.metric("plimsoll_config_last_reload_successful");
    assert_eq!(is_successful(), 1.0);
    proxy.write_config(&format!("{}\nlistners: []\n", config(&two)));
    proxy.wait_for_log("listners: unknown key", "config.yaml:");
    wait_for("the metric", || (is_successful() == 0.0).then_some(()));
    assert_eq!((version(&proxy), proxy.metric("plimsoll_config_reloads_total{result=\"failure\"}")), (1, 1.0));
    is_served_by(&proxy, "one");
    std::fs::remove_file(proxy.directory().join("config.yaml")).expect("it was there");
    proxy.wait_for_log("config.yaml: reading failed: No such file", "origin=");
    is_served_by(&proxy, "one");
    proxy.write_config(&config(&two));
    is_served_by(&proxy, "two");
    wait_for("the metric", || (is_successful() == 1.0).then_some(()));
    assert_eq!(version(&proxy), 2);
}

#[test]
fn what_the_proxy_saves_itself_is_no_change() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = watching(&config(&one));
    is_served_by(&proxy, "one");
    proxy.admin_json("PUT", "/v1/config?save=true", Some(config(&two).as_bytes()));
    is_served_by(&proxy, "two");
    proxy.write_config(&config(&one));
    is_served_by(&proxy, "one");
    let versions = proxy.admin_json("GET", "/v1/config/versions", None);
    let origins: Vec<_> = versions.as_array().into_iter().flatten().map(|version| version["origin"].clone()).collect();
    assert_eq!(origins, ["file", "api", "start"]);
}

#[test]
fn without_a_file_there_is_nothing_to_watch() {
    let mut proxy = Proxy::run(PLIMSOLL, &["run", "--watch", "--to", "127.0.0.1:9"], None);
    assert_eq!(proxy.wait_for_end().code(), Some(2));
}
