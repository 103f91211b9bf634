//! What the proxy knows of gRPC, shown by a real client and server, and by requests that say what theirs would.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use http::Request;
use plimsoll_tests::{
    Endpoint, Http2, Http2Response, Process, Proxy, Response, free_address, node, python, request, wait_for,
};
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

#[test]
fn grpc_web_becomes_grpc_for_clients_that_see_no_trailers() {
    let server = Process::python("grpc/server.py");
    let proxy = in_front_of(server.address(), "cluster: app");
    for version in ["1.1", "2"] {
        let output = node("grpc/web.mjs")
            .args([&format!("http://{}", proxy.address("web")), version])
            .output()
            .expect("`cargo xtask prerequisites` brings node");
        let said = String::from_utf8_lossy(&output.stdout);
        let said: Vec<_> = said.lines().collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        let (deadline, before) = said.split_last().unwrap_or_else(|| panic!("{version}: {errors}"));
        assert_eq!(
            before,
            ["hello one two", "true", "again again again", "NotFound no such thing: \u{e4} gone"],
            "{version}: {errors}"
        );
        // In the words of the client or in ours, whoever has seen it pass first.
        assert!(deadline.starts_with("DeadlineExceeded ") && deadline.ends_with(" null"), "{version}: {deadline}");
    }
    // What the deadline of a call has ended at the proxy or at its client is in neither.
    for (code, count) in [("OK", 6.0), ("NotFound", 2.0)] {
        let name = format!("plimsoll_grpc_calls_total{{cluster=\"app\",grpc_code=\"{code}\"}}");
        assert_eq!(proxy.metric(&name), count, "{code}");
    }
}

/// One call of gRPC-Web over HTTP/1.1.
fn web_call(proxy: &Proxy, path: &str, media_type: &str, body: &[u8]) -> Response {
    let fields = [("host", "a.test"), ("content-type", media_type)];
    request(proxy.address("web"), "POST", path, &fields, Some(body))
}

#[test]
fn grpc_web_as_text_is_in_base64_both_ways() {
    let server = Process::python("grpc/server.py");
    let proxy = in_front_of(server.address(), "cluster: app");
    // A message `hi` in two parts, each encoded by itself: `\0\0\0\0` and `\x02hi`.
    let answer = web_call(&proxy, "/test.Calls/Echo", "application/grpc-web-text+proto", b"AAAAAA==Amhp");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web-text")));
    let decoded = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut decoding = decoded.expect("base64 runs");
    // Parts are encoded one by one here, too, which this program takes from a line each.
    let lines = answer.text().replace('=', "=\n").replace("=\n=", "==");
    decoding.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
    let decoded = decoding.wait_with_output().expect("it ends").stdout;
    assert!(decoded.starts_with(b"\0\0\0\0\x02hi\x80\0\0\0"), "{}", answer.text());
    let text = String::from_utf8_lossy(&decoded);
    assert!(text.contains("grpc-status: 0\r\n") && text.contains("x-trailing: two\r\n"), "{text}");
    // What is no base64 is the client's mistake, in words that it understands.
    let answer = web_call(&proxy, "/test.Calls/Echo", "application/grpc-web-text", b"!!!!");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web-text")));
    assert_eq!(answer.header("grpc-status"), Some("13"), "{}", answer.text());
}

#[test]
fn an_answer_of_ours_is_one_of_grpc_web_and_others_pass() {
    let proxy = in_front_of(free_address(), "cluster: app");
    let answer = web_call(&proxy, "/test.Calls/Echo", "application/grpc-web+proto", b"\0\0\0\0\0");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web")));
    assert_eq!((answer.header("grpc-status"), answer.body.len()), (Some("14"), 0));
    // An endpoint that is not known to speak HTTP/2 gets what its client has sent.
    let endpoint = Endpoint::scripted(std::sync::Arc::new(|mut stream| {
        let asked = plimsoll_tests::read_request(&mut stream).unwrap_or_default();
        let seen = asked.contains("application/grpc-web+proto");
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{seen:<5}");
    }));
    let proxy = crate::in_front_of(&[&endpoint], "", "");
    let answer = web_call(&proxy, "/test.Calls/Echo", "application/grpc-web+proto", b"\0\0\0\0\0");
    assert_eq!(answer.text(), "true ");
}

#[test]
fn an_endpoint_is_told_what_is_left_of_the_time_of_a_call() {
    let endpoint = Endpoint::named("one");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    );
    assert_eq!(call(&proxy, "/test.Calls/Say", "20S").status, 200);
    let requests = endpoint.requests();
    let told = requests[0].lines().find_map(|line| line.strip_prefix("grpc-timeout: ")).expect("it is told");
    let left: u64 = told.strip_suffix('u').expect("microseconds").parse().expect("a number");
    assert!((15_000_000..20_000_000).contains(&left), "{told}");
}
