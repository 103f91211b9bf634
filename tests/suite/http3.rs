//! HTTP/3 with clients that nobody here wrote: aioquic, and curl on ngtcp2.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use plimsoll_tests::{Authority, Endpoint, Issued, Proxy, Signal, curl, free_address, python, wait_for};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::PLIMSOLL;

struct Site {
    authority: Authority,
    issued: Issued,
    endpoint: Endpoint,
}

impl Site {
    fn new() -> Self {
        Self::with(Endpoint::scripted(Arc::new(serve)))
    }

    fn with(endpoint: Endpoint) -> Self {
        let authority = Authority::new("root");
        let issued = authority.issue("localhost", "DNS:localhost,DNS:other.test,IP:127.0.0.1");
        Self { authority, issued, endpoint }
    }

    fn config(&self, more: &str) -> String {
        self.config_with("", more)
    }

    fn config_with(&self, tls: &str, more: &str) -> String {
        let Issued { certificate, key } = &self.issued;
        let (certificate, key, address) = (certificate.display(), key.display(), self.endpoint.address());
        format!(
            "workers: 2
access_log: {{ format: json }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    cluster: app
    http3: true
    tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ], passthrough: [ {{ names: [ other.test ], cluster: app }} ]{tls} }}
    {more}
clusters: [ {{ name: app, endpoints: [ \"{address}\" ] }} ]"
        )
    }

    fn start(&self, more: &str) -> Proxy {
        Proxy::start(PLIMSOLL, &self.config(more))
    }

    /// What a client in Python sees of a proxy.
    fn client(&self, proxy: &Proxy, scenario: &str) -> Client {
        self.client_with(proxy, scenario, None)
    }

    /// One that shows a certificate.
    fn client_with(&self, proxy: &Proxy, scenario: &str, shown: Option<&Issued>) -> Client {
        let mut command = python("http3/client.py");
        command.arg(proxy.address("web").port().to_string()).arg(self.authority.certificate()).arg(scenario);
        if let Some(Issued { certificate, key }) = shown {
            command.arg(certificate).arg(key);
        }
        Client::start(command)
    }
}

/// A client that tells what it sees in lines of JSON.
pub(crate) struct Client {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Client {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Up to its end.
    fn rest(mut self) -> Vec<Value> {
        let lines = (&mut self.lines).lines();
        lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect()
    }

    pub(crate) fn go_on(&mut self) {
        self.child.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("it listens");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives back what comes; others get five bytes and, if they can take it, a trailer.
fn serve(mut stream: TcpStream) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let answered = if head.contains("transfer-encoding: chunked") {
            echo(&mut stream)
        } else if let Some(length @ 1..) = length {
            let mut body = vec![0; length];
            let whole = stream.read_exact(&mut body);
            let answer = |()| write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            whole.and_then(answer).and_then(|()| stream.write_all(&body))
        } else if head.starts_with("get /large ") {
            let body = vec![b'x'; 1_000_000];
            let answer = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            answer.and_then(|()| stream.write_all(&body))
        } else {
            let told =
                |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
            let (via, certificate) = (told("via: "), told("x-forwarded-client-cert: "));
            let announced = told("proxy tcp4 ");
            let trailer = if head.contains("\r\nte: trailers") { "x-sum: 5\r\n" } else { "" };
            let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
            let hint = if head.starts_with("get /hint ") { hint } else { "" };
            write!(
                stream,
                "{hint}HTTP/1.1 200 OK\r\nx-via: {via}\r\nx-certificate: {certificate}\r\nx-announced: {announced}\r\ntransfer-encoding: \
                 chunked\r\n\r\n5\r\nhello\r\n0\r\n{trailer}\r\n"
            )
        };
        if answered.is_err() {
            return;
        }
    }
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let (mut tail, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    while !tail.ends_with(b"\r\n0\r\n\r\n") && tail != b"0\r\n\r\n" {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        stream.write_all(&piece[..read])?;
        tail.extend_from_slice(&piece[..read]);
        tail.drain(..tail.len().saturating_sub(7));
    }
    Ok(())
}

#[test]
fn aioquic_gets_answers_trailers_hints_and_its_upload_back() {
    let site = Site::new();
    let proxy = site.start("");
    let mut client = site.client(&proxy, "requests");
    let small = client.line();
    assert_eq!((&small["status"], &small["bytes"]), (&json!("200"), &json!(5)), "{small}");
    assert_eq!(small["trailers"], json!({ "x-sum": "5" }), "{small}");
    assert_eq!((&small["headers"]["x-via"], &small["headers"]["alt-svc"]), (&json!("3.0 plimsoll"), &Value::Null));
    let head = client.line();
    assert_eq!((&head["status"], &head["bytes"]), (&json!("200"), &json!(0)), "{head}");
    let echo = client.line();
    let sent: Vec<u8> = (0..=255).cycle().take(2 << 20).collect();
    assert_eq!((&echo["status"], &echo["bytes"]), (&json!("200"), &json!(sent.len())), "{echo}");
    let many = client.line();
    assert_eq!(many["statuses"], json!(vec!["200"; 100]));
    let hint = site.client(&proxy, "hint").line();
    let heads = [&hint["heads"][0][":status"], &hint["heads"][0]["link"], &hint["heads"][1][":status"]];
    assert_eq!(heads, [&json!("103"), &json!("</a.css>"), &json!("200")], "{hint}");
    let leave = site.client(&proxy, "expects").line();
    assert_eq!((&leave["leave"], &leave["came_back"]), (&json!("100"), &json!(true)), "{leave}");
    assert!(proxy.metric("plimsoll_tls_handshakes_total{listener=\"web\",result=\"full\"}") >= 1.0);
}

#[test]
fn curl_is_told_of_http3_and_speaks_it() {
    let site = Site::new();
    let proxy = site.start("");
    let port = proxy.address("web").port();
    let url = format!("https://localhost:{port}/");
    let certificate = site.authority.certificate();
    let text = curl(&["-si", "--cacert", &certificate.display().to_string(), &url]);
    assert!(text.contains(&format!("alt-svc: h3=\":{port}\"; ma=86400")), "{text}");
    for script in ["http3/by_curl.py", "http3/by_niquests.py"] {
        let said = python(script).arg(&url).arg(&certificate).output().expect("Python runs");
        let (told, why) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert_eq!(told, "HTTP/3 200 hello\nHTTP/3 200 1000000\n", "{script}: {why}");
    }
}

#[test]
fn a_connection_stays_with_its_worker_when_its_client_moves() {
    let site = Site::new();
    let proxy = site.start("");
    // As many as it takes for one of them to be of each worker, but for one case in 64.
    for _ in 0..6 {
        let lines = site.client(&proxy, "moving").rest();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let sent = "::ffff:127.0.0.1::ffff:127.0.0.2::ffff:127.0.0.3end";
        assert_eq!((&lines[0]["status"], &lines[0]["bytes"]), (&json!("200"), &json!(sent.len())), "{lines:?}");
        assert_eq!(lines[1]["status"], json!("200"), "{lines:?}");
    }
    // Who asks is who asks now.
    let line = wait_for("a line in the access log", || {
        let log = proxy.stdout();
        log.lines().find(|line| line.contains("/after")).map(str::to_owned)
    });
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let client = line["client"].as_str().expect("an address");
    assert!(client.starts_with("127.0.0.3:") && line["version"] == "HTTP/3", "{line}");
}

#[test]
fn connections_live_through_reloads_and_end_well_when_their_listener_goes() {
    let site = Site::new();
    let proxy = site.start("");
    let mut client = site.client(&proxy, "waiting");
    assert_eq!(client.line()["status"], json!("200"));
    for _ in 0..3 {
        let config = site.config("limits: { concurrent_streams: 100 }");
        assert_eq!(proxy.admin("PUT", "/v1/config", Some(config.as_bytes())).status, 200);
    }
    let gone = site.config("").replace("name: web", "name: other");
    assert_eq!(proxy.admin("PUT", "/v1/config", Some(gone.as_bytes())).status, 200);
    client.go_on();
    let echo = client.line();
    assert_eq!((&echo["status"], &echo["bytes"]), (&json!("200"), &json!("first second".len())), "{echo}");
    let lines = client.rest();
    assert_eq!(lines.last().expect("the end")["termination"], json!(0x100), "{lines:?}");
}

#[test]
fn a_listener_that_comes_back_has_its_old_connections_and_new_ones() {
    let site = Site::new();
    let bind = format!("bind: {}", free_address());
    let with = site.config("").replace("bind: 127.0.0.1:0", &bind);
    let without = with.replace("http3: true", "http3: false");
    let proxy = Proxy::start(PLIMSOLL, &with);
    let mut client = site.client(&proxy, "waiting");
    assert_eq!(client.line()["status"], json!("200"));
    for config in [&without, &with] {
        assert_eq!(proxy.admin("PUT", "/v1/config", Some(config.as_bytes())).status, 200);
    }
    // Of both workers, but for one case in 64.
    for _ in 0..6 {
        assert_eq!(site.client(&proxy, "hint").line()["heads"][1][":status"], json!("200"));
    }
    client.go_on();
    assert_eq!(client.line()["bytes"], json!("first second".len()));
}

#[test]
fn at_the_end_what_is_under_way_is_finished_and_the_client_told() {
    let site = Site::new();
    let mut proxy = site.start("");
    let mut client = site.client(&proxy, "waiting");
    assert_eq!(client.line()["status"], json!("200"));
    proxy.signal(Signal::Term);
    wait_for("the drain", || proxy.log().contains("nothing new is accepted").then_some(()));
    client.go_on();
    assert_eq!(client.line()["bytes"], json!("first second".len()));
    let lines = client.rest();
    assert_eq!(lines.last().expect("the end")["termination"], json!(0x100), "{lines:?}");
    assert!(proxy.wait_for_end().success());
}

#[test]
fn a_client_that_moves_is_served_while_its_listener_drains() {
    let site = Site::new();
    let moved = json!("first moved moved end".len());
    // The listener goes: as many as it takes for one of them to be of each worker, but for one case in 32.
    let proxy = site.start("");
    let mut clients: Vec<Client> = (0..6).map(|_| site.client(&proxy, "moving_late")).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.line()["status"], json!("200")));
    let gone = site.config("").replace("name: web", "name: other");
    assert_eq!(proxy.admin("PUT", "/v1/config", Some(gone.as_bytes())).status, 200);
    for mut client in clients {
        client.go_on();
        let lines = client.rest();
        assert_eq!(lines[0]["bytes"], moved, "{lines:?}");
        assert_eq!(lines[1]["termination"], json!(0x100), "{lines:?}");
    }
    // The proxy does.
    let mut proxy = site.start("");
    let mut clients: Vec<Client> = (0..6).map(|_| site.client(&proxy, "moving_late")).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.line()["status"], json!("200")));
    proxy.signal(Signal::Term);
    wait_for("the drain", || proxy.log().contains("nothing new is accepted").then_some(()));
    for mut client in clients {
        client.go_on();
        let lines = client.rest();
        assert_eq!(lines[0]["bytes"], moved, "{lines:?}");
        assert_eq!(lines[1]["termination"], json!(0x100), "{lines:?}");
    }
    assert!(proxy.wait_for_end().success());
}

