//! TLS towards clients, by curl, openssl and h2load.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll_tests::{Authority, Connection, Endpoint, Nginx, Proxy, Signal, curl, self_signed, wait_for};
use rustls::{ClientConnection, NamedGroup};
use serde_json::Value;

use crate::PLIMSOLL;
use crate::early_data::client;

/// A directory with a certificate for each name, `0.pem` and `0.key` for the first.
struct Certificates(PathBuf);

impl Certificates {
    fn of(test: &str, names: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-tls-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let certificates = Self(directory);
        for (number, name) in names.iter().enumerate() {
            certificates.write(number, name);
        }
        certificates
    }

    fn write(&self, number: usize, name: &str) {
        let (certificate, key) = self_signed(name);
        std::fs::write(self.file(number, "pem"), certificate).expect("room for a file");
        std::fs::write(self.file(number, "key"), key).expect("room for a file");
    }

    fn file(&self, number: usize, ending: &str) -> PathBuf {
        self.0.join(format!("{number}.{ending}"))
    }

    /// The configuration of a listener with the first so many.
    fn config(&self, count: usize, more: &str) -> String {
        let one = |number| {
            let (certificate, key) = (self.file(number, "pem"), self.file(number, "key"));
            format!("{{ cert_file: \"{}\", key_file: \"{}\" }}", certificate.display(), key.display())
        };
        let all: Vec<String> = (0..count).map(one).collect();
        format!("tls: {{ certificates: [ {} ] }}, {more}", all.join(", "))
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(address: &str, listener: &str) -> String {
    format!(
        "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ \"{address}\" ] }} ]"
    )
}

fn start(address: &str, listener: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config(address, listener))
}

/// curl with the certificate of a name as the only one that it trusts.
fn curl_as(proxy: &Proxy, name: &str, trusted: &Path, path: &str, more: &[&str]) -> String {
    let port = proxy.address("web").port();
    let (resolve, url) = (format!("{name}:{port}:127.0.0.1"), format!("https://{name}:{port}{path}"));
    let trusted = trusted.display().to_string();
    curl(&[&["--resolve", &resolve, "--cacert", &trusted, &url], more].concat())
}

/// What `openssl s_client` says of a handshake.
fn s_client(proxy: &Proxy, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address("web").to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn handshakes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_tls_handshakes_total{{listener=\"web\",result=\"{result}\"}}"))
}

#[test]
fn curl_speaks_both_versions_of_http_over_tls() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("versions", &["a.test"]);
    let proxy = start(&endpoint.address().to_string(), &certificates.config(1, ""));
    let trusted = certificates.file(0, "pem");
    let first = curl_as(&proxy, "a.test", &trusted, "/x", &["-i", "--http1.1"]);
    assert!(first.starts_with("HTTP/1.1 200") && first.ends_with("one"), "{first}");
    let second = curl_as(&proxy, "a.test", &trusted, "/y", &["-i", "--http2", "-d", "abc"]);
    assert!(second.starts_with("HTTP/2 200") && second.ends_with("one"), "{second}");
    for request in endpoint.requests() {
        assert!(request.contains("x-forwarded-proto: https\r\n"), "{request}");
    }
    let line: Value = wait_for("the line of the second", || {
        let lines = proxy.stdout();
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["path"] == "/y")
    });
    assert_eq!((&line["tls_version"], &line["server_name"]), (&"TLSv1.3".into(), &"a.test".into()), "{line}");
    assert!(line["tls_cipher"].as_str().is_some_and(|cipher| cipher.starts_with("TLS13_")), "{line}");
    assert_eq!(handshakes(&proxy, "full"), 2.0);
}

