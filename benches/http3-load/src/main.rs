//! Asks a port over HTTP/3 for some seconds, as many requests at a time as streams on all connections, and prints how many
//! answers came. All must be 200, and whole.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Parser;
use http::Uri;
use plimsoll_fields::RequestHead;
use plimsoll_http3::{Piece, RequestStream, Settings, encode_request, put_section, put_settings, read_response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Of a field section of an answer.
const MOST_SECTION_BYTES: usize = 64 << 10;

#[derive(Debug, Parser)]
struct Load {
    /// Where to ask.
    address: SocketAddr,
    /// The certificate that has to be shown there, in PEM.
    certificate: PathBuf,
    /// What to ask for.
    #[arg(long, default_value = "/")]
    path: String,
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Of a connection, at a time.
    #[arg(long, default_value_t = 8)]
    streams: usize,
}

fn main() -> Result<()> {
    let load = Load::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(run(&load))?);
    Ok(())
}

async fn run(load: &Load) -> Result<u64> {
    let mut client = Endpoint::client(([127, 0, 0, 1], 0).into())?;
    client.set_default_client_config(config(&load.certificate)?);
    let target = format!("https://bench.test{}", load.path).parse()?;
    let request = Arc::new(encoded(&target));
    let mut asking = tokio::task::JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        let connection = client.connect(load.address, "bench.test")?.await?;
        let mut control = connection.open_uni().await?;
        let mut bytes = Vec::new();
        put_settings(&mut bytes, &Settings::default());
        control.write_all(&bytes).await?;
        // Whoever ends it ends the connection.
        connections.push((connection, control));
    }
    let end = Instant::now() + Duration::from_secs(load.seconds);
    for (connection, _) in connections.iter().flat_map(|connection| vec![connection; load.streams]) {
        let (connection, request) = (connection.clone(), request.clone());
        asking.spawn(async move {
            let mut answers = 0;
            while Instant::now() < end {
                ask(&connection, &request).await?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(done) = asking.join_next().await {
        answers += done??;
    }
    Ok(answers)
}

fn config(certificate: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).context("no certificate")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut tls = versions.with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

fn encoded(target: &Uri) -> Vec<u8> {
    let (mut section, mut bytes) = (Vec::new(), Vec::new());
    encode_request(&RequestHead { uri: target.clone(), ..RequestHead::default() }, &mut section);
    put_section(&mut bytes, &section);
    bytes
}

async fn ask(connection: &Connection, request: &[u8]) -> Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(request).await?;
    send.finish()?;
    let mut answer = RequestStream::new(MOST_SECTION_BYTES);
    let mut is_answered = false;
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await? {
        let mut bytes: Bytes = chunk.bytes;
        while let Some(piece) = answer.take(&mut bytes).map_err(|code| anyhow::anyhow!("malformed: {code:?}"))? {
            let Piece::Section(section) = piece else { continue };
            if is_answered {
                continue;
            }
            let head = read_response(&section, MOST_SECTION_BYTES).ok().context("a malformed head")?;
            if head.status != http::StatusCode::OK {
                bail!("answered by {}", head.status);
            }
            is_answered = true;
        }
    }
    if answer.end().is_err() || !is_answered {
        bail!("an answer was cut short");
    }
    Ok(())
}
