use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_proxy_protocol::{Details, Tlvs, Version, write};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::exchange::exchange;
use super::http1::Keep;
use super::http3::over_http3;
use super::message::{Answer, Request};
use super::steps::{Step, Watcher};
use crate::config::UpstreamProtocol;
use crate::io::Stream;
use crate::tls::{Carries, EndpointTls, Handshake, NoQuic, unix_seconds};

/// How an endpoint is spoken to by the control plane.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    pub address: SocketAddr,
    /// What is spoken for exchanges of HTTP.
    pub protocol: UpstreamProtocol,
    /// How TLS is spoken, if it is.
    pub tls: Option<&'a EndpointTls>,
    /// Whether it is spoken from the first byte on, or when a prober asks for it.
    pub encrypts: bool,
    /// Where a connection of HTTP/1.1 is kept from one exchange to the next.
    pub keep: &'a Keep,
    /// How long the endpoint's certificate has to be valid yet.
    pub min_validity: Option<Duration>,
    /// The version of the PROXY protocol in which we say that we speak for ourselves.
    pub proxy_protocol: Option<Version>,
    /// How long HTTP/3 is waited for, before HTTP/2 stands in.
    pub patience: Duration,
    /// Who hears of each step.
    pub watcher: &'a dyn Watcher,
}

/// Why there is no answer, or no connection to ask on.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody has heard the question.
    Unreached(String),
    Broken(String),
}

impl NoAnswer {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Unreached(text) | Self::Broken(text) => text,
        }
    }
}

impl Line<'_> {
    /// Makes an exchange of HTTP.
    pub async fn exchange(&self, request: Request) -> Result<Answer, NoAnswer> {
        if self.protocol == UpstreamProtocol::Http3
            && let Some(quic) = Box::pin(self.connect_quic()).await?
        {
            return Box::pin(over_http3(quic, self.address, request)).await.map_err(NoAnswer::Broken);
        }
        if let Some(connection) = self.keep.take(&request)
            && let Some(answered) = connection.exchange_again(self.address, &request, self.keep).await
        {
            return answered.map_err(NoAnswer::Broken);
        }
        // In boxes, as what is seldom needed is large: probes are moved about until they are first polled.
        let (stream, _) = Box::pin(self.connect(Carries::Http)).await?;
        Box::pin(exchange(stream, self.address, self.protocol, request, self.keep)).await.map_err(NoAnswer::Broken)
    }

    /// None where UDP does not come through, and the endpoint is spoken to over TCP, as requests do.
    async fn connect_quic(&self) -> Result<Option<quinn::Connection>, NoAnswer> {
        let Some(tls) = self.tls.filter(|_| self.encrypts) else { return Ok(None) };
        let quic = match tokio::time::timeout(self.patience, tls.connect_quic(self.address)).await {
            Ok(Ok(quic)) => quic,
            Ok(Err(NoQuic::Unreachable(_))) | Err(_) => return Ok(None),
            Ok(Err(NoQuic::Tls(cause))) => return Err(no_handshake(&cause)),
            Ok(Err(NoQuic::Socket(error))) => return Err(unreached("connecting", &error)),
        };
        self.watcher.hear(Step::Connected);
        self.secured(&Handshake::of_quic(&quic))?;
        Ok(Some(quic))
    }

    pub(super) async fn connect(&self, carries: Carries) -> Result<(Stream, Option<Handshake>), NoAnswer> {
        let connecting = TcpStream::connect(self.address).await;
        let mut stream = connecting.map_err(|error| unreached("connecting", &error))?;
        self.watcher.hear(Step::Connected);
        if let Some(version) = self.proxy_protocol {
            let header = write(version, None, &Details::default(), Tlvs::default());
            stream.write_all(&header).await.map_err(|error| unreached("sending", &error))?;
        }
        let Some(tls) = self.tls.filter(|_| self.encrypts) else { return Ok((Stream::Tcp(stream), None)) };
        let (stream, handshake) = self.shake_hands(tls, stream, carries).await?;
        Ok((stream, Some(handshake)))
    }

    pub(super) async fn shake_hands(
        &self,
        tls: &EndpointTls,
        stream: TcpStream,
        carries: Carries,
    ) -> Result<(Stream, Handshake), NoAnswer> {
        let stream = tls.shake_hands(stream, carries).await.map_err(|cause| no_handshake(&cause))?;
        let handshake = Handshake::of(&stream);
        self.secured(&handshake)?;
        Ok((Stream::Tls(Box::new(stream.into())), handshake))
    }

    fn secured(&self, handshake: &Handshake) -> Result<(), NoAnswer> {
        self.watcher.hear(Step::Secured(handshake));
        match (self.min_validity, handshake.certificate_ends) {
            (Some(wanted), Some(ends)) => is_valid_yet(ends, wanted).map_err(NoAnswer::Unreached),
            _ => Ok(()),
        }
    }
}

fn unreached(doing: &str, error: &dyn std::error::Error) -> NoAnswer {
    NoAnswer::Unreached(format!("{doing} failed: {error}"))
}

fn no_handshake(cause: &impl std::fmt::Display) -> NoAnswer {
    NoAnswer::Unreached(format!("the TLS handshake failed: {cause}"))
}

/// Whether a certificate that ends then, in seconds since 1970, is valid for so long yet. The error says for how long it is.
fn is_valid_yet(ends: i64, wanted: Duration) -> Result<(), String> {
    let left = Duration::from_secs(u64::try_from(ends - unix_seconds()).unwrap_or(0));
    if left >= wanted {
        return Ok(());
    }
    Err(format!("its certificate is valid for {} yet, expected {}", in_words(left), in_words(wanted)))
}

/// In the largest unit of which there are two or more.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}