#[test]
fn large_bodies_come_through_whole() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let origin = Nginx::start("location / { return 200 hello; } location /large { }", &[("large", &large)]);
    let certificates = Certificates::of("large", &["a.test"]);
    let proxy = start(&origin.address().to_string(), &certificates.config(1, ""));
    let trusted = certificates.file(0, "pem");
    let file = certificates.0.join("received");
    for version in ["--http1.1", "--http2"] {
        let arguments = [version, "-o", &file.display().to_string(), "-w", "%{http_code}"];
        assert_eq!(curl_as(&proxy, "a.test", &trusted, "/large", &arguments), "200", "{version}");
        assert!(std::fs::read(&file).expect("a file") == large, "{version}");
    }
    let url = format!("https://{}/", proxy.address("web"));
    let output =
        Command::new("h2load").args(["-n", "2000", "-c", "4", "-m", "10", &url]).output().expect("h2load runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("2000 succeeded, 0 failed, 0 errored") && text.contains("2000 2xx"), "{text}");
}

#[test]
fn rfc6066_3_the_certificate_is_the_one_for_the_name() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("names", &["a.test", "*.b.test", "x.b.test"]);
    let proxy = start(&endpoint.address().to_string(), &certificates.config(3, ""));
    for (name, number) in [("a.test", 0), ("y.b.test", 1), ("x.b.test", 2)] {
        let text = curl_as(&proxy, name, &certificates.file(number, "pem"), "/", &[]);
        assert_eq!(text, "one", "{name}");
    }
    for arguments in [&["-servername", "other.test"][..], &["-servername", "deep.x.b.test"], &["-noservername"]] {
        let text = s_client(&proxy, arguments);
        assert!(text.contains("subject=CN = a.test"), "{arguments:?}: {text}");
    }
}

/// By what no quantum computer finds out later: X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem).
#[test]
fn keys_are_exchanged_for_good_with_clients_that_know_how() {
    let (endpoint, authority) = (Endpoint::named("one"), Authority::new("root"));
    let issued = authority.issue("localhost", "DNS:localhost");
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    let tls = format!("tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }}");
    let proxy = start(&endpoint.address().to_string(), &tls);
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(client(&authority, "http/1.1"), name).expect("a session");
    let mut socket = TcpStream::connect(proxy.address("web")).expect("a connection");
    while client.is_handshaking() {
        client.complete_io(&mut socket).expect("a handshake");
    }
    let group = client.negotiated_key_exchange_group().expect("there is one");
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
}

#[test]
fn a_reload_changes_certificates_and_loses_nobody() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("reload", &["a.test"]);
    let proxy = start(&endpoint.address().to_string(), &certificates.config(1, ""));
    let old = certificates.0.join("old.pem");
    std::fs::copy(certificates.file(0, "pem"), &old).expect("a copy");
    let session = certificates.0.join("session").display().to_string();
    let begun = s_client(&proxy, &["-servername", "a.test", "-tls1_2", "-sess_out", &session]);
    assert!(begun.contains("New, TLSv1.2"), "{begun}");

    certificates.write(0, "a.test");
    proxy.signal(Signal::Hup);
    wait_for("the new certificate", || {
        let text = curl_as(&proxy, "a.test", &certificates.file(0, "pem"), "/", &[]);
        (text == "one").then_some(())
    });
    assert!(curl_as(&proxy, "a.test", &old, "/", &[]).contains("certificate"), "the old one is not used any more");
    let resumed = s_client(&proxy, &["-servername", "a.test", "-tls1_2", "-sess_in", &session]);
    assert!(resumed.contains("Reused, TLSv1.2"), "{resumed}");
    assert!(handshakes(&proxy, "resumed") >= 1.0);
}

#[test]
fn a_policy_says_which_versions_there_are() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("policy", &["a.test"]);
    for (policy, tls12) in [
        ("intermediate", true),
        ("modern", false),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", false),
        ("ELBSecurityPolicy-TLS-1-2-2017-01", true),
        ("AppGwSslPolicy20220101", true),
        ("RESTRICTED", true),
    ] {
        let listener = certificates.config(1, "").replace("tls: {", &format!("tls: {{ policy: {policy},"));
        let proxy = start(&endpoint.address().to_string(), &listener);
        assert!(s_client(&proxy, &["-tls1_3"]).contains("New, TLSv1.3"), "{policy}");
        assert_eq!(s_client(&proxy, &["-tls1_2"]).contains("New, TLSv1.2"), tls12, "{policy}");
        assert!(!s_client(&proxy, &["-tls1_1"]).contains("New, TLSv1"), "{policy}");
    }
}

