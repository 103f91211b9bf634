//! HTTP/3 to endpoints: aioquic as one that nobody here wrote, and our own listener.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use plimsoll_tests::{
    Authority, Connection, Endpoint, Issued, Nginx, Process, Proxy, Signal, curl, free_address, get, python, request,
    wait_for,
};
use serde_json::{Value, json};

use crate::PLIMSOLL;

struct Site {
    authority: Authority,
    issued: Issued,
}

impl Site {
    fn new() -> Self {
        let authority = Authority::new("root");
        let issued = authority.issue("origin", "IP:127.0.0.1,DNS:origin.test");
        Self { authority, issued }
    }

    fn aioquic(&self, options: &[&str]) -> Process {
        let files = [&*self.issued.certificate, &*self.issued.key];
        let arguments: Vec<&Path> = files.into_iter().chain(options.iter().map(Path::new)).collect();
        Process::python_with("http3/server.py", &arguments)
    }

    fn in_front_of(&self, endpoint: SocketAddr, cluster: &str) -> Proxy {
        Proxy::start(PLIMSOLL, &self.config(endpoint, "", cluster))
    }

    fn config(&self, endpoint: SocketAddr, tls: &str, cluster: &str) -> String {
        let ca = self.authority.certificate();
        format!(
            "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - {{ name: app, protocol: http3, tls: {{ ca_file: \"{}\" {tls} }}, endpoints: [ {{ id: one, address: \"{endpoint}\" }} ], {cluster} }}",
            ca.display()
        )
    }

    /// Our own listener, in front of `application`, at an address that it has for TCP and UDP.
    fn ours(&self, application: SocketAddr, more: &str) -> Proxy {
        let Issued { certificate, key } = &self.issued;
        let (certificate, key) = (certificate.display(), key.display());
        Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, http3: true, tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }} }} ]
clusters: [ {{ name: app, {more} endpoints: [ \"{application}\" ] }} ]"
            ),
        )
    }
}

fn seen(proxy: &Proxy) -> Value {
    json_of(&get(proxy.address("web"), "/seen").text())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn attempts(proxy: &Proxy, outcome: &str) -> f64 {
    proxy.metric(&format!("plimsoll_attempts_total{{cluster=\"app\",outcome=\"{outcome}\"}}"))
}

fn fallbacks(proxy: &Proxy) -> f64 {
    proxy.metric("plimsoll_upstream_http3_fallbacks_total{cluster=\"app\"}")
}

fn url(proxy: &Proxy, path: &str) -> String {
    format!("http://{}{path}", proxy.address("web"))
}

#[test]
fn aioquic_is_asked_and_answers_with_all_that_answers_have() {
    let site = Site::new();
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "");
    let address = proxy.address("web");
    let fields = json_of(&request(address, "POST", "/fields?a=b", &[("x-own", "1")], Some(b"12345")).text());
    let named = ["method", "scheme", "path"].map(|name| fields[format!(":{name}")].clone());
    assert_eq!(named, [json!("POST"), json!("https"), json!("/fields?a=b")], "{fields}");
    assert_eq!((&fields["x-own"], &fields["bytes"], &fields["content-length"]), (&json!("1"), &json!(5), &json!("5")));
    assert_eq!((&fields["x-forwarded-proto"], &fields["host"]), (&json!("http"), &Value::Null), "{fields}");
    assert_eq!(fields["connection"], Value::Null);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let whole = curl(&[version, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", &url(&proxy, "/large")]);
        assert_eq!(whole, "200 3012000");
        let head = curl(&[version, "-I", &url(&proxy, "/large")]);
        assert!(head.contains("content-length: 3012000"), "{head}");
    }
    let mut client = Connection::open(address);
    client.send("GET /hint HTTP/1.1\r\nhost: a\r\n\r\n");
    client.send("GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\n\r\n");
    let text = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"), "{text}");
    assert_eq!((&seen(&proxy)["connections"], fallbacks_or_none(&proxy)), (&json!(1), 0.0));
    assert_eq!(proxy.metric("plimsoll_connects_total{cluster=\"app\",result=\"new\"}"), 1.0, "one carries all");
    assert_eq!(proxy.metric("plimsoll_upstream_tls_handshakes_total{cluster=\"app\",result=\"full\"}"), 1.0);
}

/// Before there is any there is no such series.
fn fallbacks_or_none(proxy: &Proxy) -> f64 {
    let page = proxy.admin("GET", "/metrics", None).text();
    if page.contains("plimsoll_upstream_http3_fallbacks_total{") { fallbacks(proxy) } else { 0.0 }
}

#[test]
fn uploads_of_any_size_arrive_with_their_trailers_and_come_back() {
    let site = Site::new();
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let (file, back) = (proxy.directory().join("sent"), proxy.directory().join("received"));
    std::fs::write(&file, &bytes).expect("room for a file");
    let from = format!("@{}", file.display());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let to = back.display().to_string();
        curl(&[version, "-o", &to, "--data-binary", &from, "-H", "expect:", &url(&proxy, "/echo")]);
        assert!(std::fs::read(&back).expect("an answer") == bytes, "{version}: another body came back");
    }
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST /fields HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n");
    let fields = json_of(&client.response().expect("an answer").text());
    assert_eq!((&fields["bytes"], &fields["trailers"]), (&json!(3), &json!({ "x-sum": "7" })), "{fields}");
    // An answer before the upload's end is the answer.
    let early = request(proxy.address("web"), "POST", "/early", &[], Some(&vec![0; 2 << 20]));
    assert_eq!((early.status, early.text().as_str()), (413, "too much"));
}

