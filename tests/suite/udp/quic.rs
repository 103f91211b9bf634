//! QUIC that goes through, and is known by the ids of its connections. The peers are quinn's.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_tests::{Authority, Nat, Proxy, Signal, UdpClient, UdpEndpoint, wait_for};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, RecvStream, ServerConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{config, open_sessions, udp_proxy, wait_for_ends};
use crate::quic::{client, connect, in_time};

/// What a download has, more than is sent before a client takes any of it.
const DOWNLOAD: usize = 24 << 20;

/// An endpoint that sends a download to whoever connects.
struct Origin {
    endpoint: Endpoint,
    connections: Arc<Mutex<Vec<Connection>>>,
}

/// Ids with the endpoint's number at the place where QUIC-LB has it.
struct Numbered(u8);

impl ConnectionIdGenerator for Numbered {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id: [u8; 12] = std::array::from_fn(|_| rand_byte());
        id[1..5].copy_from_slice(&[b'n', b'o', b'.', self.0]);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        12
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Another one each time.
fn rand_byte() -> u8 {
    let mut byte = [0];
    aws_lc_rs::rand::fill(&mut byte).expect("randomness");
    byte[0]
}

impl Origin {
    fn start(authority: &Authority, config: EndpointConfig) -> Self {
        let issued = authority.issue("localhost", "DNS:localhost");
        let certificate = CertificateDer::from_pem_file(&issued.certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&issued.key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = versions.expect("TLS 1.3").with_no_client_auth().with_single_cert(vec![certificate], key);
        let mut tls = tls.expect("they belong together");
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let accepting = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("a cipher")));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(config, Some(accepting), socket, runtime).expect("a socket");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (accepting, seen) = (endpoint.clone(), connections.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    // One that ends is seen by the client.
                    let Ok(connection) = incoming.await else { return };
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(connection.clone());
                    let Ok(mut stream) = connection.open_uni().await else { return };
                    let _ = stream.write_all(&download()).await;
                    let _ = stream.finish();
                    connection.closed().await;
                });
            }
        });
        Self { endpoint, connections }
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("a bound socket")
    }

    fn connections(&self) -> Vec<Connection> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn download() -> Vec<u8> {
    (0..DOWNLOAD).map(|number| (number % 251) as u8).collect()
}

/// Takes a download, and moves the client again and again in its midst: no byte is lost, and it has one connection.
async fn download_while(moving: impl Fn(), connection: &Connection, origins: &[Origin; 2]) {
    let mut stream = connection.accept_uni().await.expect("the download");
    let mut taken = Vec::new();
    let path = |origins: &[Origin; 2]| {
        let connections: Vec<Connection> = origins.iter().flat_map(Origin::connections).collect();
        assert_eq!(connections.len(), 1, "there is one connection");
        connections[0].remote_address()
    };
    take(&mut stream, &mut taken).await;
    let mut paths = vec![path(origins)];
    for _ in 0..6 {
        moving();
        while paths.last() == Some(&path(origins)) {
            take(&mut stream, &mut taken).await;
        }
        paths.push(path(origins));
    }
    while taken.len() < DOWNLOAD {
        take(&mut stream, &mut taken).await;
    }
    assert!(taken == download(), "it came whole");
    assert_eq!(paths.iter().collect::<HashSet<_>>().len(), 7, "each time by another path");
}

async fn take(stream: &mut RecvStream, taken: &mut Vec<u8>) {
    let chunk = stream.read_chunk(64 << 10, true).await.expect("it goes on").expect("it is not over");
    taken.extend_from_slice(&chunk.bytes);
}

fn proxy_of(origins: &[Origin; 2], quic: &str) -> Proxy {
    udp_proxy(&origins.each_ref().map(Origin::address), &format!("udp: {{ quic: {quic} }}"), "")
}

#[test]
fn rfc9000_9_a_client_that_a_nat_gives_other_ports_in_a_download_keeps_its_endpoint() {
    in_time(async {
        let authority = Authority::new("root");
        let origins = [(); 2].map(|()| Origin::start(&authority, EndpointConfig::default()));
        let proxy = proxy_of(&origins, "true");
        let nat = Nat::before(proxy.address("game"));
        let connection = connect(&client(&authority), nat.address()).await;
        download_while(|| nat.rebind(), &connection, &origins).await;
        assert!(open_sessions(&proxy) >= 7.0, "a path is a session");
    });
}

#[test]
fn a_client_that_moves_keeps_its_endpoint_while_its_listener_drains() {
    in_time(async {
        let authority = Authority::new("root");
        for goes in ["the proxy", "the listener"] {
            let origins = [(); 2].map(|()| Origin::start(&authority, EndpointConfig::default()));
            let proxy = proxy_of(&origins, "true");
            let address = proxy.address("game");
            let nat = Nat::before(address);
            let connection = connect(&client(&authority), nat.address()).await;
            if goes == "the proxy" {
                proxy.signal(Signal::Term);
                wait_for("the drain", || proxy.log().contains("nothing new is accepted").then_some(()));
            } else {
                let addresses = origins.each_ref().map(Origin::address);
                let other = config("127.0.0.1:0", &addresses, "", "").replace("name: game", "name: other");
                proxy.admin_json("PUT", "/v1/config", Some(other.as_bytes()));
            }
            download_while(|| nat.rebind(), &connection, &origins).await;
            let stranger = client(&authority).connect(address, "localhost").expect("a connection");
            let stranger = tokio::time::timeout(Duration::from_millis(300), stranger).await;
            assert!(!matches!(stranger, Ok(Ok(_))), "{goes}: nothing new begins");
        }
    });
}