#[test]
fn tickets_go_on_behind_a_restart_with_the_same_secret_and_behind_no_other() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("tickets", &["a.test"]);
    let session = certificates.0.join("session").display().to_string();
    let start = |secret: &str| {
        let config = config(&endpoint.address().to_string(), &certificates.config(1, ""));
        Proxy::start(PLIMSOLL, &format!("secret: {secret}\n{config}"))
    };
    let versions = ["-tls1_2", "-tls1_3"];
    for version in versions {
        let asked = ["-servername", "a.test", version];
        let first = start("0123456789abcdef");
        let begun = if version == "-tls1_3" {
            // Tickets of TLS 1.3 come behind the handshake.
            fetch_with_session(&first, &session)
        } else {
            s_client(&first, &[&asked[..], &["-sess_out", &session]].concat())
        };
        assert!(begun.contains("New, TLSv1"), "{version}: {begun}");
        drop(first);
        for (secret, resumed) in [("0123456789abcdef", true), ("another secret of the same length", false)] {
            let again = start(secret);
            let text = s_client(&again, &[&asked[..], &["-sess_in", &session]].concat());
            assert_eq!(text.contains("Reused, TLSv1"), resumed, "{version} {secret}: {text}");
            assert_eq!(handshakes(&again, "resumed"), f64::from(u8::from(resumed)), "{version} {secret}");
        }
    }
}

/// One request by `openssl s_client`, whose session is kept in a file.
fn fetch_with_session(proxy: &Proxy, session: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address("web").to_string(), "-servername", "a.test", "-tls1_3"])
        .args(["-ign_eof", "-sess_out", session])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").expect("it reads");
    let output = child.wait_with_output().expect("openssl ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn handshakes_that_come_to_nothing_end_and_are_counted() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("nothing", &["a.test"]);
    let proxy = start(&endpoint.address().to_string(), &certificates.config(1, "timeouts: { tls_handshake: 200ms }"));
    let mut silent = TcpStream::connect(proxy.address("web")).expect("somebody listens");
    assert_eq!(silent.read(&mut [0; 1]).expect("an end"), 0, "whoever says nothing is let go");
    wait_for("the timeout", || (handshakes(&proxy, "timeout") == 1.0).then_some(()));
    let mut plain = Connection::open(proxy.address("web"));
    plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_for("the one in the clear", || (handshakes(&proxy, "plain_http") == 1.0).then_some(()));
    let mut broken = Connection::open(proxy.address("web"));
    broken.send("\x16nothing that is TLS");
    wait_for("the failure", || (handshakes(&proxy, "failed") == 1.0).then_some(()));
    drop(TcpStream::connect(proxy.address("web")).expect("somebody listens"));
    wait_for("the one that went", || (handshakes(&proxy, "closed") == 1.0).then_some(()));
    assert!(endpoint.requests().is_empty());
    assert_eq!(curl_as(&proxy, "a.test", &certificates.file(0, "pem"), "/", &[]), "one");
}

