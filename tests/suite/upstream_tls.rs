//! TLS towards endpoints: nginx and grpcio as real ones.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use plimsoll_tests::{
    Authority, Connection, Issued, Nginx, Process, Proxy, Signal, curl, free_address, get, python, self_signed,
    wait_for,
};
use serde_json::Value;

use crate::PLIMSOLL;

/// nginx with a certificate, and more about its server; it answers with the version of HTTP and what it was asked.
struct Origin {
    _nginx: Nginx,
    port: u16,
}

impl Origin {
    fn start(issued: &Issued, listen: &str, more: &str, files: &[(&str, &[u8])]) -> Self {
        let address = free_address();
        let (certificate, key) = (issued.certificate.display(), issued.key.display());
        let server = format!(
            "server {{ listen {address} ssl {listen}; ssl_certificate {certificate}; ssl_certificate_key {key};
               client_max_body_size 100m; {more}
               location / {{ return 200 \"$server_protocol $ssl_server_name $ssl_session_reused $request_method $host\"; }}
               location /file/ {{ root .; dav_methods PUT; create_full_put_path on; }} }}",
        );
        Self { _nginx: Nginx::with_upstreams(&server, "location / { return 200; }", files), port: address.port() }
    }

    fn plain(issued: &Issued) -> Self {
        Self::start(issued, "http2", "", &[])
    }
}

/// A proxy in front of `localhost` at this port.
fn in_front_of(port: u16, tls: &str, cluster: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config(port, tls, cluster))
}

fn config(port: u16, tls: &str, cluster: &str) -> String {
    format!(
        "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, tls: {{ {tls} }}, {cluster} endpoints: [ \"127.0.0.1:{port}\" ] }} ]"
    )
}

fn trusting(authority: &Authority) -> String {
    format!("ca_file: \"{}\"", authority.certificate().display())
}

fn handshakes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_upstream_tls_handshakes_total{{cluster=\"app\",result=\"{result}\"}}"))
}

#[test]
fn alpn_decides_what_is_spoken_unless_the_protocol_says_it() {
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1,DNS:origin.test");
    let both = Origin::plain(&issued);
    let old = Origin::start(&issued, "", "", &[]);
    let tls = format!("{}, server_name: origin.test", trusting(&authority));
    for (port, protocol, answer) in [
        (both.port, "", "HTTP/2.0 origin.test"),
        (both.port, "protocol: auto,", "HTTP/2.0 origin.test"),
        (both.port, "protocol: http1,", "HTTP/1.1 origin.test"),
        (both.port, "protocol: http2,", "HTTP/2.0 origin.test"),
        (old.port, "", "HTTP/1.1 origin.test"),
    ] {
        let proxy = in_front_of(port, &tls, protocol);
        for _ in 0..3 {
            let response = get(proxy.address("web"), "/");
            assert!(response.text().starts_with(answer), "{protocol}: {}", response.text());
        }
        assert_eq!(handshakes(&proxy, "full"), 1.0, "{protocol}: the connection is kept");
    }
    let proxy = in_front_of(old.port, &tls, "protocol: http2,");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
}

#[test]
fn many_at_once_share_what_alpn_comes_to() {
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    for (listen, connections) in [("http2", 1.0..=1.0), ("", 1.0..=24.0)] {
        let origin = Origin::start(&issued, listen, "", &[]);
        let proxy = in_front_of(origin.port, &trusting(&authority), "");
        let address = proxy.address("web");
        let clients: Vec<_> = (0..24).map(|_| std::thread::spawn(move || get(address, "/").status)).collect();
        for client in clients {
            assert_eq!(client.join().expect("an answer"), 200);
        }
        let made = handshakes(&proxy, "full") + handshakes(&proxy, "resumed");
        assert!(connections.contains(&made), "{listen}: {made}");
    }
}

#[test]
fn large_bodies_go_both_ways_whole() {
    let large: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    for (listen, protocol) in [("", "http1"), ("http2", "http2")] {
        let origin = Origin::start(&issued, listen, "", &[]);
        let proxy = in_front_of(origin.port, &trusting(&authority), &format!("protocol: {protocol},"));
        let file = proxy.directory().join("sent");
        let back = proxy.directory().join("received");
        std::fs::write(&file, &large).expect("room for a file");
        let url = format!("http://{}/file/{protocol}", proxy.address("web"));
        let put = curl(&["-T", &file.display().to_string(), "-w", "%{http_code}", "-o", "/dev/null", &url]);
        assert_eq!(put, "201", "{protocol}");
        curl(&["-o", &back.display().to_string(), &url]);
        assert!(std::fs::read(&back).expect("a file") == large, "{protocol}");
    }
}

