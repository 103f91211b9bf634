//! Who gets in, and what becomes of requests that are wrong whatever they want.

use plimsoll_tests::{Connection, Endpoint, Proxy, Response};

use super::json;
use crate::{PLIMSOLL, in_front_of};

const REST: &str = "listeners: [ { name: web, bind: \"127.0.0.1:0\", cluster: app } ]
clusters: [ { name: app, endpoints: [ \"127.0.0.1:9\" ] } ]";

fn with_authorization(proxy: &Proxy, path: &str, value: &str) -> Response {
    proxy.admin_with("GET", path, &[("authorization", value)], None)
}

#[test]
fn only_the_bearer_of_the_token_gets_in() {
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0, token: s3cret-token }}\n{REST}"));
    for path in ["/v1/status", "/v1/config", "/v1/plugins", "/v1/openapi.json", "/metrics"] {
        let refused = proxy.admin("GET", path, None);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        assert_eq!(json(&refused)["code"], "unauthorized");
        assert_eq!(with_authorization(&proxy, path, "Bearer s3cret-token").status, 200, "{path}");
    }
    // RFC 9110 section 11.1: the scheme's case does not matter.
    assert_eq!(with_authorization(&proxy, "/v1/status", "bearer s3cret-token").status, 200);
    for wrong in [
        "Bearer s3cret-tokeN",
        "Bearer s3cret-token1",
        "Bearer s3cret",
        "Bearer ",
        "Bearer",
        "s3cret-token",
        "Basic s3cret-token",
        "",
    ] {
        assert_eq!(with_authorization(&proxy, "/v1/status", wrong).status, 401, "{wrong}");
    }
}

#[test]
fn changes_need_the_token_too() {
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0, token: s3cret-token }}\n{REST}"));
    for (method, path) in [
        ("PUT", "/v1/config"),
        ("POST", "/v1/config/rollback"),
        ("PATCH", "/v1/clusters/app/endpoints/127.0.0.1:9"),
        ("PUT", "/v1/plugins/round-robin"),
        ("POST", "/v1/plugins/round-robin/rollback"),
        ("POST", "/v1/plugins/round-robin/release"),
    ] {
        assert_eq!(proxy.admin(method, path, Some(b"{}")).status, 401, "{method} {path}");
    }
}

#[test]
fn orchestrators_ask_for_health_without_the_token() {
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0, token: s3cret-token }}\n{REST}"));
    let alive = proxy.admin("GET", "/healthz", None);
    assert_eq!((alive.status, alive.text().as_str()), (200, "ok\n"));
    let ready = proxy.admin("GET", "/readyz", None);
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
}

#[test]
fn beyond_loopback_it_does_not_start_without_a_token() {
    let mut proxy = Proxy::launch(PLIMSOLL, &format!("admin: {{ bind: 0.0.0.0:0 }}\n{REST}"));
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    // It waits for the line: the log is read by a thread.
    proxy.wait_for_log("beyond loopback, needs a `token`", "config.yaml:1:");
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 0.0.0.0:0, token: s3cret-token }}\n{REST}"));
    assert_eq!(proxy.admin_address().ip().to_string(), "0.0.0.0");
}

#[test]
fn a_unix_socket_is_for_its_owner_only_and_goes_with_the_proxy() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    let mut proxy = Proxy::launch(PLIMSOLL, &format!("admin: {{ bind: \"unix:admin.sock\" }}\n{REST}"));
    proxy.wait_for_log("admin API is up", "address=");
    let path = proxy.directory().join("admin.sock");
    let mode = std::fs::metadata(&path).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    UnixStream::connect(&path).expect("someone answers");
    proxy.signal(plimsoll_tests::Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn unknown_paths_and_wrong_methods_get_json() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    for path in ["/", "/v1", "/v2/status", "/v1/status/", "/v1/clusters/app/members", "/v1/clusters/a%2Fb/c"] {
        let response = proxy.admin("GET", path, None);
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(json(&response)["code"], "not_found", "{path}");
    }
    for path in ["/v1/clusters/none", "/v1/clusters/a%2Fb", "/v1/clusters/%F0%9F%A6%80"] {
        let response = proxy.admin("GET", path, None);
        assert_eq!((response.status, json(&response)["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    let response = proxy.admin("DELETE", "/v1/config", None);
    assert_eq!((response.status, json(&response)["code"].as_str()), (405, Some("method_not_allowed")));
    let allowed = response.header("allow").unwrap_or_default();
    assert!(allowed.contains("GET") && allowed.contains("PUT"), "{allowed}");
}

#[test]
fn bodies_are_bounded() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let endpoint = format!("/v1/clusters/app/endpoints/{}", one.address());
    for (method, path, limit) in [
        ("PATCH", endpoint.as_str(), 16 << 10),
        ("PUT", "/v1/config", 16 << 20),
        ("PUT", "/v1/plugins/round-robin", 33 << 20),
    ] {
        let response = proxy.admin(method, path, Some(&vec![b' '; limit + 1]));
        assert_eq!((response.status, json(&response)["code"].as_str()), (413, Some("too_large")), "{method} {path}");
        // One byte fewer is read, and then refused for what it is.
        let response = proxy.admin(method, path, Some(&vec![b' '; limit]));
        assert!(matches!(response.status, 400 | 422), "{method} {path}: {}", response.text());
    }
    // The same for a body that does not tell its length.
    let mut connection = Connection::open(proxy.admin_address());
    connection.send(format!("PATCH {endpoint} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"));
    connection.try_send(format!("{:x}\r\n{}\r\n0\r\n\r\n", (16 << 10) + 1, " ".repeat((16 << 10) + 1)));
    assert_eq!(connection.response().map(|response| response.status), Some(413));
}

#[test]
fn a_page_whose_name_was_rebound_to_loopback_is_not_answered() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let port = proxy.admin_address().port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "[::1]".to_owned()] {
        assert_eq!(proxy.admin_with("GET", "/v1/config", &[("host", &host)], None).status, 200, "{host}");
    }
    let evil = format!("evil.test:{port}");
    let other = b"clusters: [ { name: b, endpoints: [ 127.0.0.1:9 ] } ]";
    for (method, path, body) in
        [("GET", "/v1/config", None), ("PUT", "/v1/config", Some(&other[..])), ("GET", "/metrics", None)]
    {
        let refused = proxy.admin_with(method, path, &[("host", &evil)], body);
        assert_eq!(
            (refused.status, json(&refused)["code"].as_str()),
            (421, Some("host_not_allowed")),
            "{method} {path}"
        );
    }
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1);
    assert_eq!(proxy.metric("plimsoll_admin_refused_total{reason=\"host\"}"), 3.0);
}

