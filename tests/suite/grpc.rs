//! What the proxy knows of gRPC, shown by a real client and server, and by requests that say what theirs would.

use std::net::SocketAddr;

use http::Request;
use plimsoll_tests::{Endpoint, Http2, Http2Response, Process, Proxy, free_address, python, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

fn in_front_of(endpoint: SocketAddr, listener: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, {listener} }} ]
clusters: [ {{ name: app, protocol: http2, endpoints: [ {{ address: \"{endpoint}\" }} ] }} ]"
        ),
    )
}

fn call(proxy: &Proxy, path: &str, timeout: &str) -> Http2Response {
    let request = Request::post(format!("http://{}{path}", proxy.address("web")))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(())
        .expect("a request");
    Http2::open(proxy.address("web")).send(request, Some(b"\0\0\0\0\0")).expect("an answer")
}

fn status(answer: &Http2Response) -> (u16, &str, &str) {
    let field = |name: &str| answer.headers.get(name).map_or("-", |value| value.to_str().expect("text"));
    (answer.status.as_u16(), field("content-type"), field("grpc-status"))
}

#[test]
fn answers_of_ours_are_statuses_to_a_grpc_client() {
    let rules = "router: { plugin: rules, config: { routes: [
        { match: { path_prefix: /test.Calls/Denied }, respond: { status: 403, body: no } },
        { match: { path_prefix: /test.Calls }, cluster: app } ] } }";
    let proxy = in_front_of(free_address(), rules);
    let output = python("grpc/refused.py").arg(proxy.address("web").to_string()).output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["UNAVAILABLE Bad Gateway", "PERMISSION_DENIED Forbidden", "UNIMPLEMENTED Not Found"],
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(proxy.metric("plimsoll_grpc_calls_total{cluster=\"app\",grpc_code=\"Unavailable\"}"), 1.0);
    let line = wait_for("a line in the access log", || proxy.stdout().lines().next().map(str::to_owned));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&line["status"], &line["grpc_status"], &line["flag"]),
        (&200.into(), &14.into(), &"UF".into()),
        "{line}"
    );
}

#[test]
fn a_deadline_that_passes_ends_the_call_at_the_proxy() {
    let silent = Endpoint::scripted(std::sync::Arc::new(|stream| {
        if let Some(mut connection) = plimsoll_tests::Http2Endpoint::accept(stream, &[]) {
            while connection.next_frame().is_some() {}
        }
    }));
    // The sooner of the two counts.
    for (listener, timeout) in [("", "200m"), ("timeouts: { request: 200ms }, ", "1H")] {
        let proxy = in_front_of(silent.address(), &format!("{listener} cluster: app"));
        let answer = call(&proxy, "/test.Calls/Wait", timeout);
        assert_eq!(status(&answer), (200, "application/grpc", "4"));
        assert_eq!(proxy.metric("plimsoll_grpc_calls_total{cluster=\"app\",grpc_code=\"DeadlineExceeded\"}"), 1.0);
    }
}

#[test]
fn the_status_of_a_call_is_in_metrics_and_log() {
    let server = Process::python("grpc/server.py");
    let proxy = in_front_of(server.address(), "cluster: app");
    // One in trailers, one in a head alone.
    call(&proxy, "/test.Calls/Unary", "20S");
    call(&proxy, "/test.Calls/Fail", "20S");
    let lines = wait_for("two lines", || {
        let lines: Vec<Value> = proxy.stdout().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (lines.len() == 2).then_some(lines)
    });
    assert_eq!((&lines[0]["grpc_status"], &lines[1]["grpc_status"]), (&0.into(), &5.into()), "{lines:?}");
    for code in ["OK", "NotFound"] {
        let name = format!("plimsoll_grpc_calls_total{{cluster=\"app\",grpc_code=\"{code}\"}}");
        assert_eq!(proxy.metric(&name), 1.0, "{code}");
    }
}
