//! Plain TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, Nginx, Proxy, Refusing, Signal, curl, free_address, self_signed, wait_for};
use serde_json::{Value, json};

use crate::PLIMSOLL;

fn tcp_proxy(endpoints: &[&Endpoint], listener: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app, {listener} }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {} ] }} ]",
            addresses.join(", ")
        ),
    )
}

/// Sends back the sum of all that came, once the client has ended its side.
fn summing() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut bytes = Vec::new();
        if stream.read_to_end(&mut bytes).is_ok() {
            let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
            let _ = stream.write_all(format!("{} {sum}", bytes.len()).as_bytes());
        }
    }))
}

#[test]
fn a_client_that_has_finished_still_gets_its_answer() {
    let endpoint = summing();
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    client.send("abc");
    client.finish();
    assert_eq!(client.read_to_end(), b"3 294");
}

#[test]
fn an_endpoint_that_has_finished_still_gets_the_rest() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        if stream.write_all(b"hello").is_err() || stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"and a late word");
    }));
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    assert_eq!(client.read_to_end(), b"hello");
    client.send("and a late word");
    client.finish();
    wait_for("the connection to be over", || (proxy.metric("plimsoll_endpoint_in_flight") == 0.0).then_some(()));
    assert_eq!(proxy.metric("plimsoll_downstream_bytes_total{listener=\"raw\",direction=\"in\"}"), 15.0);
}

#[test]
fn much_goes_through_unchanged() {
    let endpoint = summing();
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    let bytes: Vec<u8> = (0..8_000_003u32).map(|number| (number % 251) as u8).collect();
    client.send(&bytes);
    client.finish();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    assert_eq!(String::from_utf8_lossy(&client.read_to_end()), format!("{} {sum}", bytes.len()));
}

/// Descriptors that a proxy has of pipes.
fn pipes(proxy: &Proxy) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("it runs");
    let is_pipe = |path: &std::path::PathBuf| path.to_string_lossy().starts_with("pipe:");
    descriptors.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(is_pipe).count()
}

#[test]
fn much_goes_by_a_bounded_number_of_pipes_whoever_reads_how_slowly() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 12;
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut name = [0];
        if stream.read_exact(&mut name).is_ok() {
            // The client may have seen enough.
            let _ = (0..PIECES).try_for_each(|piece| stream.write_all(&[name[0].wrapping_add(piece as u8); PIECE]));
        }
    }));
    let proxy = tcp_proxy(&[&endpoint], "");
    let before = pipes(&proxy);
    let begin = |name: usize| {
        let mut client = Connection::open(proxy.address("raw"));
        client.send([name as u8]);
        assert_eq!(client.read(1), [name as u8]);
        client
    };
    let is_whole = |mut client: Connection, name: usize| {
        let sent: Vec<u8> =
            (0..PIECES).map(|piece| vec![(name as u8).wrapping_add(piece as u8); PIECE]).collect::<Vec<_>>().concat();
        assert!(client.read_to_end() == sent[1..], "of {name}");
    };
    // More than there may be pipes for a worker, and none of them reads on; one that goes away has bytes left in its pipe.
    let mut waiting: Vec<Connection> = (0..70).map(begin).collect();
    drop(waiting.pop());
    is_whole(begin(100), 100);
    let most = pipes(&proxy) - before;
    assert!(most > 0 && most <= 2 * (64 + 16), "{most} descriptors");
    for (name, client) in waiting.into_iter().enumerate() {
        is_whole(client, name);
    }
    let left = pipes(&proxy) - before;
    assert!(left > 0 && left <= 2 * 16, "{left} descriptors");
}

#[test]
fn connections_are_balanced_and_move_on_from_an_endpoint_that_is_gone() {
    let gone = Endpoint::named("gone");
    gone.close();
    let names = ["a", "b"];
    let endpoints = names.map(|name| {
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            let _ = stream.write_all(name.as_bytes());
        }))
    });
    let proxy = tcp_proxy(&[&gone, &endpoints[0], &endpoints[1]], "");
    let mut answers: Vec<String> = (0..12)
        .map(|_| String::from_utf8_lossy(&Connection::open(proxy.address("raw")).read_to_end()).into_owned())
        .collect();
    answers.sort();
    let a = answers.iter().filter(|answer| *answer == "a").count();
    let b = answers.iter().filter(|answer| *answer == "b").count();
    assert_eq!(a + b, 12, "{answers:?}");
    assert!(a >= 3 && b >= 3, "{answers:?}");
}