#[test]
fn many_at_once_share_a_connection_and_more_are_made_when_its_streams_run_out() {
    let site = Site::new();
    for (options, most, connections) in [(&[][..], 24, 1..=1), (&["one-at-a-time"], 1, 2..=24)] {
        let server = site.aioquic(options);
        let proxy = site.in_front_of(server.address(), "");
        let address = proxy.address("web");
        let clients: Vec<_> = (0..24).map(|_| std::thread::spawn(move || get(address, "/slow").text())).collect();
        assert!(clients.into_iter().all(|client| client.join().expect("an answer") == "slow"));
        let seen = seen(&proxy);
        let made = seen["connections"].as_u64().expect("a number");
        assert!(connections.contains(&made) && seen["most"].as_u64() <= Some(most), "{seen}");
        wait_for("all outcomes", || (attempts(&proxy, "success") == 25.0).then_some(()));
    }
}

#[test]
fn rfc9114_4_1_1_and_5_2_what_was_not_acted_on_is_sent_again() {
    let site = Site::new();
    for path in ["/reject", "/goaway"] {
        let server = site.aioquic(&[]);
        let proxy = site.in_front_of(server.address(), "");
        assert_eq!(request(proxy.address("web"), "POST", path, &[], None).text(), "well", "{path}");
        wait_for("its outcome", || (attempts(&proxy, "success") == 1.0).then_some(()));
    }
}

#[test]
fn a_connection_that_is_lost_is_replaced_for_what_may_be_repeated() {
    let site = Site::new();
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "max_attempts: 1");
    assert_eq!(get(proxy.address("web"), "/").text(), "well");
    assert_eq!(get(proxy.address("web"), "/close").text(), "well");
    assert_eq!(attempts(&proxy, "reset"), 0.0, "the endpoint is not blamed");
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "max_attempts: 1");
    assert_eq!(request(proxy.address("web"), "POST", "/close", &[], None).status, 502);
}

#[test]
fn what_an_endpoint_does_wrong_is_a_502_and_leaves_the_connection_to_others() {
    let site = Site::new();
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "max_attempts: 1");
    let address = proxy.address("web");
    for path in ["/reset", "/upper", "/no-status", "/large-head", "/many-fields"] {
        assert_eq!(get(address, path).status, 502, "{path}");
    }
    for path in ["/short", "/cut"] {
        let mut client = Connection::open(address);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let text = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        assert!(!text.starts_with("HTTP/1.1 502") && !text.ends_with("0\r\n\r\n"), "{path} looks whole: {text}");
    }
    assert_eq!(seen(&proxy)["connections"], json!(1));
}

#[test]
fn a_client_that_goes_and_an_endpoint_that_is_silent_cancel_the_request() {
    let site = Site::new();
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "max_attempts: 1, timeouts: { first_byte: 300ms }");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST /silent HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nbegun");
    wait_for("the request", || (seen(&proxy)["requests"].as_u64() >= Some(2)).then_some(()));
    drop(client);
    // H3_REQUEST_CANCELLED: a body that breaks off must not look whole.
    wait_for("its reset", || (seen(&proxy)["resets"] == json!([0x10c])).then_some(()));
    assert_eq!(get(proxy.address("web"), "/silent").status, 504);
    wait_for("the end of the other", || seen(&proxy)["stops"].as_array().filter(|stops| stops.len() == 2).map(drop));
}