#[test]
fn rfc9000_9_5_a_client_that_moves_and_takes_another_id_keeps_its_endpoint_by_the_server_id() {
    in_time(async {
        let authority = Authority::new("root");
        let origins = [7, 8].map(|number| {
            let mut config = EndpointConfig::default();
            config.cid_generator(move || Box::new(Numbered(number)));
            Origin::start(&authority, config)
        });
        let proxy = proxy_of(&origins, "{ server_id: { offset: 1, bytes: 4 } }");
        let client = client(&authority);
        let connection = connect(&client, proxy.address("game")).await;
        let moving = || client.rebind(UdpSocket::bind("127.0.0.1:0").expect("a free port")).expect("a socket");
        download_while(moving, &connection, &origins).await;
    });
}

/// The beginning of a handshake, with the id that whoever sends it wants to be named by.
fn handshake(id: &str) -> Vec<u8> {
    let length = [id.len() as u8];
    [b"\xe0\x00\x00\x00\x01\x04them", &length[..], id.as_bytes(), b"..."].concat()
}

/// After a handshake.
fn later(id: &str) -> Vec<u8> {
    format!("A{id} and so on").into_bytes()
}

/// Tells an id with each handshake, and its name otherwise.
fn telling(name: &'static str, id: &'static str) -> UdpEndpoint {
    UdpEndpoint::replying(Arc::new(move |datagram| {
        vec![if datagram[0] & 0x80 == 0 { name.as_bytes().to_vec() } else { handshake(id) }]
    }))
}

/// Where clients get to that send this, each from a port of its own.
fn reached(proxy: &Proxy, datagram: &[u8]) -> HashSet<String> {
    (0..12).map(|_| UdpClient::of(proxy.address("game")).ask(datagram)).collect()
}

#[test]
fn an_id_leads_to_its_endpoint_as_long_as_a_session_has_it() {
    let endpoints = [telling("one", "first id"), telling("other", "another one")];
    let addresses = endpoints.each_ref().map(UdpEndpoint::address);
    let proxy = udp_proxy(&addresses, "udp: { quic: true }, timeouts: { idle: 4s }", "");
    let both = HashSet::from(["one".to_owned(), "other".to_owned()]);
    assert_eq!(reached(&proxy, &later("first id")), both, "nobody has told it yet");
    assert_eq!(reached(&proxy, &handshake("mine")).len(), 2, "who begins is balanced");
    assert_eq!(reached(&proxy, &later("first id")), HashSet::from(["one".to_owned()]));
    assert_eq!(reached(&proxy, &later("another one")), HashSet::from(["other".to_owned()]));
    for unknown in ["first ix", "first", "", "an0ther one"] {
        assert_eq!(reached(&proxy, &later(unknown)), both, "{unknown}");
    }
    // Sessions that have gone on with an id keep it.
    let client = UdpClient::of(proxy.address("game"));
    wait_for("the others to end", || {
        assert_eq!(client.ask(later("first id")), "one");
        (open_sessions(&proxy) == 1.0).then_some(())
    });
    assert_eq!(reached(&proxy, &later("first id")), HashSet::from(["one".to_owned()]));
    wait_for("all to end", || (open_sessions(&proxy) == 0.0).then_some(()));
    assert_eq!(reached(&proxy, &later("first id")), both, "it is forgotten");
}

#[test]
fn an_id_of_no_bytes_is_none() {
    let endpoints = [telling("one", ""), telling("other", "")];
    let proxy = udp_proxy(&endpoints.each_ref().map(UdpEndpoint::address), "udp: { quic: true }", "");
    reached(&proxy, &handshake("mine"));
    assert_eq!(reached(&proxy, &later("")).len(), 2);
}

#[test]
fn unless_it_is_asked_for_ids_mean_nothing() {
    let endpoints = [telling("one", "first id"), telling("other", "another one")];
    let proxy = udp_proxy(&endpoints.each_ref().map(UdpEndpoint::address), "", "");
    reached(&proxy, &handshake("mine"));
    assert_eq!(reached(&proxy, &later("first id")).len(), 2);
}

#[test]
fn the_log_says_that_a_session_goes_on_with_a_connection() {
    let endpoint = telling("one", "first id");
    let proxy = udp_proxy(&[endpoint.address()], "udp: { quic: true }, timeouts: { idle: 300ms }", "");
    let (before, after) = (UdpClient::of(proxy.address("game")), UdpClient::of(proxy.address("game")));
    before.ask(handshake("mine"));
    assert_eq!(after.ask(later("first id")), "one");
    wait_for_ends(&proxy, "idle_timeout", 2.0);
    let lines = wait_for("a line for each", || Some(proxy.stdout()).filter(|log| log.lines().count() == 2));
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let goes_on = line["client"] == after.address().to_string();
        assert_eq!(line["reason"] == "connection", goes_on, "{lines}");
    }
}

/// What an endpoint at which nobody may be any more has told leads nowhere.
#[test]
fn a_connection_whose_endpoint_is_out_of_service_is_balanced() {
    let endpoints = [telling("one", "first id"), telling("other", "another one")];
    let proxy = udp_proxy(&endpoints.each_ref().map(UdpEndpoint::address), "udp: { quic: true }", "");
    reached(&proxy, &handshake("mine"));
    let patch = |change: &str| proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/e0", Some(change.as_bytes()));
    patch(r#"{ "drain": true }"#);
    wait_for("all workers to know", || (reached(&proxy, &later("unknown")).len() == 1).then_some(()));
    assert_eq!(reached(&proxy, &later("first id")), HashSet::from(["one".to_owned()]), "it keeps those that it has");
    patch(r#"{ "drain": false, "enabled": false }"#);
    let other = HashSet::from(["other".to_owned()]);
    wait_for("all workers to know", || (reached(&proxy, &later("first id")) == other).then_some(()));
}