#[test]
fn a_page_of_another_origin_changes_nothing() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let host = proxy.admin_address().to_string();
    let own = format!("http://{host}");
    for fields in [
        [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")],
        [("origin", "null"), ("content-type", "text/plain")],
        [("sec-fetch-site", "cross-site"), ("content-type", "text/plain")],
    ] {
        let refused = proxy.admin_with("POST", "/v1/config/rollback", &fields, None);
        assert_eq!((refused.status, json(&refused)["code"].as_str()), (403, Some("origin_not_allowed")), "{fields:?}");
    }
    let allowed = proxy.admin_with("GET", "/v1/status", &[("origin", &own), ("sec-fetch-site", "same-origin")], None);
    assert_eq!(allowed.status, 200);
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1);
}

#[test]
fn names_can_be_allowed_and_a_token_allows_all() {
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0, hosts: [ Admin.Example ] }}\n{REST}"));
    assert_eq!(proxy.admin_with("GET", "/v1/status", &[("host", "admin.example:443")], None).status, 200);
    assert_eq!(proxy.admin_with("GET", "/v1/status", &[("host", "other.example")], None).status, 421);
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0, token: s3cret-token }}\n{REST}"));
    let fields = [("host", "other.example"), ("authorization", "Bearer s3cret-token")];
    assert_eq!(proxy.admin_with("GET", "/v1/status", &fields, None).status, 200);
}

#[test]
fn guessing_the_token_is_slow_counted_and_logged() {
    let proxy = Proxy::start(PLIMSOLL, &format!("admin: {{ bind: 127.0.0.1:0, token: s3cret-token }}\n{REST}"));
    let begun = std::time::Instant::now();
    for number in 0..10 {
        assert_eq!(with_authorization(&proxy, "/v1/status", &format!("Bearer {number}")).status, 401);
    }
    // 50, 100, 200, 400 and 800 ms after the first five.
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1550), "{:?}", begun.elapsed());
    let metrics = with_authorization(&proxy, "/metrics", "Bearer s3cret-token").text();
    assert!(metrics.contains("plimsoll_admin_refused_total{reason=\"token\"} 10"), "{metrics}");
    assert!(proxy.wait_for_log("wrong token for the admin API", "peer=").starts_with("\"127.0.0.1:"));
}

#[test]
fn silent_and_slow_clients_are_not_kept() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let host = proxy.admin_address();
    let begun = std::time::Instant::now();
    let mut silent = Connection::open(host);
    let mut half = Connection::open(host);
    half.send("GET /v1/status HTTP/1.1\r\nhost: localhost\r\n");
    let mut idle = Connection::open(host);
    idle.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(idle.response().map(|response| response.status), Some(200));
    let mut slow = Connection::open(host);
    slow.send("PUT /v1/plugins/slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n");
    let trickle = std::thread::spawn(move || {
        while begun.elapsed() < std::time::Duration::from_secs(8) && slow.try_send("x") {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        slow.response().map(|response| response.status)
    });
    assert_eq!(trickle.join().expect("no panic"), Some(408));
    for (what, connection) in [("silent", &mut silent), ("half a head", &mut half), ("idle", &mut idle)] {
        // Whatever it is told, it ends.
        connection.read_to_end();
        let after = begun.elapsed();
        assert!((5..19).contains(&after.as_secs()), "{what} ended after {after:?}");
    }
}

#[test]
fn connections_are_bounded() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let address = proxy.admin_address();
    let mut open: Vec<Connection> = Vec::new();
    for _ in 0..128 {
        let mut connection = Connection::open(address);
        connection.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        match connection.response().map(|response| response.status) {
            Some(200) => open.push(connection),
            // Those that the test itself has had are not quite gone yet.
            other => assert_eq!(other, Some(503)),
        }
    }
    let mut further = Connection::open(address);
    let answer = further.response().expect("an answer without a question");
    assert_eq!((answer.status, json(&answer)["code"].as_str()), (503, Some("busy")));
    drop(open);
    plimsoll_tests::wait_for("room again", || (proxy.admin("GET", "/healthz", None).status == 200).then_some(()));
    assert!(proxy.metric("plimsoll_admin_refused_total{reason=\"connections\"}") >= 1.0);
}
