//! What happens below HTTP/3, seen by quinn's own client: connections that a restart has cut, and handshakes.

use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_tests::{Authority, Endpoint, PATIENCE, Proxy, free_address};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint as Client, TransportConfig};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::PLIMSOLL;

/// A proxy that is known for a secret.
fn start(authority: &Authority, endpoint: &Endpoint, bind: SocketAddr, secret: &str) -> Proxy {
    let issued = authority.issue("localhost", "DNS:localhost");
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
secret: {secret}
listeners: [ {{ name: web, bind: \"{bind}\", cluster: app, http3: true, tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

/// One that waits for whom it speaks to without end.
fn client(authority: &Authority) -> Client {
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

async fn connect(client: &Client, to: SocketAddr) -> Connection {
    client.connect(to, "localhost").expect("a connection").await.expect("a handshake")
}

fn in_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

#[test]
fn rfc9000_10_3_a_client_learns_at_once_that_a_restart_has_cut_its_connection() {
    let authority = Authority::new("root");
    let endpoint = Endpoint::named("one");
    let bind = free_address();
    let proxy = start(&authority, &endpoint, bind, "0123456789abcdef");
    in_time(async {
        let client = client(&authority);
        let connection = connect(&client, bind).await;
        // One that ends without a word.
        drop(proxy);
        let _again = start(&authority, &endpoint, bind, "0123456789abcdef");
        let mut stream = connection.open_uni().await.expect("a stream");
        stream.write_all(&[0x21; 200]).await.expect("room");
        assert_eq!(connection.closed().await, ConnectionError::Reset);
    });
}