#[test]
fn a_silent_connection_ends_after_its_time() {
    let endpoint = Endpoint::scripted(Arc::new(|_stream: TcpStream| std::thread::park()));
    let proxy = tcp_proxy(&[&endpoint], "timeouts: { idle: 200ms }");
    let mut client = Connection::open(proxy.address("raw"));
    assert_eq!(client.read_to_end(), b"");
}

/// Two endpoints, of which one is ejected for the rest of the test after it has failed three times in a row.
fn ejecting(endpoint: &Endpoint, other: &Endpoint, listener: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app, {listener} }} ]
clusters:
  - name: app
    balancer: {{ plugin: first }}
    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: {{ failures: 3, eject_for: 300s }} }} }} }}
    endpoints: [ {{ id: one, address: \"{}\" }}, {{ id: other, address: \"{}\" }} ]",
            endpoint.address(),
            other.address()
        ),
    )
}

/// Ends a connection by a reset: what has come is not read, which the other side is told so.
fn reset(stream: &TcpStream) {
    wait_for("bytes that nobody reads", || (stream.peek(&mut [0]).ok()? > 0).then_some(()));
}

fn attempts(proxy: &Proxy, outcome: &str) -> f64 {
    proxy.metric(&format!("plimsoll_attempts_total{{cluster=\"app\",outcome=\"{outcome}\"}}"))
}

/// An endpoint that sends without end.
fn talkative() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| while stream.write_all(&[7; 4096]).is_ok() {}))
}

#[test]
fn clients_that_reset_their_connections_say_nothing_about_the_endpoint() {
    let (endpoint, other) = (talkative(), talkative());
    let proxy = ejecting(&endpoint, &other, "");
    for _ in 0..6 {
        reset(&TcpStream::connect(proxy.address("raw")).expect("the proxy listens"));
    }
    wait_for("the ends of all", || (attempts(&proxy, "client_abort") == 6.0).then_some(()));
    assert_eq!(attempts(&proxy, "reset"), 0.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_available"), 2.0);
}

#[test]
fn a_silent_connection_says_nothing_about_the_endpoint() {
    let quiet = || Endpoint::scripted(Arc::new(|_stream: TcpStream| std::thread::park()));
    let (endpoint, other) = (quiet(), quiet());
    let proxy = ejecting(&endpoint, &other, "timeouts: { idle: 50ms }");
    for _ in 0..4 {
        assert_eq!(Connection::open(proxy.address("raw")).read_to_end(), b"");
    }
    wait_for("the ends of all", || (attempts(&proxy, "client_abort") == 4.0).then_some(()));
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_available"), 2.0);
}

#[test]
fn an_endpoint_that_resets_its_connections_is_ejected() {
    let endpoint = Endpoint::scripted(Arc::new(|stream: TcpStream| reset(&stream)));
    let other = talkative();
    let proxy = ejecting(&endpoint, &other, "");
    for _ in 0..3 {
        let mut client = Connection::open(proxy.address("raw"));
        client.send("unheard");
        assert_eq!(client.read_to_end(), b"");
    }
    wait_for("its ejection", || (proxy.metric("plimsoll_endpoint_available") == 1.0).then_some(()));
    assert_eq!(attempts(&proxy, "reset"), 3.0);
    assert_eq!(Connection::open(proxy.address("raw")).read(1), [7]);
}

#[test]
fn an_answer_arrives_although_its_endpoint_hears_no_more() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let _ = stream.write_all(b"enough of that");
        // Closing with something unread resets the connection.
        reset(&stream);
    }));
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    let mut stream = client.stream().try_clone().expect("a connected socket");
    let sender = std::thread::spawn(move || while stream.write_all(&[1; 1024]).is_ok() {});
    assert_eq!(client.read(14), b"enough of that");
    client.read_to_end();
    drop(client);
    sender.join().expect("it ends with the connection");
}