/// What the log says of a request that failed for want of TLS.
fn refused(port: u16, tls: &str) -> String {
    let config = format!("admin: {{ bind: \"127.0.0.1:0\" }}\n{}", config(port, tls, ""));
    let proxy = Proxy::run(PLIMSOLL, &["--log", "debug", "run", "--config", "config.yaml"], Some(&config));
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let line: Value = wait_for("the line of the request", || serde_json::from_str(proxy.stdout().lines().next()?).ok());
    assert_eq!(line["flag"], "TF", "{line}");
    assert!(handshakes(&proxy, "failed") >= 1.0);
    assert!(proxy.metric("plimsoll_connects_total{cluster=\"app\",result=\"failed\"}") >= 1.0);
    wait_for("the cause", || {
        let log = proxy.log();
        log.lines().find(|line| line.contains("TLS handshake with the endpoint failed")).map(str::to_owned)
    })
}

#[test]
fn who_is_not_who_it_should_be_gets_no_request() {
    let authority = Authority::new("root");
    let other = Authority::new("other");
    let trusted = trusting(&authority);
    let of = |issued: &Issued| Origin::plain(issued);

    let good = authority.issue("good", "IP:127.0.0.1");
    let origin = of(&good);
    assert!(refused(origin.port, "").contains("no trusted root"), "the system does not know our CA");
    assert!(refused(origin.port, &trusting(&other)).contains("no trusted root"));
    let text = refused(origin.port, &format!("{trusted}, server_name: elsewhere.test"));
    assert!(text.contains("not valid for name") && text.contains("elsewhere.test"), "{text}");
    assert_eq!(get(in_front_of(origin.port, &trusted, "").address("web"), "/").status, 200);

    let other_revoked = authority.issue("revoked", "IP:127.0.0.1");
    authority.revoke(&other_revoked);
    let listed = format!("{trusted}, crl_file: \"{}\"", authority.crl().display());
    assert!(refused(of(&other_revoked).port, &listed).contains("was revoked by its issuer"));
    assert_eq!(get(in_front_of(origin.port, &listed, "").address("web"), "/").status, 200);
    let unlisted = format!("{}, crl_file: \"{}\"", trusting(&other), authority.crl().display());
    let (elsewhere, text) = (of(&other.issue("elsewhere", "IP:127.0.0.1")), "has to be a list of every CA");
    assert!(refused(elsewhere.port, &unlisted).contains(text));

    let expired = of(&authority.issue_until("expired", "IP:127.0.0.1", "20200101000000Z"));
    assert!(refused(expired.port, &trusted).contains("expired"));

    let between = authority.below("between");
    let below = between.issue("below", "IP:127.0.0.1");
    let incomplete = of(&below);
    assert!(refused(incomplete.port, &trusted).contains("does not send the certificates in between"));
    let complete = of(&below.chained_to(&between.certificate()));
    assert_eq!(get(in_front_of(complete.port, &trusted, "").address("web"), "/").status, 200);
}

#[test]
fn verification_can_be_skipped_and_that_is_said_loudly() {
    let authority = Authority::new("root");
    let (certificate, key) = self_signed("nobody.test");
    let beside = |ending: &str| authority.certificate().with_extension(ending);
    let issued = Issued { certificate: beside("self.pem"), key: beside("self.key") };
    std::fs::write(&issued.certificate, certificate).expect("room for a file");
    std::fs::write(&issued.key, key).expect("room for a file");
    let origin = Origin::plain(&issued);
    assert_eq!(get(in_front_of(origin.port, "", "").address("web"), "/").status, 502);
    let proxy = in_front_of(origin.port, "insecure_skip_verify: true", "");
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    assert_eq!(proxy.admin_json("GET", "/v1/clusters/app", None)["tls"], "unverified");
    let warnings = || proxy.log().matches("NOT verified").count();
    assert_eq!(warnings(), 1);
    proxy.signal(Signal::Hup);
    wait_for("another warning", || (warnings() == 2).then_some(()));
}