#[test]
fn a_websocket_is_had_by_extended_connect() {
    let site = Site::with(Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let Some(head) = plimsoll_tests::read_request(&mut stream) else { return };
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
        let _ = write!(stream, "{}hello ", agreed(key));
        let mut bytes = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            let _ = stream.write_all(&bytes[..read]);
        }
        let _ = stream.write_all(b" goodbye");
    })));
    let proxy = site.start("");
    let lines = site.client(&proxy, "websocket").rest();
    let said = lines.first().expect("an answer");
    assert_eq!((&said["status"], &said["body"]), (&json!("200"), &json!("hello there goodbye")), "{said}");
    assert_eq!(said["headers"]["sec-websocket-accept"], Value::Null);
}

#[test]
fn what_is_under_way_at_an_endpoint_that_is_deregistered_is_reset_after_the_delay() {
    let site = Site::with(Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let Some(head) = plimsoll_tests::read_request(&mut stream) else { return };
        let _ = if head.contains("upgrade: websocket") {
            let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
            write!(stream, "{}begun", agreed(key))
        } else {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun")
        };
        // Until it is cut off.
        let _ = stream.read(&mut [0]);
    })));
    let config = site.config("").replace("name: app, endpoints", "name: app, deregistration_delay: 700ms, endpoints");
    let proxy = Proxy::start(PLIMSOLL, &config);
    let mut client = site.client(&proxy, "deregistered");
    assert_eq!(client.line()["begun"], json!(true));
    let since = std::time::Instant::now();
    let id =
        proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["id"].as_str().expect("an id").to_owned();
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{id}"), Some(b"{\"drain\": true}"));
    let said = client.line();
    assert!(since.elapsed() >= std::time::Duration::from_millis(700), "{:?}", since.elapsed());
    // An answer that breaks off must not look whole; nobody is left for others.
    assert!(said["codes"][0].is_u64() && said["codes"][1].is_u64() && said["beside"] == json!("503"), "{said}");
    wait_for("both lines in the log", || (proxy.stdout().matches("\"flag\":\"ED\"").count() == 2).then_some(()));
}

