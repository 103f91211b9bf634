use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::Connection;
use crate::proxy::{self, Listener};
use crate::telemetry::{ClientTls, TlsHandshake};
use crate::tls::ServerTls;

/// Makes a connection one of TLS. None when it does not come to that, which is counted.
pub(super) async fn shake_hands(
    context: &proxy::Context,
    listener: Rc<Listener>,
    tls: ServerTls,
    stream: TcpStream,
    connection: &Connection,
) -> Option<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(tls.config).accept(stream);
    let mut accepting = std::pin::pin!(context.timers.bound(listener.config.timeouts.tls_handshake, accepting));
    let accepted = poll_fn(|task| match accepting.as_mut().poll(task) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending if connection.poll_draining(task) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let (result, stream) = match accepted.await? {
        Ok(Ok(stream)) => (outcome(&stream), Some(stream)),
        Ok(Err(error)) => {
            tracing::debug!(listener = &*listener.name, "TLS handshake failed: {error}");
            (failure(&error), None)
        }
        Err(_elapsed) => (TlsHandshake::Timeout, None),
    };
    listener.shard.tls_handshake(result);
    connection.established();
    stream
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

/// What the access log says of it.
pub(super) fn described(stream: &TlsStream<TcpStream>) -> ClientTls {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    ClientTls { version, cipher, server_name: session.server_name().map(Into::into) }
}