/// nginx with TLS, which says who it is and which server it was asked for.
fn tls_origin(name: &str) -> (Nginx, std::net::SocketAddr) {
    let address = free_address();
    let server = format!(
        "server {{ listen {address} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         location / {{ return 200 \"{name} as $ssl_server_name\"; }} }}"
    );
    let (certificate, key) = self_signed("shop.test");
    (Nginx::with_upstreams(&server, "", &[("cert.pem", &certificate), ("key.pem", &key)]), address)
}

/// What curl gets from a server of this name by TLS through the proxy.
fn by_tls(proxy: &Proxy, name: &str) -> String {
    let through = format!("{name}:443:{}", proxy.address("raw"));
    curl(&["--insecure", "--connect-to", &through, &format!("https://{name}/")])
}

#[test]
fn tls_goes_through_to_the_cluster_of_its_server_name() {
    let ((_one, one), (_two, two)) = (tls_origin("one"), tls_origin("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners:
  - name: raw
    bind: 127.0.0.1:0
    protocol: tcp
    router: {{ plugin: rules, config: {{ routes: [
      {{ match: {{ host: shop.test }}, cluster: one }}, {{ match: {{ host: \"*.blog.test\" }}, cluster: two }} ] }} }}
clusters: [ {{ name: one, endpoints: [ \"{one}\" ] }}, {{ name: two, endpoints: [ \"{two}\" ] }} ]"
        ),
    );
    assert_eq!(by_tls(&proxy, "shop.test"), "one as shop.test");
    assert_eq!(by_tls(&proxy, "a.blog.test"), "two as a.blog.test");
    // Nobody else's name, and no TLS at all.
    let mut other = Connection::open(proxy.address("raw"));
    other.send("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    assert_eq!(other.read_to_end(), b"");
}

#[test]
fn tls_goes_through_to_the_cluster_of_a_protocol_that_its_client_offers() {
    let ((_one, one), (_two, two)) = (tls_origin("one"), tls_origin("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners:
  - name: raw
    bind: 127.0.0.1:0
    protocol: tcp
    router: {{ plugin: rules, config: {{ routes: [ {{ match: {{ application_protocols: [ h2 ] }}, cluster: two }}, {{ cluster: one }} ] }} }}
clusters: [ {{ name: one, endpoints: [ \"{one}\" ] }}, {{ name: two, endpoints: [ \"{two}\" ] }} ]"
        ),
    );
    let offering = |how: &str| {
        let through = format!("shop.test:443:{}", proxy.address("raw"));
        curl(&["--insecure", how, "--connect-to", &through, "https://shop.test/"])
    };
    assert_eq!(offering("--http1.1"), "one as shop.test");
    assert_eq!(offering("--http2"), "two as shop.test");
    assert_eq!(offering("--no-alpn"), "one as shop.test");
}

#[test]
fn connections_can_be_hashed_by_the_server_name_of_their_tls() {
    let ((_one, one), (_two, two)) = (tls_origin("one"), tls_origin("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: maglev }}, hash_on: [ server_name ], endpoints: [ \"{one}\", \"{two}\" ] }} ]"
        ),
    );
    let mut used = std::collections::HashSet::new();
    for tenant in 0..12 {
        let name = format!("tenant-{tenant}.test");
        let answers: std::collections::HashSet<String> = (0..3).map(|_| by_tls(&proxy, &name)).collect();
        assert_eq!(answers.len(), 1, "{answers:?}");
        used.extend(answers.into_iter().filter_map(|answer| answer.split(' ').next().map(str::to_owned)));
    }
    assert_eq!(used.len(), 2, "{used:?}");
}

/// A proxy with these listener settings and endpoints, and an access log.
fn logging(listener: &str, endpoints: &str, top: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json, output: access.log }}
{top}
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ {endpoints} ] }} ]"
        ),
    )
}

/// The first line of the access log.
fn logged(proxy: &Proxy) -> Value {
    let path = proxy.directory().join("access.log");
    let text = wait_for("a line in the access log", || {
        std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
    });
    serde_json::from_str(text.lines().next().unwrap_or_default()).expect("a line of JSON")
}

fn assert_ended(proxy: &Proxy, cluster: &str, end: &str, flag: Option<&str>) -> Value {
    let line = logged(proxy);
    assert_eq!((line["end"].as_str(), line["flag"].as_str()), (Some(end), flag), "{line}");
    let metric = format!("plimsoll_tcp_connections_total{{cluster=\"{cluster}\",end=\"{end}\"}}");
    assert_eq!(proxy.metric(&metric), 1.0, "{metric}");
    line
}

#[test]
fn a_connection_has_its_line_in_the_access_log() {
    let endpoint = summing();
    let address = endpoint.address();
    let proxy = logging("cluster: app", &format!("{{ id: one, address: \"{address}\" }}"), "");
    let mut client = Connection::open(proxy.address("raw"));
    client.send("abc");
    client.finish();
    assert_eq!(client.read_to_end(), b"3 294");
    let line = assert_ended(&proxy, "app", "client_closed", None);
    let wanted = json!({ "listener": "raw", "protocol": "tcp", "server_name": null, "request_bytes": 3, "response_bytes": 5,
        "cluster": "app", "endpoint": "one", "attempts": 1, "route": null });
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(&line[key], value, "{key} in {line}");
    }
    let seconds = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("no {key} in {line}"));
    assert!(seconds("connect_seconds") <= seconds("duration_seconds"), "{line}");
    assert_eq!(proxy.metric("plimsoll_tcp_connection_duration_seconds_count{cluster=\"app\"}"), 1.0);
    assert_eq!(proxy.metric("plimsoll_downstream_bytes_total{listener=\"raw\",direction=\"out\"}"), 5.0);
}

#[test]
fn the_access_log_tells_why_a_connection_ended() {
    let answering = Endpoint::scripted(Arc::new(|mut stream: TcpStream| drop(stream.write_all(b"bye"))));
    let of = |endpoint: &Endpoint| format!("\"{}\"", endpoint.address());

    let proxy = logging("cluster: app", &of(&answering), "");
    let mut client = Connection::open(proxy.address("raw"));
    assert_eq!(client.read_to_end(), b"bye");
    drop(client);
    assert_ended(&proxy, "app", "endpoint_closed", None);

    let talkative = talkative();
    let proxy = logging("cluster: app", &of(&talkative), "");
    reset(&TcpStream::connect(proxy.address("raw")).expect("the proxy listens"));
    assert_ended(&proxy, "app", "client_reset", Some("DC"));

    let resetting = Endpoint::scripted(Arc::new(|stream: TcpStream| reset(&stream)));
    let proxy = logging("cluster: app", &of(&resetting), "");
    let mut client = Connection::open(proxy.address("raw"));
    client.send("unheard");
    client.read_to_end();
    assert_ended(&proxy, "app", "endpoint_reset", Some("UC"));

    let quiet = Endpoint::scripted(Arc::new(|_stream: TcpStream| std::thread::park()));
    let proxy = logging("cluster: app, timeouts: { idle: 50ms }", &of(&quiet), "");
    Connection::open(proxy.address("raw")).read_to_end();
    assert_ended(&proxy, "app", "idle_timeout", Some("IT"));

    let proxy = logging(
        "router: { plugin: rules, config: { routes: [ { match: { host: a.test }, cluster: app } ] } }",
        &of(&quiet),
        "",
    );
    let mut client = Connection::open(proxy.address("raw"));
    client.send("no TLS");
    client.read_to_end();
    assert_ended(&proxy, "none", "no_route", Some("NR"));

    let gone = Refusing::reserve();
    let proxy = logging("cluster: app", &format!("\"{gone}\""), "");
    Connection::open(proxy.address("raw")).read_to_end();
    let line = assert_ended(&proxy, "app", "connect_failure", Some("UF"));
    assert_eq!((&line["attempts"], &line["connect_seconds"]), (&json!(3), &json!(null)), "{line}");

    let mut proxy = logging("cluster: app", &of(&quiet), "shutdown: { grace: 50ms }");
    let mut client = Connection::open(proxy.address("raw"));
    client.send("still there");
    wait_for("the attempt", || (proxy.metric("plimsoll_endpoint_in_flight") == 1.0).then_some(()));
    proxy.signal(Signal::Term);
    proxy.wait_for_end();
    let line = logged(&proxy);
    assert_eq!((&line["end"], &line["flag"]), (&json!("drain"), &json!("DR")), "{line}");
    assert_eq!(line["request_bytes"], 11, "{line}");
}
