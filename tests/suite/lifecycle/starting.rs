//! `plimsoll run` without a file, `plimsoll demo`, and starts that fail.

use std::collections::BTreeSet;

use plimsoll_tests::{Endpoint, Proxy, Signal, get, request, wait_for};

use crate::PLIMSOLL;

#[test]
fn addresses_alone_are_enough_to_balance_over() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let (first, second) = (one.address().to_string(), two.address().to_string());
    let arguments = ["run", "--to", &first, "--to", &second, "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut proxy = Proxy::run(PLIMSOLL, &arguments, None);
    let web = proxy.wait_for_log(" listening ", "address=");
    let web = web.trim_matches('"').parse().expect("an address");
    let mut answered = BTreeSet::new();
    wait_for("both to answer", || {
        answered.insert(get(web, "/").text());
        (answered.len() == 2).then_some(())
    });
    assert_eq!(answered, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["endpoints"], 2);
    // There is no file to read again: the same configuration is made live once more.
    proxy.signal(Signal::Hup);
    wait_for("the reload", || (proxy.admin_json("GET", "/v1/status", None)["config_version"] == 2).then_some(()));
    assert_eq!(get(web, "/").status, 200);
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn an_address_that_is_none_is_told() {
    let mut proxy = Proxy::run(PLIMSOLL, &["run", "--to", "here"], None);
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    proxy.wait_for_log("here", "here");
}

#[test]
fn the_demo_serves_and_says_what_to_try() {
    let mut proxy = Proxy::run(PLIMSOLL, &["demo", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0"], None);
    let said = wait_for("the demo to come up", || Some(proxy.stdout()).filter(|said| said.contains("Ctrl-C ends it.")));
    let web = said.lines().find_map(|line| line.trim().strip_prefix("curl http://")).expect("a command to try");
    let web = web.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
    let mut origins = BTreeSet::new();
    wait_for("all colours to answer", || {
        let response = get(web, "/");
        assert_eq!(response.status, 200);
        origins.insert(response.header("x-origin").expect("a name").to_owned());
        (origins.len() == 3).then_some(())
    });
    let sticky = get(web, "/sticky");
    let cookie = sticky.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
    let origin = sticky.header("x-origin");
    assert!((0..6).all(|_| request(web, "GET", "/sticky", &[("cookie", cookie)], None).header("x-origin") == origin));
    // Each of the commands is one that works: what they name is there.
    for path in ["/v1/status", "/v1/clusters", "/v1/plugins", "/metrics"] {
        assert!(said.contains(&format!("curl http://{}{path}", proxy.admin_address())), "{path} in {said}");
        assert_eq!(proxy.admin("GET", path, None).status, 200);
    }
    let drained = proxy.admin("PATCH", "/v1/clusters/colours/endpoints/red", Some(br#"{"drain":true}"#));
    assert_eq!(drained.status, 200, "{}", drained.text());
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn a_port_that_is_taken_ends_the_start_and_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket");
    let cluster = "clusters: [ { name: app, endpoints: [ \"127.0.0.1:9\" ] } ]";
    let listener = format!(
        "admin: {{ enabled: false }}\nlisteners: [ {{ name: web, bind: \"{address}\", cluster: app }} ]\n{cluster}"
    );
    let admin = format!(
        "admin: {{ bind: \"{address}\" }}\nlisteners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]\n{cluster}"
    );
    for config in [listener, admin] {
        let mut proxy = Proxy::launch(PLIMSOLL, &config);
        assert!(proxy.wait_for_end().code().is_some_and(|code| code != 0));
        proxy.wait_for_log(&address.to_string(), "listen");
    }
}

#[test]
fn without_an_admin_api_it_serves_all_the_same() {
    let one = Endpoint::named("one");
    let mut proxy = Proxy::launch(
        PLIMSOLL,
        &format!(
            "admin: {{ enabled: false }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            one.address()
        ),
    );
    let web = proxy.wait_for_log(" listening ", "address=");
    assert_eq!(get(web.trim_matches('"').parse().expect("an address"), "/").text(), "one");
    assert!(!proxy.log().contains("admin API is up"));
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}