/// The head by which an endpoint agrees to a WebSocket.
pub(crate) fn agreed(key: &str) -> String {
    let proof = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let proof = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, proof);
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n";
    format!("{agreed}sec-websocket-accept: {proof}\r\n\r\n")
}

#[test]
fn what_is_malformed_ends_its_stream_or_its_connection_and_nothing_else() {
    let site = Site::new();
    let proxy = site.start("");
    const MESSAGE_ERROR: u64 = 0x10e;
    let of_stream = |code: u64| (Value::Null, json!(code), Value::Null, json!("200"));
    let of_connection = |code: u64| (Value::Null, Value::Null, json!(code), Value::Null);
    let answered = |status: &str| (json!(status), Value::Null, Value::Null, json!("200"));
    let lines = site.client(&proxy, "broken").rest();
    assert_eq!(lines.len(), 14, "{lines:?}");
    for line in lines {
        let wanted = match line["name"].as_str().expect("a name") {
            "no path" | "upper case" | "connection" | "late pseudo-field" | "no head" => of_stream(MESSAGE_ERROR),
            // The endpoint has not answered by then; it is the client's fault.
            "too short" | "too long" => answered("400"),
            "too large" | "bomb" => answered("431"),
            "data first" | "settings" | "of HTTP/2" => of_connection(0x105),
            "cut short" => of_connection(0x106),
            "dynamic table" => of_connection(0x200),
            other => panic!("{other} is new"),
        };
        let status = match &line["status"] {
            // What came before the fault may have been answered.
            Value::String(_) if line["termination"] != Value::Null => Value::Null,
            status => status.clone(),
        };
        let seen = (status, line["code"].clone(), line["termination"].clone(), line["beside"].clone());
        assert_eq!(seen, wanted, "{line}");
    }
    assert!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"parse\"}") >= 7.0);
}

