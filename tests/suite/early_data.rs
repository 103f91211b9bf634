//! Requests that come before the handshake of their client is over (RFC 8470): over TLS by a client that goes step by step and by
//! openssl, over HTTP/3 by quinn's own.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use plimsoll_tests::{Authority, Endpoint, PATIENCE, Proxy, read_request, wait_for};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::PLIMSOLL;
use crate::quic::{Withholding, ask, client as quic_client, connect, in_time};

fn start(authority: &Authority, endpoint: &Endpoint) -> Proxy {
    let issued = authority.issue("localhost", "DNS:localhost");
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: \"127.0.0.1:0\", cluster: app, http3: true, tls: {{ early_data: true, certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

/// What all connections of a client have in common: its sessions.
pub(crate) fn client(authority: &Authority, protocol: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.expect("TLS 1.3").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    config.enable_early_data = true;
    Arc::new(config)
}

/// A connection that sends when it is told.
struct Stepwise {
    session: ClientConnection,
    socket: TcpStream,
    read: Vec<u8>,
}

impl Stepwise {
    fn open(config: &Arc<ClientConfig>, proxy: &Proxy) -> Self {
        let socket = TcpStream::connect(proxy.address("web")).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let session = ClientConnection::new(config.clone(), "localhost".try_into().expect("a name"));
        Self { session: session.expect("a session"), socket, read: Vec::new() }
    }

    /// With these bytes behind the greeting, and nothing more.
    fn early(config: &Arc<ClientConfig>, proxy: &Proxy, bytes: &[u8]) -> Self {
        let mut connection = Self::open(config, proxy);
        let mut early = connection.session.early_data().expect("a session to go on");
        early.write_all(bytes).expect("room");
        connection.send();
        connection
    }

    /// Sends all that there is to send.
    fn send(&mut self) {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket).expect("the proxy listens");
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.session.writer().write_all(bytes).expect("room");
        self.send();
    }

    /// Reads until it has read what is wanted, and sends nothing.
    fn until(&mut self, wanted: impl Fn(&Self) -> bool) {
        while !wanted(self) {
            let count = self.session.read_tls(&mut self.socket).expect("in time");
            self.session.process_new_packets().expect("it is TLS");
            let mut piece = [0; 4096];
            loop {
                match self.session.reader().read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => self.read.extend_from_slice(&piece[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&self.read)),
                }
            }
            assert!(count > 0 || wanted(self), "it ended: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// The status of the next answer.
    fn answer(&mut self) -> u16 {
        self.until(|connection| connection.read.windows(4).any(|end| end == b"\r\n\r\n"));
        let text = String::from_utf8(std::mem::take(&mut self.read)).expect("text");
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text}"))
    }

    /// The proxy's part of the handshake has come.
    fn heard(&mut self) {
        self.until(|connection| !connection.session.is_handshaking());
    }
}

/// A whole handshake, and a request, whose answer comes behind the ticket.
fn visit(config: &Arc<ClientConfig>, proxy: &Proxy) {
    let mut connection = Stepwise::open(config, proxy);
    while connection.session.is_handshaking() {
        connection.send();
        connection.session.read_tls(&mut connection.socket).expect("in time");
        connection.session.process_new_packets().expect("it is TLS");
    }
    connection.write(b"GET /visit HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(connection.answer(), 200);
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n").into_bytes()
}

fn post(path: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc").into_bytes()
}

fn handshakes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_tls_handshakes_total{{listener=\"web\",result=\"{result}\"}}"))
}

#[test]
fn rfc8470_over_tls_what_does_no_harm_is_answered_before_the_handshake_is_over_and_the_rest_behind_it() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let proxy = start(&authority, &endpoint);
    let config = client(&authority, "http/1.1");
    let head = |path: &str| endpoint.requests().into_iter().find(|head| head.contains(path));
    visit(&config, &proxy);
    assert!(!head("/visit").expect("the request").contains("early-data"));

    visit(&config, &proxy);
    let mut connection = Stepwise::early(&config, &proxy, &get("/early", ""));
    assert_eq!(connection.answer(), 200, "and nothing of the client's was sent since");
    assert!(head("/early").expect("the request").contains("\r\nearly-data: 1\r\n"));
    assert!(connection.session.is_early_data_accepted());
    connection.write(&get("/behind", ""));
    assert_eq!(connection.answer(), 200);
    assert!(!head("/behind").expect("the request").contains("early-data"));

    visit(&config, &proxy);
    let mut connection = Stepwise::early(&config, &proxy, &post("/late"));
    connection.heard();
    let mut other = Stepwise::early(&config, &proxy, &get("/meanwhile", ""));
    assert_eq!(other.answer(), 200);
    assert_eq!(head("/late"), None, "it waits for the rest of the handshake");
    connection.send();
    assert_eq!(connection.answer(), 200);
    assert!(!head("/late").expect("the request").contains("early-data"));

    // Whoever only repeats what was recorded has no rest.
    let closed = handshakes(&proxy, "closed");
    let mut connection = Stepwise::early(&config, &proxy, &post("/recorded"));
    connection.heard();
    drop(connection);
    wait_for("the end of its handshake", || (handshakes(&proxy, "closed") > closed).then_some(()));
    visit(&config, &proxy);
    assert_eq!(head("/recorded"), None);
}