#[test]
fn what_is_under_way_at_an_endpoint_that_is_deregistered_is_cancelled_after_the_delay() {
    let site = Site::new();
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "deregistration_delay: 700ms");
    let mut clients = [(); 2].map(|()| Connection::open(proxy.address("web")));
    clients[0].send("GET /never HTTP/1.1\r\nhost: a\r\n\r\n");
    clients[1].send(
        "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    );
    for (client, (status, begun)) in clients.iter_mut().zip([(200, &b"5\r\nbegun\r\n"[..]), (101, b"hello ")]) {
        assert_eq!(client.response_head().map(|head| head.status), Some(status));
        assert_eq!(client.read(begun.len()), begun);
    }
    let drain = |drains: &str| {
        proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/one", Some(format!("{{\"drain\": {drains}}}").as_bytes()))
    };
    let since = std::time::Instant::now();
    drain("true");
    // They go on until then.
    clients[1].send("there");
    assert_eq!(clients[1].read(5), b"there");
    for client in &mut clients {
        client.read_to_end();
        assert!(since.elapsed() >= std::time::Duration::from_millis(700), "{:?}", since.elapsed());
    }
    wait_for("both lines in the log", || (proxy.stdout().matches("\"flag\":\"ED\"").count() == 2).then_some(()));
    drain("false");
    // H3_REQUEST_CANCELLED, and their connection is there for others.
    wait_for("the end of both", || {
        let seen = seen(&proxy);
        (seen["stops"] == json!([0x10c, 0x10c]) && seen["connections"] == json!(1)).then_some(())
    });
}

#[test]
fn certificates_are_verified_and_shown_as_over_tcp() {
    let site = Site::new();
    let client = site.authority.issue("client", "DNS:client.test");
    let certified = format!("certified:{}", site.authority.certificate().display());
    let server = site.aioquic(&[&certified]);
    let start = |tls: &str| Proxy::start(PLIMSOLL, &site.config(server.address(), tls, "max_attempts: 1"));
    let (certificate, key) = (client.certificate.display(), client.key.display());
    let proxy = start(&format!(", cert_file: \"{certificate}\", key_file: \"{key}\", server_name: origin.test"));
    assert_eq!(get(proxy.address("web"), "/").text(), "well");
    let other = site.aioquic(&[]);
    let proxy = Proxy::start(PLIMSOLL, &site.config(other.address(), ", server_name: other.test", "max_attempts: 1"));
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    assert_eq!(proxy.metric("plimsoll_upstream_tls_handshakes_total{cluster=\"app\",result=\"failed\"}"), 1.0);
    assert_eq!(fallbacks_or_none(&proxy), 0.0, "who is somebody else is so over TCP, too");
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    let reason = report["endpoints"][0]["last_failure"]["message"].as_str().expect("a message").to_owned();
    assert!(reason.contains("certificate"), "{reason}");
}

/// nginx over TLS at this port of TCP, which speaks HTTP/2.
fn nginx(site: &Site, address: SocketAddr) -> Nginx {
    let Issued { certificate, key } = &site.issued;
    let (certificate, key) = (certificate.display(), key.display());
    let server = format!(
        "server {{ listen {address} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};
           location / {{ return 200 $server_protocol; }} }}"
    );
    Nginx::with_upstreams(&server, "location / { return 200; }", &[])
}

#[test]
fn http2_stands_in_at_once_where_nobody_listens_and_after_half_the_time_where_nothing_comes_back() {
    let site = Site::new();
    let address = free_address();
    let _nginx = nginx(&site, address);
    // At first somebody takes what comes and does not answer.
    let mut deaf = UdpSocket::bind(address).ok();
    for (result, taken) in [("timeout", deaf.take()), ("failed", None)] {
        assert_eq!(taken.is_some(), result == "timeout");
        let proxy = site.in_front_of(address, "timeouts: { connect: 1s }, max_attempts: 1");
        for _ in 0..3 {
            // Nothing of it was sent, so that it may be what it likes.
            assert_eq!(request(proxy.address("web"), "POST", "/", &[], None).text(), "HTTP/2.0", "{result}");
        }
        wait_for("all outcomes", || (attempts(&proxy, "success") == 3.0).then_some(()));
        assert_eq!(fallbacks(&proxy), 1.0);
        let counted = format!("plimsoll_upstream_tls_handshakes_total{{cluster=\"app\",result=\"{result}\"}}");
        assert_eq!(proxy.metric(&counted), 1.0, "{result}");
        let said = || proxy.log().matches("HTTP/3 does not come through").count();
        wait_for("the log", || (said() > 0).then_some(()));
        assert_eq!(said(), 1, "{}", proxy.log());
    }
}