#[test]
fn an_upload_of_a_plugin_leaves_tls_as_it_is() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("upload", &["a.test"]);
    let proxy = start(&endpoint.address().to_string(), &certificates.config(1, ""));
    let component = plimsoll_tests::example_plugin("tenant-pin");
    let answer = proxy.admin("PUT", "/v1/plugins/mine", Some(&component));
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    assert_eq!(curl_as(&proxy, "a.test", &certificates.file(0, "pem"), "/", &[]), "one");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_its_place() {
    let certificates = Certificates::of("wrong", &["a.test", "b.test"]);
    let check = |listener: &str| {
        let file = certificates.0.join("config.yaml");
        std::fs::write(&file, config("127.0.0.1:1", listener)).expect("room for a file");
        let output = Command::new(PLIMSOLL).arg("check").arg(&file).output().expect("the binary starts");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    std::fs::copy(certificates.file(1, "key"), certificates.file(0, "key")).expect("a copy");
    let text = check(&certificates.config(2, ""));
    assert!(text.contains("the key is not that of the certificate") && text.contains(":3:"), "{text}");
    std::fs::write(certificates.file(0, "pem"), "nothing").expect("room for a file");
    assert!(check(&certificates.config(1, "")).contains("no certificate in PEM"));
    std::fs::remove_file(certificates.file(0, "pem")).expect("it is there");
    assert!(check(&certificates.config(1, "")).contains("0.pem failed"));
    assert!(check("tls: { certificates: [] }").contains("certificates"));
}

/// A greeting (ClientHello) as openssl sends it.
fn greeting() -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket").to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "a.test"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let (mut stream, _) = listener.accept().expect("it connects");
    let mut greeting = vec![0; 5];
    stream.read_exact(&mut greeting).expect("a record");
    greeting.resize(5 + usize::from(u16::from_be_bytes([greeting[3], greeting[4]])), 0);
    stream.read_exact(&mut greeting[5..]).expect("a record");
    drop(stream);
    let _ = client.wait();
    greeting
}

#[test]
fn handshakes_in_a_flood_take_turns_with_requests() {
    let endpoint = Endpoint::named("one");
    let certificates = Certificates::of("flood", &["a.test"]);
    let proxy = start(&endpoint.address().to_string(), &certificates.config(1, ""));
    let port = proxy.address("web");
    let greeting = greeting();
    let mut flood: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(port).expect("it listens")).collect();
    for stream in &mut flood {
        stream.write_all(&greeting).expect("it takes bytes");
    }
    // Whoever comes behind them is served, and so are they.
    assert_eq!(curl_as(&proxy, "a.test", &certificates.file(0, "pem"), "/", &[]), "one");
    for stream in &mut flood {
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer[0], 22, "a handshake record");
    }
    assert!(proxy.metric("plimsoll_tls_handshake_waits_total") > 0.0, "more than their share of a turn");
}

#[test]
fn sslyze_finds_nothing_but_that_our_authority_is_none_of_the_webs() {
    let endpoint = Endpoint::named("one");
    let authority = Authority::new("root");
    let issued = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
    for policy in ["intermediate", "modern"] {
        let listener = format!(
            "tls: {{ policy: {policy}, certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }}",
            issued.certificate.display(),
            issued.key.display()
        );
        let proxy = start(&endpoint.address().to_string(), &listener);
        let output = sslyze()
            .args([&format!("--mozilla_config={policy}"), &proxy.address("web").to_string()])
            .output()
            .expect("sslyze runs; `cargo xtask prerequisites` brings it");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (scans, compliance) = text.split_once("COMPLIANCE AGAINST").unwrap_or_else(|| {
            panic!("no scan: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        });
        assert!(!scans.contains("VULNERABLE") && !scans.contains("ERROR when"), "{policy}: {scans}");
        for sound in
            ["Compression disabled", "TLS_FALLBACK_SCSV:                 OK", "Client Renegotiation DoS Attack:   OK"]
        {
            assert!(scans.contains(sound), "{policy}: {sound}: {scans}");
        }
        // What is wrong is a list, whose lines begin so. A certificate that lives for decades is the test's.
        let findings: Vec<&str> = compliance.lines().map(str::trim).filter(|line| line.starts_with("* ")).collect();
        let is_of_the_test = |finding: &&str| {
            ["certificate_path_validation", "maximum_certificate_lifespan"].iter().any(|of| finding.contains(of))
        };
        assert!(!findings.is_empty() && findings.iter().all(is_of_the_test), "{policy}: {compliance}");
    }
}

/// sslyze, by the Python that `cargo xtask prerequisites` sets up.
fn sslyze() -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python"));
    command.args(["-m", "sslyze"]);
    command
}
