//! Endpoints that come from names, services and files.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use plimsoll_tests::{Dnsmasq, Endpoint, Proxy, get, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// Endpoints at 127.0.0.2 and 127.0.0.3 with the same port.
fn two() -> (Endpoint, Endpoint) {
    wait_for("a port that is free at both", || {
        let two = Endpoint::named_at("two", ([127, 0, 0, 2], 0).into())?;
        let three = Endpoint::named_at("three", ([127, 0, 0, 3], two.address().port()).into())?;
        Some((two, three))
    })
}

/// A proxy whose cluster `app` has this, with names looked up at `server`.
fn proxy(server: Option<SocketAddr>, cluster: &str) -> Proxy {
    let servers = server.map(|server| format!("servers: [ \"{server}\" ]")).unwrap_or_default();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
resolver: {{ {servers} }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, {cluster} }} ]"
        ),
    )
}

fn report(proxy: &Proxy) -> Value {
    proxy.admin_json("GET", "/v1/clusters/app", None)
}

fn ids(proxy: &Proxy) -> Vec<String> {
    let report = report(proxy);
    let endpoints = report["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().map(|endpoint| endpoint["id"].as_str().unwrap_or_default().to_owned()).collect()
}

fn served_by(proxy: &Proxy) -> BTreeSet<String> {
    let web = proxy.address("web");
    (0..6).map(|_| get(web, "/").text()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_name_is_all_of_its_addresses_and_follows_its_records() {
    let (two, _three) = two();
    let port = two.address().port();
    let mut dns = Dnsmasq::start("127.0.0.2 web.test", "");
    let proxy = proxy(Some(dns.address()), &format!("endpoints: [ \"web.test:{port}\" ]"));
    assert_eq!((ids(&proxy), served_by(&proxy)), (vec![format!("web.test:{port}")], set(&["two"])));
    dns.restart("127.0.0.2 web.test\n127.0.0.3 web.test", "");
    wait_for("the second address", || (ids(&proxy).len() == 2).then_some(()));
    assert_eq!(ids(&proxy), ["127.0.0.2", "127.0.0.3"].map(|ip| format!("web.test:{port}@{ip}")));
    wait_for("traffic at both", || (served_by(&proxy) == set(&["two", "three"])).then_some(()));
    dns.restart("127.0.0.3 web.test", "");
    wait_for("the first address to go", || (ids(&proxy).len() == 1).then_some(()));
    wait_for("traffic at the other", || (served_by(&proxy) == set(&["three"])).then_some(()));
    // Whether nobody answers or there is no such name any more: what was known stays, and that is told.
    dns.stop();
    let failing = || report(&proxy)["sources"][0]["error"].as_str().map(str::to_owned);
    wait_for("a failure", failing);
    dns.restart("127.0.0.3 other.test", "");
    wait_for("another failure", || failing().filter(|error| error == "there is no such name"));
    assert_eq!((ids(&proxy).len(), served_by(&proxy)), (1, set(&["three"])));
    assert!(proxy.metric("plimsoll_discovery_answers_total{result=\"failure\"}") > 0.0);
}

#[test]
fn a_name_without_an_address_fails_no_reload_and_joins_when_it_has_one() {
    let (two, _three) = two();
    let port = two.address().port();
    let mut dns = Dnsmasq::start("127.0.0.2 web.test", "");
    let proxy = proxy(Some(dns.address()), &format!("endpoints: [ \"web.test:{port}\", \"late.test:{port}\" ]"));
    assert_eq!(served_by(&proxy), set(&["two"]));
    let report = report(&proxy);
    assert_eq!(report["unresolved"][0]["address"], format!("late.test:{port}"), "{report:#}");
    assert_eq!(report["unresolved"][0]["reason"], "there is no such name", "{report:#}");
    proxy.wait_for_log("endpoints cannot be found", "what=\"late.test\"");
    dns.restart("127.0.0.2 web.test\n127.0.0.3 late.test", "");
    wait_for("it to join", || (served_by(&proxy) == set(&["two", "three"])).then_some(()));
    assert_eq!(self::report(&proxy)["unresolved"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_service_is_what_its_records_say() {
    let (two, _three) = two();
    let port = two.address().port();
    let hosts = "127.0.0.2 a.test\n127.0.0.3 b.test";
    let record =
        |target: &str, priority, weight| format!("srv-host=_http._tcp.app.test,{target},{port},{priority},{weight}\n");
    let mut dns = Dnsmasq::start(hosts, &record("a.test", 10, 7));
    let proxy = proxy(Some(dns.address()), "discover: [ { srv: _http._tcp.app.test } ]");
    wait_for("the service", || (served_by(&proxy) == set(&["two"])).then_some(()));
    assert_eq!(report(&proxy)["endpoints"][0]["weight"], 7);
    dns.restart(hosts, &(record("a.test", 10, 3) + &record("b.test", 10, 0)));
    wait_for("the second target", || (served_by(&proxy) == set(&["two", "three"])).then_some(()));
    assert_eq!(ids(&proxy), [format!("a.test:{port}"), format!("b.test:{port}")]);
    let report = report(&proxy);
    assert_eq!((&report["endpoints"][0]["weight"], &report["endpoints"][1]["weight"]), (&3.into(), &1.into()));
    // A higher number is for when the others are gone.
    dns.restart(hosts, &(record("a.test", 10, 3) + &record("b.test", 20, 5)));
    wait_for("the second target to stand by", || (served_by(&proxy) == set(&["two"])).then_some(()));
    assert_eq!(ids(&proxy).len(), 2);
}

#[test]
fn localhost_is_reached_whichever_family_listens() {
    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().expect("an address");
        let Some(endpoint) = Endpoint::named_at("here", (ip, 0).into()) else { continue };
        let proxy = proxy(None, &format!("endpoints: [ \"app.localhost:{}\" ]", endpoint.address().port()));
        let web = proxy.address("web");
        assert!((0..10).all(|_| get(web, "/").text() == "here"), "{ip}");
    }
}

#[test]
fn a_file_of_endpoints_is_followed_and_a_broken_one_changes_nothing() {
    let (two, three) = two();
    let directory = std::env::temp_dir().join(format!("plimsoll-endpoints-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("endpoints.yaml");
    let write = |text: String| {
        std::fs::write(directory.join("next"), text).expect("written");
        std::fs::rename(directory.join("next"), &file).expect("replaced");
    };
    write(format!("endpoints: [ \"{}\" ]", two.address()));
    let proxy = proxy(None, &format!("discover: [ {{ file: {file:?} }} ]"));
    assert_eq!(served_by(&proxy), set(&["two"]));
    write(format!("endpoints:\n- {{ id: a, address: \"{}\", weight: 1 }}\n- \"{}\"\n", two.address(), three.address()));
    wait_for("both", || (served_by(&proxy) == set(&["two", "three"])).then_some(()));
    assert_eq!(ids(&proxy), ["a".to_owned(), three.address().to_string()]);
    for (broken, told) in
        [("endpoints: [ \"nowhere\" ]", "endpoints.yaml:1:14"), ("", "endpoints.yaml"), ("endpoint: []", "unknown key")]
    {
        write(broken.to_owned());
        let error =
            || report(&proxy)["sources"][0]["error"].as_str().filter(|error| error.contains(told)).map(str::to_owned);
        wait_for(told, error);
        assert_eq!(served_by(&proxy), set(&["two", "three"]), "{broken}");
    }
    std::fs::remove_file(&file).expect("it was there");
    wait_for("its absence to be told", || {
        report(&proxy)["sources"][0]["error"].as_str().filter(|error| error.contains("No such file")).map(str::to_owned)
    });
    write(format!("endpoints: [ \"{}\" ]", three.address()));
    wait_for("the one", || (served_by(&proxy) == set(&["three"])).then_some(()));
    assert!(report(&proxy)["sources"][0]["error"].is_null());
    std::fs::remove_dir_all(&directory).expect("cleaned up");
}
