//! HTTP/2 to endpoints: nginx, nghttpd and grpcio as real ones, and scripted ones for what those do not do.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use plimsoll_tests::{
    Connection, Endpoint, Frame, Http2Endpoint, Nginx, Process, Proxy, STATUS_200, curl, free_address, get, python,
    read_request, request, wait_for,
};

use crate::PLIMSOLL;

const MAX_CONCURRENT_STREAMS: u16 = 3;

fn in_front_of(endpoint: SocketAddr, cluster: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, protocol: http2, endpoints: [ {{ id: one, address: \"{endpoint}\" }} ], {cluster} }} ]"
        ),
    )
}

/// An endpoint that plays `script` on each connection, which it is told the number of.
fn scripted(
    settings: &'static [(u16, u32)],
    script: impl Fn(usize, Http2Endpoint) + Send + Sync + 'static,
) -> Endpoint {
    let connections = AtomicUsize::new(0);
    Endpoint::scripted(Arc::new(move |stream: TcpStream| {
        if let Some(connection) = Http2Endpoint::accept(stream, settings) {
            script(connections.fetch_add(1, Ordering::Relaxed), connection);
        }
    }))
}

/// Answers every request.
fn answering(mut connection: Http2Endpoint) {
    while let Some(stream) = connection.next_request() {
        connection.answer(stream, "well");
    }
}

fn h2load(arguments: &[&str]) -> String {
    let output = Command::new("h2load").args(arguments).output().expect("h2load runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn attempts(proxy: &Proxy, outcome: &str) -> f64 {
    proxy.metric(&format!("plimsoll_attempts_total{{cluster=\"app\",outcome=\"{outcome}\"}}"))
}

#[test]
fn nginx_is_spoken_to_over_http2() {
    let address = free_address();
    let server =
        format!("server {{ listen {address} http2; root .; location /version {{ return 200 $server_protocol; }} }}");
    let _nginx = Nginx::with_upstreams(&server, "", &[("large", &vec![b'x'; 3_000_000])]);
    let proxy = in_front_of(address, "");
    let url = |path: &str| format!("http://{}{path}", proxy.address("web"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(curl(&[version, &url("/version")]), "HTTP/2.0");
        let first = curl(&[version, "-I", &url("/large")]);
        assert!(first.contains("content-length: 3000000"), "{first}");
        let etag = first.lines().find_map(|line| line.strip_prefix("etag: ")).expect("nginx gives an etag").trim();
        let unchanged = curl(&[version, "-i", "-H", &format!("if-none-match: {etag}"), &url("/large")]);
        assert!(unchanged.contains(" 304"), "{unchanged}");
        assert_eq!(curl(&[version, "-r", "0-2", &url("/large")]), "xxx");
        let whole = curl(&[version, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", &url("/large")]);
        assert_eq!(whole, "200 3000000");
        assert_eq!(curl(&[version, "-o", "/dev/null", "-w", "%{http_code}", &url("/missing")]), "404");
    }
    // nginx ends a connection after a thousand requests.
    let text = h2load(&["-n", "500", "-c", "4", "-m", "10", &url("/version")]);
    assert!(text.contains("500 succeeded, 0 failed, 0 errored") && text.contains("500 2xx"), "{text}");
    assert_eq!(proxy.metric("plimsoll_connects_total{cluster=\"app\",result=\"new\"}"), 1.0, "one carries all");
}

#[test]
fn nghttpd_gets_uploads_and_its_trailers_arrive() {
    let directory = std::env::temp_dir().join(format!("plimsoll-nghttpd-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for nghttpd");
    let upload = directory.join("upload");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(&upload, &bytes).expect("a file to upload");
    let nghttpd = Process::nghttpd(&["--echo-upload", "--trailer=x-sum: 7"], &directory);
    let proxy = in_front_of(nghttpd.address(), "");
    let url = format!("http://{}/echo", proxy.address("web"));
    let from = format!("@{}", upload.display());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let back = directory.join(format!("back{version}"));
        let to = back.display().to_string();
        curl(&[version, "-o", &to, "--data-binary", &from, "-H", "expect:", &url]);
        assert!(std::fs::read(&back).expect("an answer") == bytes, "{version}: another body came back");
    }
    let shown = Command::new("nghttp").args(["-nv", &url.replace("/echo", "/upload")]).output().expect("nghttp runs");
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("x-sum: 7"), "{shown}");
    let _ = std::fs::remove_dir_all(&directory);
}

/// Whether the one endpoint may be used.
fn is_available(proxy: &Proxy) -> bool {
    proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["availability"] == "ready"
}

fn probe(settings: &str) -> String {
    format!(
        "health: {{ evaluator: {{ plugin: thresholds, config: {{ rise: 1, fall: 1, initial: 1 }} }},
  probe: {{ plugin: http, interval: 50ms, {settings} }} }}"
    )
}

#[test]
fn probes_speak_what_the_cluster_speaks() {
    let directory = std::env::temp_dir().join(format!("plimsoll-probed-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for nghttpd");
    // More than a stream's first window, of which a prober sees the beginning.
    let health = format!("well {}", "x".repeat(200_000));
    std::fs::write(directory.join("health"), &health).expect("written");
    let nghttpd = Process::nghttpd(&[], &directory);
    let config = "config: { path: /health, expect: { status: [ \"200\" ], body_contains: well } }";
    let proxy = in_front_of(nghttpd.address(), &probe(config));
    wait_for("the endpoint to be found healthy", || is_available(&proxy).then_some(()));
    std::fs::write(directory.join("health"), "ill").expect("written");
    wait_for("its body to be read", || (!is_available(&proxy)).then_some(()));
    std::fs::write(directory.join("health"), &health).expect("written");
    wait_for("the endpoint to be back", || is_available(&proxy).then_some(()));
    std::fs::remove_file(directory.join("health")).expect("it was there");
    wait_for("its status to be read", || (!is_available(&proxy)).then_some(()));
    let _ = std::fs::remove_dir_all(&directory);
}

#[test]
fn probes_at_a_port_of_their_own_speak_http1_unless_it_is_said_otherwise() {
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let requests = heads.clone();
    let health = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let Some(head) = read_request(&mut stream) else { return };
        requests.lock().expect("no panic").push(head);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }));
    let application = scripted(&[], |_, connection| answering(connection));
    let at = format!("port: {}", health.address().port());
    let proxy = in_front_of(application.address(), &probe(&at));
    wait_for("the endpoint to be found healthy", || is_available(&proxy).then_some(()));
    assert!(heads.lock().expect("no panic").iter().all(|head| head.starts_with("GET / HTTP/1.1\r\n")));
    let elsewhere = scripted(&[], |_, connection| answering(connection));
    let at = format!("port: {}, protocol: http2", elsewhere.address().port());
    let proxy = in_front_of(application.address(), &probe(&at));
    wait_for("the endpoint to be found healthy", || is_available(&proxy).then_some(()));
}