#[test]
fn what_comes_early_from_a_session_that_is_not_known_comes_again_behind_the_handshake() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let (proxy, other) = (start(&authority, &endpoint), start(&authority, &endpoint));
    let config = client(&authority, "http/1.1");
    visit(&config, &proxy);
    let mut connection = Stepwise::early(&config, &other, &get("/early", ""));
    while connection.session.is_handshaking() {
        connection.session.read_tls(&mut connection.socket).expect("in time");
        connection.session.process_new_packets().expect("it is TLS");
        connection.send();
    }
    assert!(!connection.session.is_early_data_accepted());
    connection.write(&get("/again", ""));
    assert_eq!(connection.answer(), 200);
    assert!(endpoint.requests().iter().all(|head| !head.contains("early")), "{:?}", endpoint.requests());
}

#[test]
fn http2_has_its_first_request_answered_before_the_handshake_is_over() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let proxy = start(&authority, &endpoint);
    let config = client(&authority, "h2");
    // The preface, SETTINGS, and HEADERS of stream 1 that end it: GET, https, path /, and the authority.
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    request.extend_from_slice(b"\0\0\x0e\x01\x05\0\0\0\x01\x82\x87\x84\x41\x09localhost");
    // HEADERS of stream 1 with status 200.
    let is_answered = |connection: &Stepwise| {
        connection.read.windows(7).any(|frame| frame[0] == 1 && frame[2..] == [0, 0, 0, 1, 0x88])
    };
    let mut first = Stepwise::open(&config, &proxy);
    while first.session.is_handshaking() {
        first.send();
        first.session.read_tls(&mut first.socket).expect("in time");
        first.session.process_new_packets().expect("it is TLS");
    }
    first.write(&request);
    first.until(is_answered);
    let mut second = Stepwise::early(&config, &proxy, &request);
    second.until(is_answered);
    let heads = endpoint.requests();
    assert_eq!(heads.iter().filter(|head| head.contains("early-data: 1")).count(), 1, "{heads:?}");
}

/// Finds too early what is said to be early.
fn wary() -> (Endpoint, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        while let Some(head) = read_request(&mut stream) {
            let answer: &[u8] = if head.contains("early-data: 1") {
                b"HTTP/1.1 425 Too Early\r\ncontent-length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
            };
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }));
    (endpoint, heads)
}

fn count(heads: &Mutex<Vec<String>>, path: &str) -> usize {
    let heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
    heads.iter().filter(|head| head.contains(path)).count()
}

#[test]
fn rfc8470_5_2_what_an_endpoint_finds_too_early_it_gets_again_behind_the_handshake() {
    let (authority, (endpoint, heads)) = (Authority::new("root"), wary());
    let proxy = start(&authority, &endpoint);
    let config = client(&authority, "http/1.1");
    visit(&config, &proxy);
    let mut connection = Stepwise::early(&config, &proxy, &get("/wary", ""));
    wait_for("the request", || (count(&heads, "/wary") == 1).then_some(()));
    connection.heard();
    connection.send();
    assert_eq!(connection.answer(), 200);
    assert_eq!(count(&heads, "/wary"), 2);
    // Whoever says so himself is told so.
    visit(&config, &proxy);
    let mut connection = Stepwise::early(&config, &proxy, &get("/told", "early-data: 1\r\n"));
    assert_eq!(connection.answer(), 425);
    assert_eq!(count(&heads, "/told"), 1);

    in_time(async {
        let client = quic_client(&authority);
        let connection = connect(&client, proxy.address("web")).await;
        assert_eq!(ask(&connection, Method::GET, "/first").await, 200);
        connection.close(0x100_u32.into(), b"");
        let relay = Withholding::start(proxy.address("web"));
        let connecting = client.connect(relay.address, "localhost").expect("a connection");
        let Ok((connection, _)) = connecting.into_0rtt() else { panic!("no session to go on") };
        let asking = tokio::spawn(async move { ask(&connection, Method::GET, "/quic").await });
        while count(&heads, "/quic") == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        relay.let_go();
        assert_eq!(asking.await.expect("it ends"), 200);
        assert_eq!(count(&heads, "/quic"), 2);
    });
}

#[test]
fn openssl_has_its_early_request_answered() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let proxy = start(&authority, &endpoint);
    let directory = authority.certificate().parent().expect("a directory").to_owned();
    let (session, request) = (directory.join("session.pem"), directory.join("request"));
    std::fs::write(&request, get("/openssl", "connection: close\r\n")).expect("room for a file");
    let run = |arguments: &[&str]| {
        let mut openssl = Command::new("openssl")
            .args(["s_client", "-connect", &proxy.address("web").to_string(), "-servername", "localhost"])
            .args(["-ign_eof", "-alpn", "http/1.1"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl runs");
        let mut stdin = openssl.stdin.take().expect("a pipe");
        if arguments.contains(&"-sess_out") {
            stdin.write_all(&get("/visit", "connection: close\r\n")).expect("room");
        }
        let output = openssl.wait_with_output().expect("it ends");
        drop(stdin);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let first = run(&["-sess_out", &session.display().to_string()]);
    assert!(first.contains("200 OK"), "{first}");
    let second = run(&["-sess_in", &session.display().to_string(), "-early_data", &request.display().to_string()]);
    assert!(second.contains("Early data was accepted") && second.contains("200 OK"), "{second}");
    let head = endpoint.requests().into_iter().find(|head| head.contains("/openssl")).expect("the request");
    assert!(head.contains("early-data: 1"), "{head}");
}