#[test]
fn what_a_client_must_not_do_on_its_own_streams_ends_the_connection() {
    let site = Site::new();
    let proxy = site.start("");
    let lines = site.client(&proxy, "streams").rest();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in lines {
        let wanted = match line["name"].as_str().expect("a name") {
            "second control stream" | "push" => json!(0x103),
            "table" => json!(0x201),
            "unknown" => Value::Null,
            other => panic!("{other} is new"),
        };
        assert_eq!(line["termination"], wanted, "{line}");
    }
}

#[test]
fn a_flood_of_first_datagrams_has_to_prove_its_addresses_and_others_are_served() {
    let site = Site::new();
    let proxy = site.start("");
    let resident = || proxy.metric("process_resident_memory_bytes");
    let before = resident();
    let lines = site.client(&proxy, "flood").rest();
    let (retries, others) = (&lines[0]["retries"], &lines[0]["others"]);
    assert!(retries.as_u64().is_some_and(|retries| retries > 500), "{lines:?}");
    // Handshakes that were begun, 64 at the most on each of two workers, with a few datagrams each.
    assert!(others.as_u64().is_some_and(|others| others < 64 * 2 * 8), "{lines:?}");
    assert_eq!(lines[1]["status"], json!("200"), "{lines:?}");
    let (after, open) = (resident(), proxy.metric("plimsoll_connections_open{listener=\"web\"}"));
    assert!(after < before + f64::from(32 << 20), "{before} bytes before, {after} after");
    assert!(open <= 129.0, "{open} connections");
}

#[test]
fn handshakes_take_turns_with_whatever_else_there_is() {
    let site = Site::new();
    let proxy = site.start("");
    assert_eq!(site.client(&proxy, "burst").line()["status"], json!("200"));
    assert!(proxy.metric("plimsoll_tls_handshake_waits_total") > 0.0);
}

#[test]
fn a_client_that_gives_up_most_of_what_it_asks_for_is_let_go() {
    let site = Site::with(Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        // Never an answer.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    })));
    let proxy = site.start("");
    let said = site.client(&proxy, "giving_up").line();
    assert_eq!(said["termination"], json!(0x107), "{said}");
    assert!(said["begun"].as_u64().is_some_and(|begun| begun >= 500), "{said}");
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"given_up\"}"), 1.0);
}

