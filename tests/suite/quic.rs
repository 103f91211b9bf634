//! What happens below HTTP/3, seen by quinn's own client: connections that a restart has cut, and handshakes.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use plimsoll_fields::RequestHead;
use plimsoll_http3::{Piece, RequestStream, encode_request, put_section, read_response};
use plimsoll_tests::{Authority, Endpoint, PATIENCE, Proxy, free_address, wait_for};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint as Client, TransportConfig};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::PLIMSOLL;

fn start(authority: &Authority, endpoint: &Endpoint, bind: SocketAddr, tls: &str) -> Proxy {
    let issued = authority.issue("localhost", "DNS:localhost");
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
secret: 0123456789abcdef
listeners: [ {{ name: web, bind: \"{bind}\", cluster: app, http3: true, tls: {{ {tls} certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

/// One that waits for whom it speaks to without end.
pub(crate) fn client(authority: &Authority) -> Client {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority.certificate()).expect("a certificate");
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut tls = versions.expect("TLS 1.3").with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls.enable_early_data = true;
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(None);
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("a cipher")));
    config.transport_config(Arc::new(transport));
    let mut client = Client::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    client.set_default_client_config(config);
    client
}

pub(crate) async fn connect(client: &Client, to: SocketAddr) -> Connection {
    client.connect(to, "localhost").expect("a connection").await.expect("a handshake")
}

pub(crate) fn in_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

#[test]
fn rfc9000_10_3_a_client_learns_at_once_that_a_restart_has_cut_its_connection() {
    let authority = Authority::new("root");
    let endpoint = Endpoint::named("one");
    let bind = free_address();
    let proxy = start(&authority, &endpoint, bind, "");
    in_time(async {
        let client = client(&authority);
        let connection = connect(&client, bind).await;
        // One that ends without a word.
        drop(proxy);
        let _again = start(&authority, &endpoint, bind, "");
        let mut stream = connection.open_uni().await.expect("a stream");
        stream.write_all(&[0x21; 200]).await.expect("room");
        assert_eq!(connection.closed().await, ConnectionError::Reset);
    });
}

/// Asks, and answers with the status.
pub(crate) async fn ask(connection: &Connection, method: Method, path: &str) -> u16 {
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    let (mut section, mut bytes) = (Vec::new(), Vec::new());
    let uri = format!("https://localhost{path}").parse().expect("a target");
    encode_request(&RequestHead { method, uri, ..RequestHead::default() }, &mut section);
    put_section(&mut bytes, &section);
    send.write_all(&bytes).await.expect("room");
    send.finish().expect("it is open");
    let mut answer = Bytes::from(recv.read_to_end(1 << 20).await.expect("an answer"));
    match RequestStream::new(1 << 20).take(&mut answer) {
        Ok(Some(Piece::Section(section))) => read_response(&section, 1 << 20).expect("a head").status.as_u16(),
        other => panic!("no head: {other:?}"),
    }
}

/// Between a client and a proxy; nothing of what the proxy sends arrives until it is let.
pub(crate) struct Withholding {
    pub(crate) address: SocketAddr,
    lets: Arc<AtomicBool>,
}

impl Withholding {
    pub(crate) fn start(proxy: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let back = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        back.connect(proxy).expect("an address");
        let address = front.local_addr().expect("an address");
        let lets = Arc::new(AtomicBool::new(false));
        let letting = lets.clone();
        let (to_client, to_proxy) = (front.try_clone().expect("a descriptor"), back.try_clone().expect("a descriptor"));
        let (known, knows) = std::sync::mpsc::sync_channel(1);
        // Both end with the process: nobody sends to them any more.
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while let Ok((length, client)) = front.recv_from(&mut bytes) {
                let _ = known.try_send(client);
                let _ = to_proxy.send(&bytes[..length]);
            }
        });
        std::thread::spawn(move || {
            let client = knows.recv().expect("a client");
            let mut bytes = [0; 2048];
            while let Ok(length) = back.recv(&mut bytes) {
                wait_for("leave", || letting.load(Ordering::Relaxed).then_some(()));
                let _ = to_client.send_to(&bytes[..length], client);
            }
        });
        Self { address, lets }
    }

    pub(crate) fn let_go(&self) {
        self.lets.store(true, Ordering::Relaxed);
    }
}

