//! What plugins say is shown as theirs: nothing of it passes for a line, a field or a label of the proxy's own.

use plimsoll_tests::{Connection, Endpoint, Proxy, guest, guest_path, wait_for};

use crate::PLIMSOLL;

/// A proxy before an endpoint, whose balancer writes this to the log at each pick.
fn saying(endpoint: &Endpoint, message: &str, times: u32) -> Proxy {
    let greed = serde_json::json!({ "message": message, "times": times });
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: hoarder, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: hoarder, config: {greed} }}, endpoints: [ \"{}\" ] }} ]",
            guest_path("hoarder"),
            endpoint.address()
        ),
    )
}

fn ask(proxy: &Proxy) {
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(connection.response().expect("an answer").status, 200);
}

#[test]
fn a_message_with_line_feeds_is_one_line_of_the_log() {
    let endpoint = Endpoint::named("a");
    let proxy =
        saying(&endpoint, "ok\n2026-11-26T19:59:59Z  INFO audit: configuration is live version=99\r\u{1b}[2Jend", 1);
    ask(&proxy);
    let line = wait_for("the message", || {
        proxy.log().lines().find(|line| line.contains("configuration is live version=99")).map(ToOwned::to_owned)
    });
    assert!(
        line.contains(r"ok\n2026-11-26T19:59:59Z  INFO audit: configuration is live version=99\r\u{1b}[2Jend"),
        "{line}"
    );
    assert!(line.contains("plimsoll::guest: ") && line.ends_with("plugin=\"hoarder\""), "{line}");
}

#[test]
fn a_message_cannot_say_that_another_plugin_said_it() {
    let endpoint = Endpoint::named("a");
    let proxy = saying(&endpoint, "hello plugin=\"rules\"", 1);
    ask(&proxy);
    let line =
        wait_for("the message", || proxy.log().lines().find(|line| line.contains("hello")).map(ToOwned::to_owned));
    assert!(line.ends_with(r#"hello plugin=\"rules\" plugin="hoarder""#), "{line}");
}

#[test]
fn messages_over_a_hundred_in_a_second_are_dropped_and_counted() {
    let endpoint = Endpoint::named("a");
    let proxy = saying(&endpoint, "again and again", 300);
    ask(&proxy);
    let dropped = || proxy.metric("plimsoll_plugin_messages_dropped_total{plugin=\"hoarder\"}");
    // A second may begin meanwhile.
    assert!((100.0..=200.0).contains(&dropped()), "{}", dropped());
    wait_for("what was not dropped", || {
        let written = proxy.log().matches("again and again").count();
        (written as f64 == 300.0 - dropped()).then_some(())
    });
}

#[test]
fn long_messages_are_cut() {
    let endpoint = Endpoint::named("a");
    let proxy = saying(&endpoint, &("x".repeat(5000) + "the end"), 1);
    ask(&proxy);
    let line = wait_for("the message", || proxy.log().lines().find(|line| line.contains("xxx")).map(ToOwned::to_owned));
    assert!(line.contains(&format!("{}...", "x".repeat(4096))) && !line.contains("the end"), "{line}");
}

#[test]
fn mistakes_that_a_plugin_tells_are_lines_of_their_own_and_no_more() {
    let mut proxy = Proxy::launch(
        PLIMSOLL,
        &format!(
            "plugins: [ {{ name: liar, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: liar }}, endpoints: [ \"127.0.0.1:9\" ] }} ]",
            guest_path("liar")
        ),
    );
    assert!(!proxy.wait_for_end().success());
    let log = proxy.log();
    assert!(log.contains(r"refused\n2026-11-26T19:59:59Z  INFO all is well\u{1b}[2J"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-11-26T19:59:59Z")), "{log}");
}

#[test]
fn a_version_that_is_none_and_a_summary_of_several_lines_are_refused() {
    let endpoint = Endpoint::named("a");
    let proxy = saying(&endpoint, "", 1);
    // As long as what they take the place of.
    for (from, to, message) in [
        ("0.1.0", "0.1\n0", r"version `0.1\n0` is no semantic version"),
        ("0.1.0", "01.00", "version `01.00` is no semantic version"),
        ("sends everything to the first endpoint", "sends everything\nto the first endpoint", "is not one line"),
    ] {
        let mut component = guest("first").to_vec();
        let places: Vec<usize> = component
            .windows(from.len())
            .enumerate()
            // Those of imports and exports stay.
            .filter(|(at, window)| *window == from.as_bytes() && component[at - 1] != b'@')
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty(), "no {from:?} in the component");
        for at in places {
            component[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        let refused = proxy.admin("PUT", "/v1/plugins/other", Some(&component));
        let body: serde_json::Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!((refused.status, body["code"].as_str()), (422, Some("bad_manifest")), "{body}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains(message)), "{body}");
    }
}