#[test]
fn a_client_that_makes_the_proxy_give_up_most_of_what_it_asks_for_is_let_go() {
    let site = Site::new();
    let proxy = site.start("");
    let said = site.client(&proxy, "breaking").line();
    assert_eq!(said["termination"], json!(0x107), "{said}");
    assert!(said["begun"].as_u64().is_some_and(|begun| begun >= 500), "{said}");
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"given_up\"}"), 1.0);
}

#[test]
fn a_name_whose_tls_is_passed_through_is_not_ended_over_quic() {
    const VERSION_FALLBACK: u64 = 0x110;
    let site = Site::new();
    let proxy = site.start("");
    assert_eq!(site.client(&proxy, "elsewhere").line()["termination"], json!(VERSION_FALLBACK));
}

#[test]
fn a_call_of_grpc_gets_a_status_that_its_client_understands() {
    let site = Site::new();
    let proxy = site.start("");
    site.endpoint.close();
    let answer = site.client(&proxy, "grpc").line();
    assert_eq!((&answer["status"], &answer["headers"]["grpc-status"]), (&json!("200"), &json!("14")), "{answer}");
}

#[test]
fn heads_answers_and_idle_connections_have_their_times() {
    let site = Site::new();
    let proxy = site.start("timeouts: { client_header: 300ms }");
    assert_eq!(site.client(&proxy, "slow_head").line(), json!({ "code": 0x10b, "beside": "200" }));
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"timeout\"}"), 1.0);
    let proxy = site.start("timeouts: { body_idle: 300ms }");
    let stalled = site.client(&proxy, "stalled").line();
    assert_eq!((&stalled["code"], &stalled["beside"]), (&json!(0x10c), &json!("200")), "{stalled}");
    assert!(stalled["bytes"].as_u64().is_some_and(|bytes| bytes <= 2000), "{stalled}");
    let proxy = site.start("timeouts: { keep_alive: 300ms }");
    assert_eq!(site.client(&proxy, "idle").line(), json!({ "termination": 0x100 }));
}

#[test]
fn connections_beyond_a_limit_are_refused_and_others_go_on() {
    let site = Site::new();
    for (limits, reason) in [("connections: 1", "limit"), ("connections_per_source: 1", "source_limit")] {
        let proxy = site.start(&format!("limits: {{ {limits} }}"));
        let lines = site.client(&proxy, "second").rest();
        assert_eq!(lines, [json!({ "second": "refused" }), json!({ "first": "200" })], "{limits}");
        let refused = format!("plimsoll_connections_refused_total{{listener=\"web\",reason=\"{reason}\"}}");
        assert!(proxy.metric(&refused) >= 1.0, "{limits}");
    }
}

#[test]
fn clients_show_their_certificates_over_quic_too() {
    let site = Site::new();
    let clients = Authority::new("clients");
    let terms = format!(", client_certificates: {{ ca_file: \"{}\" }}", clients.certificate().display());
    let proxy = Proxy::start(PLIMSOLL, &site.config_with(&terms, ""));
    let known = clients.issue("alice", "DNS:alice.test");
    let answer = site.client_with(&proxy, "certified", Some(&known)).line();
    let told = answer["headers"]["x-certificate"].as_str().unwrap_or_default();
    assert!(told.contains("hash=") && told.contains("dns=alice.test"), "{answer}");
    let strangers = Authority::new("strangers");
    let stranger = strangers.issue("mallory", "DNS:alice.test");
    for shown in [None, Some(&stranger)] {
        let answer = site.client_with(&proxy, "certified", shown).line();
        assert!(answer["headers"].as_object().is_none_or(serde_json::Map::is_empty), "{answer}");
        assert!(answer["error"].is_string() || answer["termination"].as_u64() > Some(0), "{answer}");
    }
}

#[test]
fn endpoints_are_told_whom_a_connection_over_quic_is_for() {
    let site = Site::new();
    let config = site.config("").replace("endpoints:", "proxy_protocol: { version: v1 }, endpoints:");
    let proxy = Proxy::start(PLIMSOLL, &config);
    let answer = site.client(&proxy, "requests").line();
    let announced = answer["headers"]["x-announced"].as_str().unwrap_or_default();
    let [from, to, _, port] = announced.split(' ').collect::<Vec<_>>()[..] else { panic!("{answer}") };
    let ours = proxy.address("web").port().to_string();
    assert_eq!((from, to, port), ("127.0.0.1", "127.0.0.1", ours.as_str()), "{answer}");
}
