use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use rustls::server::Acceptor;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::connection::Connection;
use super::linger;
use super::turns::Turns;
use crate::config::Protocol;
use crate::io::Stream;
use crate::proxy::{self, Encrypted, Listener};
use crate::telemetry::{ClientTls, TlsHandshake};
use crate::tls::{Certificates, Challenges, ServerTls, identity};

/// Makes a connection one of TLS. None when it does not come to that, which is counted.
pub(super) async fn shake_hands(
    context: &proxy::Context,
    listener: &Listener,
    stream: TcpStream,
    connection: &Connection,
    turns: &Rc<Turns>,
) -> Option<(Stream, Encrypted)> {
    let is_http = listener.config.protocol == Protocol::Http;
    let ServerTls { config, certificates, .. } = listener.tls.as_ref()?;
    let accepting = accept(config.clone(), &context.challenges, stream, is_http);
    let mut accepting = std::pin::pin!(context.timers.bound(listener.config.timeouts.tls_handshake, accepting));
    let accepted = poll_fn(|task| match turns.poll(task, &context.shard, |task| accepting.as_mut().poll(task)) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending if connection.poll_draining(task) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let (result, encrypted) = match accepted.await? {
        Ok(Ok(Spoken::Tls(stream))) => (outcome(&stream), Some(stream)),
        Ok(Ok(Spoken::Challenge(mut stream))) => {
            // The handshake was all that it came for (RFC 8737 section 3); it may have gone.
            let _ = stream.shutdown().await;
            (TlsHandshake::AcmeChallenge, None)
        }
        Ok(Ok(Spoken::PlainHttp(stream))) => {
            answer_in_the_clear(context, stream).await;
            (TlsHandshake::PlainHttp, None)
        }
        Ok(Err(error)) => {
            tracing::debug!(listener = &*listener.name, "TLS handshake failed: {error}");
            (failure(&error), None)
        }
        Err(_elapsed) => (TlsHandshake::Timeout, None),
    };
    listener.shard.tls_handshake(result);
    connection.established();
    let stream = encrypted?;
    let described = described(&stream, certificates);
    Some((Stream::Tls(Box::new((*stream).into())), described))
}

/// What a client speaks that was to speak TLS.
enum Spoken {
    Tls(Box<TlsStream<TcpStream>>),
    /// Nothing: it wants to see a certificate that answers a challenge.
    Challenge(Box<TlsStream<TcpStream>>),
    PlainHttp(TcpStream),
}

async fn accept(
    config: Arc<ServerConfig>,
    challenges: &Challenges,
    stream: TcpStream,
    is_http: bool,
) -> io::Result<Spoken> {
    let mut first = [0];
    // Methods of HTTP begin with a letter, which no record of TLS does (RFC 8446 section 5.1).
    if is_http && stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        return Ok(Spoken::PlainHttp(stream));
    }
    if challenges.await_tls() {
        // It has another configuration: no certificate is asked for, and nothing is resumed.
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        return match challenges.tls_answer(&begun.client_hello()) {
            Some(answer) => begun.into_stream(answer).await.map(|stream| Spoken::Challenge(Box::new(stream))),
            None => begun.into_stream(config).await.map(|stream| Spoken::Tls(Box::new(stream))),
        };
    }
    TlsAcceptor::from(config).accept(stream).await.map(|stream| Spoken::Tls(Box::new(stream)))
}

/// Tells a person what went wrong, who would see a broken connection otherwise.
async fn answer_in_the_clear(context: &proxy::Context, mut stream: TcpStream) {
    let text = "client sent plain HTTP to an HTTPS port; the address begins with https://";
    let text = proxy::refusal(StatusCode::BAD_REQUEST, Some(text));
    // The answer fits the socket's buffer; a client that has gone needs none.
    if stream.write_all(text.as_bytes()).await.is_ok() {
        linger::close(&mut stream, &context.timers).await;
    }
}

fn outcome(stream: &TlsStream<TcpStream>) -> TlsHandshake {
    match stream.get_ref().1.handshake_kind() {
        Some(HandshakeKind::Resumed) => TlsHandshake::Resumed,
        _ => TlsHandshake::Full,
    }
}

/// A client that connects and goes, as health checks of others do, is no failure of TLS.
fn failure(error: &io::Error) -> TlsHandshake {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            TlsHandshake::Closed
        }
        _ => TlsHandshake::Failed,
    }
}

/// What the access log says of it, and the certificate that the client got.
fn described(stream: &TlsStream<TcpStream>, certificates: &Certificates) -> Encrypted {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    let shown = session.peer_certificates().and_then(|chain| identity(chain.first()?)).map(Box::new);
    let described =
        ClientTls { version, cipher, server_name: session.server_name().map(Into::into), certificate: shown };
    Encrypted {
        described,
        certificate: certificates.for_name(session.server_name()),
        application_protocol: session.alpn_protocol().map(Into::into),
    }
}