#[test]
fn a_client_certificate_is_shown_to_who_asks() {
    let authority = Authority::new("root");
    let origin = Origin::start(
        &authority.issue("origin", "IP:127.0.0.1"),
        "http2",
        &format!("ssl_verify_client on; ssl_client_certificate {};", authority.certificate().display()),
        &[],
    );
    let own = authority.issue("proxy", "DNS:proxy.test");
    let trusted = trusting(&authority);
    let without = in_front_of(origin.port, &trusted, "");
    assert_eq!(get(without.address("web"), "/").status, 400, "nginx says that none was sent");
    let files = format!("cert_file: \"{}\", key_file: \"{}\"", own.certificate.display(), own.key.display());
    let proxy = in_front_of(origin.port, &format!("{trusted}, {files}"), "");
    assert_eq!(get(proxy.address("web"), "/").status, 200);
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    let origin = Origin::start(&issued, "", "keepalive_timeout 0; ssl_session_cache shared:s:1m;", &[]);
    let proxy = in_front_of(origin.port, &trusting(&authority), "");
    let reused = (0..5).filter(|_| get(proxy.address("web"), "/").text().contains(" r ")).count();
    assert!(reused >= 3, "{reused}");
    assert!(handshakes(&proxy, "resumed") >= 3.0);
}

#[test]
fn probes_speak_tls_too_and_say_what_is_wrong() {
    let authority = Authority::new("root");
    let origin = Origin::plain(&authority.issue("origin", "IP:127.0.0.1"));
    let probe = |plugin: &str| {
        format!(
            "health: {{ evaluator: {{ plugin: thresholds, config: {{ initial: 1 }} }}, probe: {{ plugin: {plugin}, interval: 100ms }} }},"
        )
    };
    let reason = |proxy: &Proxy| {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        report["endpoints"][0]["reason"].as_str().map(str::to_owned)
    };
    for protocol in ["", "protocol: http1,", "protocol: http2,"] {
        let proxy = in_front_of(origin.port, &trusting(&authority), &format!("{protocol} {}", probe("http")));
        wait_for("a good probe", || (get(proxy.address("web"), "/").status == 200).then_some(()));
        assert_eq!(reason(&proxy), None, "{protocol}");
    }
    let healthy_at_first = probe("http").replace("initial: 1", "fall: 1");
    let proxy = in_front_of(origin.port, "", &healthy_at_first);
    let said = wait_for("a reason", || reason(&proxy).filter(|reason| reason.contains("TLS")));
    assert!(said.contains("no trusted root"), "{said}");
}

#[test]
fn a_reload_takes_another_root_and_makes_new_connections() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let origin = Origin::plain(&first.issue("origin", "IP:127.0.0.1"));
    let proxy = in_front_of(origin.port, &trusting(&first), "");
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    proxy.signal(Signal::Hup);
    wait_for("the reload", || (proxy.metric("plimsoll_config_version") == 2.0).then_some(()));
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    assert_eq!(
        handshakes(&proxy, "full") + handshakes(&proxy, "resumed"),
        1.0,
        "what is the same keeps its connections"
    );
    std::fs::copy(second.certificate(), first.certificate()).expect("a copy");
    proxy.signal(Signal::Hup);
    wait_for("the end of trust", || (get(proxy.address("web"), "/").status == 502).then_some(()));
}

#[test]
fn who_does_not_shake_hands_in_time_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it is bound").port();
    let proxy = in_front_of(port, "", "timeouts: { connect: 200ms },");
    assert_eq!(get(proxy.address("web"), "/").status, 504);
    wait_for("the count", || (handshakes(&proxy, "timeout") >= 1.0).then_some(()));
    drop(silent);
}

#[test]
fn an_idle_connection_that_ends_is_not_used_again() {
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    let origin = Origin::start(&issued, "", "keepalive_timeout 1s;", &[]);
    let proxy = in_front_of(origin.port, &trusting(&authority), "");
    for _ in 0..2 {
        let posted =
            curl(&["-d", "abc", "-w", "%{http_code}", "-o", "/dev/null", &format!("http://{}/", proxy.address("web"))]);
        assert_eq!(posted, "200");
        let pooled = || {
            Command::new("ss")
                .args(["-tnH", "state", "established", "dport", "=", &format!(":{}", origin.port)])
                .output()
        };
        wait_for("nginx to close", || pooled().ok().filter(|found| found.stdout.is_empty()).map(|_| ()));
    }
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
    assert!(handshakes(&proxy, "full") + handshakes(&proxy, "resumed") >= 2.0);
}

