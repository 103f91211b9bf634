use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use rustls::server::{Acceptor, ServerConnection};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsAcceptor};

use super::connection::Connection;
use super::linger;
use super::turns::Turns;
use crate::config::Protocol;
use crate::io::{Completion, EarlyTls, Stream};
use crate::proxy::{self, Encrypted, Listener};
use crate::telemetry::{ClientTls, TlsHandshake};
use crate::tls::{Certificates, Challenges, identity};

/// Makes a connection one of TLS. None when it does not come to that, which is counted.
pub(super) async fn shake_hands(
    context: &Rc<proxy::Context>,
    listener: &Rc<Listener>,
    stream: TcpStream,
    connection: &Connection,
    turns: &Rc<Turns>,
) -> Option<(Stream, Encrypted)> {
    let (tls, configured) = listener.tls.as_ref().zip(listener.config.tls.as_ref())?;
    let certificates = &tls.certificates;
    let accepting = Accepting {
        config: tls.config.clone(),
        challenges: &context.challenges,
        is_http: listener.config.protocol == Protocol::Http,
        takes_early_data: configured.early_data,
    };
    let accepting = accepting.accept(stream);
    let mut accepting = std::pin::pin!(context.timers.bound(listener.config.timeouts.tls_handshake, accepting));
    let accepted = poll_fn(|task| match turns.poll(task, &context.shard, |task| accepting.as_mut().poll(task)) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending if connection.poll_draining(task) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let (result, encrypted) = match accepted.await? {
        Ok(Ok(Spoken::Tls(stream))) => {
            let session = stream.get_ref().1;
            let encrypted = described(session, certificates);
            (outcome(session), Some((Stream::Tls(Box::new((*stream).into())), encrypted)))
        }
        Ok(Ok(Spoken::Early(stream))) => {
            connection.established();
            tokio::task::spawn_local(finish(context.clone(), listener.clone(), stream.completion().clone()));
            let encrypted = described(stream.get_ref().1, certificates);
            return Some((Stream::Early(stream), encrypted));
        }
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
    encrypted
}

/// What a client speaks that was to speak TLS.
enum Spoken {
    Tls(Box<TlsStream<TcpStream>>),
    /// It has sent before the end of the handshake, which is to come.
    Early(Box<EarlyTls>),
    /// Nothing: it wants to see a certificate that answers a challenge.
    Challenge(Box<TlsStream<TcpStream>>),
    PlainHttp(TcpStream),
}

/// How a client is heard that is to speak TLS.
struct Accepting<'a> {
    config: Arc<ServerConfig>,
    challenges: &'a Challenges,
    is_http: bool,
    takes_early_data: bool,
}

impl Accepting<'_> {
    async fn accept(self, stream: TcpStream) -> io::Result<Spoken> {
        let mut first = [0];
        // Methods of HTTP begin with a letter, which no record of TLS does (RFC 8446 section 5.1).
        if self.is_http && stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
            return Ok(Spoken::PlainHttp(stream));
        }
        if !self.challenges.await_tls() && !self.takes_early_data {
            return TlsAcceptor::from(self.config).accept(stream).await.map(|stream| Spoken::Tls(Box::new(stream)));
        }
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        // It has another configuration: no certificate is asked for, and nothing is resumed.
        if let Some(answer) = self.challenges.tls_answer(&begun.client_hello()) {
            return begun.into_stream(answer).await.map(|stream| Spoken::Challenge(Box::new(stream)));
        }
        if self.takes_early_data {
            return begin(self.config, begun).await;
        }
        begun.into_stream(self.config).await.map(|stream| Spoken::Tls(Box::new(stream)))
    }
}

/// Gets a connection to where requests may come, which is before the end of the handshake with a client that has been there before.
async fn begin(config: Arc<ServerConfig>, begun: StartHandshake<TcpStream>) -> io::Result<Spoken> {
    let StartHandshake { accepted, io: mut stream, .. } = begun;
    let mut session = match accepted.into_connection(config.clone()) {
        Ok(session) => session,
        Err((error, mut alert)) => {
            let mut why = Vec::new();
            alert.write_all(&mut why)?;
            stream.write_all(&why).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    };
    if session.early_data().is_some() {
        let mut stream = Box::new(EarlyTls::new(stream, session));
        return poll_fn(|task| Poll::Ready(stream.begin(task))).await.map(|()| Spoken::Early(stream));
    }
    let accepting = TlsAcceptor::from(config).accept_with(stream, |fresh| *fresh = session);
    accepting.await.map(|stream| Spoken::Tls(Box::new(stream)))
}

/// Follows a handshake whose client has sent before its end.
async fn finish(context: Rc<proxy::Context>, listener: Rc<Listener>, completion: Arc<Completion>) {
    let finished = context.timers.bound(listener.config.timeouts.tls_handshake, completion.wait()).await;
    completion.fail();
    listener.shard.tls_handshake(match finished {
        Ok(true) => TlsHandshake::Resumed,
        Ok(false) => TlsHandshake::Closed,
        Err(_elapsed) => TlsHandshake::Timeout,
    });
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

fn outcome(session: &ServerConnection) -> TlsHandshake {
    match session.handshake_kind() {
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
fn described(session: &ServerConnection, certificates: &Certificates) -> Encrypted {
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