#[test]
fn an_endpoint_that_is_not_there_at_all_is_one_that_cannot_be_connected_to() {
    let site = Site::new();
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address");
    drop(held);
    let proxy = site.in_front_of(address, "max_attempts: 1");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    assert_eq!(attempts(&proxy, "connect_failure"), 1.0);
}

#[test]
fn probes_speak_http3_and_what_stands_in_for_it() {
    let site = Site::new();
    let probe = "health: { evaluator: { plugin: thresholds, config: { rise: 1, fall: 1, initial: 1 } },
      probe: { plugin: http, interval: 50ms, timeout: 1s, min_validity: 1d, config: { path: /probed, expect: { status: [ \"200\" ] } } } }";
    let ready =
        |proxy: &Proxy| proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["availability"] == "ready";
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), probe);
    wait_for("the endpoint to be found healthy", || ready(&proxy).then_some(()));
    assert!(seen(&proxy)["requests"].as_u64() >= Some(2));
    drop(server);
    wait_for("the endpoint to be found unhealthy", || (!ready(&proxy)).then_some(()));
    let address = free_address();
    let _nginx = nginx(&site, address);
    let proxy = site.in_front_of(address, probe);
    wait_for("the endpoint to be found healthy over HTTP/2", || ready(&proxy).then_some(()));
}

#[test]
fn our_own_listener_carries_grpc_in_all_four_kinds() {
    let site = Site::new();
    let server = Process::python("grpc/server.py");
    let ours = site.ours(server.address(), "protocol: http2,");
    let proxy = site.in_front_of(ours.address("web"), "");
    let output = python("grpc/client.py").arg(proxy.address("web").to_string()).output().expect("Python runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("all well"), "{text}");
    assert_eq!((proxy.metric("plimsoll_endpoint_failures_total"), fallbacks_or_none(&proxy)), (0.0, 0.0));
    wait_for("the end of all calls", || (proxy.metric("plimsoll_endpoint_in_flight") == 0.0).then_some(()));
}

#[test]
fn our_own_listener_drains_without_a_request_lost() {
    let site = Site::new();
    let endpoint = Endpoint::answering("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell");
    let mut ours = site.ours(endpoint.address(), "");
    let proxy = site.in_front_of(ours.address("web"), "");
    let address = proxy.address("web");
    let asking = std::thread::spawn(move || {
        let mut answered = 0;
        // Until nobody is there any more.
        while request(address, "POST", "/", &[], None).status == 200 {
            answered += 1;
        }
        answered
    });
    wait_for("answers", || (attempts(&proxy, "success") > 20.0).then_some(()));
    ours.signal(Signal::Term);
    assert!(ours.wait_for_end().success());
    assert!(asking.join().expect("it ends") > 20);
    assert_eq!(attempts(&proxy, "reset"), 0.0, "{}", proxy.log());
}

#[test]
fn a_websocket_is_asked_for_by_extended_connect_where_the_endpoint_takes_it() {
    let site = Site::new();
    let ask = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
               sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    let server = site.aioquic(&[]);
    let proxy = site.in_front_of(server.address(), "");
    let mut client = Connection::open(proxy.address("web"));
    client.send(ask);
    client.send("there");
    let mut text = Vec::new();
    wait_for("the echo", || {
        let mut bytes = [0; 1024];
        let read = std::io::Read::read(&mut client.stream(), &mut bytes).ok()?;
        text.extend_from_slice(&bytes[..read]);
        text.ends_with(b"hello there").then_some(())
    });
    assert!(text.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&text));
    let server = site.aioquic(&["no-connect"]);
    let proxy = site.in_front_of(server.address(), "");
    let mut client = Connection::open(proxy.address("web"));
    client.send(ask);
    assert_eq!(client.response().map(|response| response.status), Some(502));
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0, "any client can ask");
}
