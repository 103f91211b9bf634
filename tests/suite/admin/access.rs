//! Who gets in, and what becomes of requests that are wrong whatever they want.

use plimsoll_tests::{Connection, Endpoint, Proxy, Response, request};

use super::json;
use crate::{PLIMSOLL, in_front_of};

const REST: &str = "listeners: [ { name: web, bind: \"127.0.0.1:0\", cluster: app } ]
clusters: [ { name: app, endpoints: [ \"127.0.0.1:9\" ] } ]";

fn with_authorization(proxy: &Proxy, path: &str, value: &str) -> Response {
    request(proxy.admin_address(), "GET", path, &[("authorization", value)], None)
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
    for path in ["/", "/v1", "/v2/status", "/v1/status/", "/v1/clusters/app/endpoints", "/v1/clusters/a%2Fb/c"] {
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
    connection.send(format!("PATCH {endpoint} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
    connection.try_send(format!("{:x}\r\n{}\r\n0\r\n\r\n", (16 << 10) + 1, " ".repeat((16 << 10) + 1)));
    assert_eq!(connection.response().map(|response| response.status), Some(413));
}