/// WebSocket over HTTP/2 is known to few, so that it is asked for over HTTP/1.1 where the handshake decides.
#[test]
fn a_websocket_gets_http1_from_an_endpoint_that_prefers_http2() {
    let server = Process::python("websocket/server.py");
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    let more = format!(
        "location /chat {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Host $host;
           proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}",
        server.address()
    );
    let origin = Origin::start(&issued, "http2", &more, &[]);
    let proxy = in_front_of(origin.port, &trusting(&authority), "");
    assert!(get(proxy.address("web"), "/").text().starts_with("HTTP/2.0"), "it prefers that");
    let url = format!("ws://localhost:{}/chat", proxy.address("web").port());
    let output = python("websocket/client.py").arg(url).output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "4001 as you wish", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_tcp_listener_speaks_tls_to_its_endpoints() {
    let authority = Authority::new("root");
    let origin = Origin::start(&authority.issue("origin", "IP:127.0.0.1"), "", "", &[]);
    let tcp = |tls: &str| {
        let config = config(origin.port, tls, "").replace("cluster: app }", "cluster: app, protocol: tcp }");
        Proxy::start(PLIMSOLL, &config)
    };
    let proxy = tcp(&trusting(&authority));
    assert!(get(proxy.address("web"), "/").text().starts_with("HTTP/1.1"), "what is within goes on as it is");
    assert_eq!(handshakes(&proxy, "full"), 1.0);
    let untrusting = tcp("");
    let mut client = Connection::open(untrusting.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(client.read_to_end(), b"");
    wait_for("the count", || (handshakes(&untrusting, "failed") >= 1.0).then_some(()));
}

#[test]
fn without_a_file_a_target_may_be_an_https_url() {
    let authority = Authority::new("root");
    let origin = Origin::start(&authority.issue("origin", "IP:127.0.0.1"), "", "", &[]);
    let roots = format!("SSL_CERT_FILE={}", authority.certificate().display());
    let target = format!("https://127.0.0.1:{}", origin.port);
    let run = [&roots, PLIMSOLL, "run", "--to", &target, "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let proxy = Proxy::run("env", &run, None);
    assert!(get(proxy.address("web"), "/").text().starts_with("HTTP/1.1"));
}

#[test]
fn grpc_works_over_tls() {
    let authority = Authority::new("root");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    let server = Process::python_with("grpc/server.py", &[&issued.certificate, &issued.key]);
    let proxy = in_front_of(server.address().port(), &trusting(&authority), "");
    let output = python("grpc/client.py").arg(proxy.address("web").to_string()).output().expect("Python runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("all well"), "{text}");
}

#[test]
fn why_an_endpoint_is_not_accepted_stands_in_its_status() {
    let (certificate, key) = self_signed("nobody.test");
    let authority = Authority::new("root");
    let beside = |ending: &str| authority.certificate().with_extension(ending);
    std::fs::write(beside("own.pem"), certificate).expect("room for a file");
    std::fs::write(beside("own.key"), key).expect("room for a file");
    let origin = Origin::plain(&Issued { certificate: beside("own.pem"), key: beside("own.key") });
    // As `openssl req -x509` makes it, and given as what is trusted.
    let tls = format!("ca_file: \"{}\", server_name: nobody.test", beside("own.pem").display());
    let proxy = in_front_of(origin.port, &tls, "");
    let endpoint = || proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0].clone();
    assert_eq!(endpoint()["last_failure"], Value::Null);
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let told = endpoint()["last_failure"]["message"].as_str().expect("a text").to_owned();
    assert!(told.contains("is that of a CA, as `openssl req -x509` makes them"), "{told}");
}

#[test]
fn openssl_s_server_is_an_endpoint_too() {
    let authority = Authority::new("root");
    let issued = authority.issue("server", "IP:127.0.0.1");
    for (version, spoken) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let address = free_address();
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", &address.to_string(), "-www", "-quiet", version, "-cert"])
            .arg(&issued.certificate)
            .arg("-key")
            .arg(&issued.key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("openssl runs");
        wait_for("s_server to come up", || TcpStream::connect(address).ok());
        let proxy = in_front_of(address.port(), &trusting(&authority), "");
        let answer = get(proxy.address("web"), "/");
        let _ = server.kill();
        let _ = server.wait();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(spoken), "{}", answer.text());
    }
}