#[test]
fn a_probe_of_what_does_not_speak_http2_fails_and_says_so() {
    let http1 = Endpoint::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let healthy_at_first = probe("timeout: 1s").replace(", initial: 1", "");
    let proxy = in_front_of(http1.address(), &healthy_at_first);
    let reason = wait_for("a reason", || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        report["endpoints"][0]["reason"].as_str().filter(|reason| reason.contains("failed: ")).map(str::to_owned)
    });
    assert!(!is_available(&proxy), "{reason}");
}

#[test]
fn grpc_works_in_all_four_kinds() {
    let server = Process::python("grpc/server.py");
    let proxy = in_front_of(server.address(), "");
    let output = python("grpc/client.py").arg(proxy.address("web").to_string()).output().expect("Python runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("all well"), "{text}");
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
    wait_for("the end of all calls", || (proxy.metric("plimsoll_endpoint_in_flight") == 0.0).then_some(()));
}

#[test]
fn an_endpoint_gets_no_more_streams_than_it_allows() {
    let most = Arc::new(AtomicUsize::new(0));
    let connections = Arc::new(AtomicUsize::new(0));
    let (seen, counted) = (most.clone(), connections.clone());
    // Waits until three requests are there, each on a connection of its own.
    let endpoint = scripted(&[(MAX_CONCURRENT_STREAMS, 1)], move |_, mut connection| {
        while let Some(stream) = connection.next_request() {
            counted.fetch_add(1, Ordering::SeqCst);
            seen.fetch_max(stream as usize, Ordering::SeqCst);
            wait_for("the others", || (counted.load(Ordering::SeqCst) >= 3).then_some(()));
            connection.answer(stream, "well");
        }
    });
    let proxy = in_front_of(endpoint.address(), "");
    let address = proxy.address("web");
    let clients: Vec<_> = (0..3).map(|_| std::thread::spawn(move || get(address, "/").text())).collect();
    assert!(clients.into_iter().all(|client| client.join().expect("an answer") == "well"));
    assert_eq!((most.load(Ordering::SeqCst), endpoint.connections()), (1, 3), "each has one stream, its first");

    let text = h2load(&["-n", "200", "-c", "4", "-m", "5", &format!("http://{address}/")]);
    assert!(text.contains("200 succeeded, 0 failed, 0 errored") && text.contains("200 2xx"), "{text}");
    assert_eq!(attempts(&proxy, "success"), 203.0);
}

#[test]
fn rfc9113_6_8_what_a_goaway_leaves_out_is_sent_again() {
    let endpoint = scripted(&[], |number, mut connection| {
        if number > 0 {
            return answering(connection);
        }
        let first = connection.next_request().expect("a request");
        connection.answer(first, "first");
        connection.next_request();
        // Last stream: the first; no error.
        connection.send(Frame::GOAWAY, 0, 0, &[0, 0, 0, first as u8, 0, 0, 0, 0]);
    });
    let proxy = in_front_of(endpoint.address(), "");
    let address = proxy.address("web");
    assert_eq!(request(address, "POST", "/", &[], None).text(), "first");
    // It may not be repeated, but it has not been acted on.
    assert_eq!(request(address, "POST", "/", &[], None).text(), "well");
    assert_eq!(endpoint.connections(), 2);
    assert_eq!(attempts(&proxy, "success"), 2.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
}

#[test]
fn what_is_under_way_at_a_goaway_is_finished() {
    let endpoint = scripted(&[], |number, mut connection| {
        if number > 0 {
            return answering(connection);
        }
        let first = connection.next_request().expect("a request");
        connection.send(Frame::GOAWAY, 0, 0, &[0, 0, 0, first as u8, 0, 0, 0, 0]);
        connection.answer(first, "late");
        // The proxy ends the connection, which nothing needs any more.
        while connection.next_frame().is_some() {}
    });
    let proxy = in_front_of(endpoint.address(), "");
    assert_eq!(get(proxy.address("web"), "/").text(), "late");
    assert_eq!(get(proxy.address("web"), "/").text(), "well");
}

#[test]
fn rfc9113_8_7_a_refused_stream_is_sent_again() {
    let endpoint = scripted(&[], |_, mut connection| {
        let first = connection.next_request().expect("a request");
        connection.send(Frame::RST_STREAM, 0, first, &7_u32.to_be_bytes());
        answering(connection);
    });
    let proxy = in_front_of(endpoint.address(), "");
    assert_eq!(request(proxy.address("web"), "POST", "/", &[], None).text(), "well");
}

#[test]
fn a_stream_that_the_endpoint_resets_is_a_502_and_the_connection_goes_on() {
    let endpoint = scripted(&[], |_, mut connection| {
        let first = connection.next_request().expect("a request");
        // INTERNAL_ERROR
        connection.send(Frame::RST_STREAM, 0, first, &2_u32.to_be_bytes());
        answering(connection);
    });
    let proxy = in_front_of(endpoint.address(), "");
    assert_eq!(request(proxy.address("web"), "POST", "/", &[], None).status, 502);
    assert_eq!(request(proxy.address("web"), "POST", "/", &[], None).text(), "well");
    assert_eq!((endpoint.connections(), attempts(&proxy, "reset")), (1, 1.0));
}

#[test]
fn a_client_that_goes_away_resets_its_stream() {
    let (told, heard) = mpsc::sync_channel(64);
    let told = std::sync::Mutex::new(told);
    let endpoint = scripted(&[], move |_, mut connection| {
        let stream = connection.next_request().expect("a request");
        connection.send(Frame::HEADERS, Frame::END_HEADERS, stream, STATUS_200);
        connection.send(Frame::DATA, 0, stream, b"begun");
        while let Some(frame) = connection.next_frame() {
            told.lock().expect("not poisoned").send((stream, frame)).expect("the test waits");
        }
    });
    let proxy = in_front_of(endpoint.address(), "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    // One that ends its side alone may still wait for its answer; one that goes with something unread resets.
    wait_for("the head", || (client.stream().peek(&mut [0]).ok()? > 0).then_some(()));
    drop(client);
    let (stream, frame) = heard.recv_timeout(plimsoll_tests::PATIENCE).expect("a frame");
    assert_eq!((frame.kind, frame.stream, &frame.payload[..]), (Frame::RST_STREAM, stream, &8_u32.to_be_bytes()[..]));
    wait_for("its outcome", || (attempts(&proxy, "client_abort") == 1.0).then_some(()));
}

#[test]
fn trailers_of_a_request_arrive_behind_its_body() {
    let (told, heard) = mpsc::sync_channel(64);
    let told = std::sync::Mutex::new(told);
    let endpoint = scripted(&[], move |_, mut connection| {
        while let Some(frame) = connection.next_frame() {
            let (ends, stream) = (frame.ends_stream(), frame.stream);
            told.lock().expect("not poisoned").send((frame.kind, ends)).expect("the test waits");
            if ends {
                connection.answer(stream, "well");
            }
        }
    });
    let proxy = in_front_of(endpoint.address(), "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n");
    assert_eq!(client.response().map(|response| response.text()).as_deref(), Some("well"));
    let frames: Vec<(u8, bool)> =
        (0..3).map(|_| heard.recv_timeout(plimsoll_tests::PATIENCE).expect("a frame")).collect();
    assert_eq!(frames, [(Frame::HEADERS, false), (Frame::DATA, false), (Frame::HEADERS, true)]);
}

#[test]
fn answers_in_advance_are_passed_on() {
    let endpoint = scripted(&[], |_, mut connection| {
        while let Some(stream) = connection.next_request() {
            // `:status: 103` and `link: </a>`, as literals that are not indexed.
            let hints = [&[0x08, 3][..], b"103", &[0x0f, 0x1e, 4], b"</a>"].concat();
            connection.send(Frame::HEADERS, Frame::END_HEADERS, stream, &hints);
            connection.answer(stream, "well");
        }
    });
    let proxy = in_front_of(endpoint.address(), "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let text = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
}

#[test]
fn an_endpoint_without_http2_is_one_that_cannot_be_connected_to() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(endpoint.address(), "");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UF\"}"), 1.0);
    assert!(attempts(&proxy, "connect_failure") > 0.0);

    let silent = Endpoint::scripted(Arc::new(|_stream: TcpStream| std::thread::park()));
    let proxy = in_front_of(silent.address(), "timeouts: { connect: 100ms }, max_attempts: 1");
    assert_eq!(get(proxy.address("web"), "/").status, 504);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let endpoint = scripted(&[], |_, mut connection| {
        while let Some(stream) = connection.next_request() {
            // Literals without indexing: `x` with 10 000 bytes each, in several frames of up to 16 KiB.
            let field = [&[0x00, 1, b'x', 0x7f, 0x91, 0x4d][..], &[b'y'; 10_000]].concat();
            connection.send(Frame::HEADERS, 0, stream, &[STATUS_200, &field].concat());
            for number in 0..8 {
                connection.send(9, if number == 7 { Frame::END_HEADERS } else { 0 }, stream, &field);
            }
            connection.send(Frame::DATA, Frame::END_STREAM, stream, b"");
        }
    });
    let proxy = in_front_of(endpoint.address(), "");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let (told, heard) = mpsc::sync_channel(64);
    let told = std::sync::Mutex::new(told);
    let endpoint = scripted(&[], move |_, connection| {
        answering(connection);
        told.lock().expect("not poisoned").send(()).expect("the test waits");
    });
    let proxy = in_front_of(endpoint.address(), "pool: { idle_timeout: 100ms }");
    assert_eq!(get(proxy.address("web"), "/").text(), "well");
    heard.recv_timeout(plimsoll_tests::PATIENCE).expect("the connection's end");
    assert_eq!(get(proxy.address("web"), "/").text(), "well");
    assert_eq!(endpoint.connections(), 2);
}

#[test]
fn an_endpoint_sends_no_faster_than_its_client_reads() {
    const LENGTH: usize = 64 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let endpoint = scripted(&[], move |_, mut connection| {
        let stream = connection.next_request().expect("a request");
        connection.send(Frame::HEADERS, Frame::END_HEADERS, stream, STATUS_200);
        // What the proxy's SETTINGS gave the stream, and what it adds.
        let (mut window, mut left) = (256 * 1024, LENGTH);
        while left > 0 {
            while window < 16 * 1024 {
                let Some(frame) = connection.next_frame() else { return };
                if frame.kind == Frame::WINDOW_UPDATE {
                    window += u32::from_be_bytes(frame.payload.try_into().expect("four bytes")) as usize;
                }
            }
            connection.send(Frame::DATA, 0, stream, &[7; 16 * 1024]);
            (window, left) = (window - 16 * 1024, left - 16 * 1024);
            counted.fetch_add(16 * 1024, Ordering::SeqCst);
        }
        connection.send(Frame::DATA, Frame::END_STREAM, stream, b"");
        while connection.next_frame().is_some() {}
    });
    let proxy = in_front_of(endpoint.address(), "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    // What the sockets of both sides hold goes out at once; then it stands still.
    let mut before = 0;
    let stalled = wait_for("the endpoint to stall", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = sent.load(Ordering::SeqCst);
        (std::mem::replace(&mut before, now) == now && now > 0).then_some(now)
    });
    assert!(stalled < LENGTH / 2, "{stalled} bytes went out to a client that reads nothing");
    assert_eq!(client.response().map(|response| response.body.len()), Some(LENGTH));
}