#[test]
fn rfc8470_what_does_no_harm_is_answered_before_the_handshake_is_over_and_the_rest_behind_it() {
    let authority = Authority::new("root");
    let endpoint = Endpoint::named("one");
    let proxy = start(&authority, &endpoint, "127.0.0.1:0".parse().expect("an address"), "early_data: true,");
    let address = proxy.address("web");
    let heads = || endpoint.requests();
    in_time(async {
        let client = client(&authority);
        let connection = connect(&client, address).await;
        assert_eq!(ask(&connection, Method::GET, "/first").await, 200);
        assert!(heads().iter().all(|head| !head.contains("early-data")), "{:?}", heads());
        connection.close(0x100_u32.into(), b"");

        let relay = Withholding::start(address);
        let connecting = client.connect(relay.address, "localhost").expect("a connection");
        let Ok((connection, accepted)) = connecting.into_0rtt() else { panic!("no session to go on") };
        let (late, early) = (connection.clone(), connection.clone());
        let late = tokio::spawn(async move { ask(&late, Method::POST, "/late").await });
        let early = tokio::spawn(async move { ask(&early, Method::GET, "/early").await });
        while !heads().iter().any(|head| head.starts_with("GET /early") && head.contains("early-data: 1")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!heads().iter().any(|head| head.contains("/late")), "{:?}", heads());
        relay.let_go();
        assert_eq!((early.await.expect("it ends"), late.await.expect("it ends")), (200, 200));
        assert!(accepted.await, "the handshake is over, and what came early was taken");
        let late = heads().into_iter().find(|head| head.contains("/late")).expect("the request");
        assert!(!late.contains("early-data"), "{late}");
        assert_eq!(ask(&connection, Method::GET, "/behind").await, 200);
        assert!(!heads().iter().any(|head| head.contains("/behind") && head.contains("early-data")));
    });
    assert_eq!(proxy.metric("plimsoll_tls_handshakes_total{listener=\"web\",result=\"full\"}"), 2.0);
}

#[test]
fn unless_it_is_asked_for_nothing_is_taken_before_the_handshake_is_over() {
    let authority = Authority::new("root");
    let endpoint = Endpoint::named("one");
    let proxy = start(&authority, &endpoint, "127.0.0.1:0".parse().expect("an address"), "");
    in_time(async {
        let client = client(&authority);
        let connection = connect(&client, proxy.address("web")).await;
        assert_eq!(ask(&connection, Method::GET, "/").await, 200);
        let again = client.connect(proxy.address("web"), "localhost").expect("a connection");
        assert!(again.into_0rtt().is_err(), "the session says that it may not");
    });
}

#[test]
fn a_connection_goes_on_where_its_listener_comes_to_listen_at_fewer_addresses_or_more() {
    let authority = Authority::new("root");
    let endpoint = Endpoint::named("one");
    let (port, issued) = (free_address().port(), authority.issue("localhost", "DNS:localhost"));
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    let config = |bind: &str| {
        format!(
            "workers: 2
listeners: [ {{ name: web, bind: \"{bind}:{port}\", cluster: app, http3: true, tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("0.0.0.0"));
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    in_time(async {
        let clients: Vec<Client> = (0..4).map(|_| client(&authority)).collect();
        let mut connections = Vec::new();
        for client in &clients {
            connections.push(connect(client, to).await);
        }
        for bind in ["127.0.0.1", "0.0.0.0", "127.0.0.1"] {
            proxy.admin_json("PUT", "/v1/config", Some(config(bind).as_bytes()));
            connections.push(connect(&clients[0], to).await);
            for connection in &connections {
                assert_eq!(ask(connection, Method::GET, "/").await, 200);
            }
        }
    });
}
