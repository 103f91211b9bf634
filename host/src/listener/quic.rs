//! QUIC with clients (RFC 9000): one endpoint for each worker, and connections up to the end of their handshakes.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use plimsoll_http3::Code;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connecting, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, QlogConfig,
    ServerConfig, TransportConfig, VarInt, ZeroRttAccepted,
};
use rustls::pki_types::CertificateDer;

use super::connection::Connection;
use super::turns::Turns;
use crate::config;
use crate::io::Completion;
use crate::net::{QUIC_ID_BYTES, QuicListening, name_endpoint};
use crate::proxy::{self, Encrypted, Listener};
use crate::telemetry::{ClientTls, TlsHandshake};
use crate::tls::{Certificates, QuicTls, identity};

/// Handshakes under way on a worker from which on a client has to prove its address first (Retry, RFC 9000 section 8.1.2).
const RETRY_FROM: usize = 64;
/// Clients of whom something has come that nobody has looked at yet, and what they may have sent, in bytes.
const MOST_INCOMING: usize = 1024;
const INCOMING_BYTES: u64 = 64 << 10;
const ALL_INCOMING_BYTES: u64 = 16 << 20;
/// What a client may send of a body before it was taken: of one stream, and of all together, as over HTTP/2.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What may be on its way to a client, or wait for it, in bytes.
const SEND_WINDOW: u64 = 2 << 20;
/// Streams that a client has for itself: three (RFC 9114 section 6.2), and those that it tries us with.
const CLIENT_STREAMS: u32 = 16;
/// How long nothing comes before a connection is taken for dead. One that is idle ends before, by `timeouts.keep_alive`.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a client that says nothing is asked whether it is there.
const PROBE: Duration = Duration::from_secs(20);

/// An endpoint on a worker's socket.
pub fn endpoint(socket: QuicListening, tls: QuicTls, steering: Steering) -> io::Result<Endpoint> {
    let mut config = EndpointConfig::new(tls.reset_key);
    let number = socket.number();
    config.cid_generator(move || Box::new(ConnectionIds { steering, number }));
    let server = Some(accepting(tls.crypto));
    Endpoint::new_with_abstract_socket(config, server, Arc::new(socket), Arc::new(quinn::TokioRuntime))
}

/// What an endpoint accepts by; each connection goes on by that of its listener.
pub fn accepting(crypto: Arc<QuicServerConfig>) -> ServerConfig {
    let mut server = ServerConfig::with_crypto(crypto);
    server.max_incoming(MOST_INCOMING);
    server.incoming_buffer_size(INCOMING_BYTES);
    server.incoming_buffer_size_total(ALL_INCOMING_BYTES);
    server
}

/// Which worker of how many.
#[derive(Clone, Copy, Debug)]
pub struct Steering {
    pub worker: usize,
    pub workers: usize,
}

/// Makes ids whose first byte leads to their worker, see [`crate::net::SocketGroup`], and the next two to the endpoint, see
/// [`crate::net::QuicListeners`]; all else is random.
struct ConnectionIds {
    steering: Steering,
    number: u8,
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; QUIC_ID_BYTES];
        // It does not fail on a system that has randomness at all, and all zeroes are still an id.
        let _ = aws_lc_rs::rand::fill(&mut id);
        id[0] = self.steering.first_byte(id[0]);
        name_endpoint(&mut id, self.number);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        QUIC_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl Steering {
    /// The largest byte that leads to the worker and is not above this one, or the smallest.
    fn first_byte(self, random: u8) -> u8 {
        let Ok(workers @ 1..) = u8::try_from(self.workers) else { return random };
        let worker = (self.worker % self.workers) as u8;
        let below = random - random % workers;
        below.checked_add(worker).unwrap_or(worker)
    }
}

/// Handshakes under way on a worker's endpoint.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Cell<usize>);

struct UnderWay(Rc<Handshakes>);

/// A handshake that may begin.
pub(super) struct Handshake {
    pub(super) incoming: Incoming,
    under_way: UnderWay,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

impl Handshakes {
    /// None when the client has to show first that it gets what is sent to its address. It has been asked to.
    pub(super) fn admit(self: &Rc<Self>, incoming: Incoming) -> Option<Handshake> {
        if self.0.get() < RETRY_FROM || incoming.remote_address_validated() || !incoming.may_retry() {
            self.0.set(self.0.get() + 1);
            return Some(Handshake { incoming, under_way: UnderWay(self.clone()) });
        }
        // It fails for those alone that have been asked before.
        let _ = incoming.retry();
        None
    }
}

impl Handshake {
    /// Shakes hands. None when it does not come to that, which is counted. Where the listener answers requests before the end of
    /// handshakes, it goes on by itself from where these can come.
    pub(super) async fn shake_hands(
        self,
        context: &Rc<proxy::Context>,
        listener: &Rc<Listener>,
        connection: &Connection,
        turns: &Rc<Turns>,
    ) -> Option<Shaken> {
        // The arithmetic of a handshake is done here, but for what clients show of themselves.
        let config = traced(listener, &self.incoming).or_else(|| listener.quic.clone())?;
        let mut accepting = Some((self.incoming, config));
        let accepted = poll_fn(|task| {
            turns.poll(task, &context.shard, |_| {
                Poll::Ready(accepting.take().map(|(incoming, config)| incoming.accept_with(config)))
            })
        });
        let mut under_way = Some(self.under_way);
        let takes_early_data = listener.config.tls.as_ref().is_some_and(|tls| tls.early_data);
        let shaken = match accepted.await? {
            Err(error) => Err(error),
            Ok(connecting) if takes_early_data => match begin(context, listener, connecting, connection).await? {
                Ok((quic, finished)) => Ok((quic, Some(finished))),
                Err(error) => Err(error),
            },
            Ok(connecting) => wait(context, listener, connecting, connection).await?.map(|connected| (connected, None)),
        };
        let mut completion: Option<Arc<Completion>> = None;
        let quic = match shaken {
            Ok((quic, Some(finished))) => {
                let finishing = Finishing {
                    context: context.clone(),
                    listener: listener.clone(),
                    quic: quic.clone(),
                    completion: completion.insert(Arc::default()).clone(),
                    _under_way: under_way.take(),
                };
                tokio::task::spawn_local(finishing.finish(finished));
                quic
            }
            Ok((quic, None)) => {
                count(listener, None);
                quic
            }
            Err(error) => {
                count(listener, Some(&error));
                return None;
            }
        };
        connection.established();
        let encrypted = described(&quic, &listener.tls.as_ref()?.certificates);
        if is_passed_through(listener, encrypted.described.server_name.as_deref()) {
            // Over TCP the client gets to whom it asks for.
            quic.close(VarInt::from_u32(Code::VersionFallback as u32), b"");
            return None;
        }
        Some(Shaken { quic, encrypted, completion })
    }
}

/// A connection on which requests may come.
pub(super) struct Shaken {
    pub(super) quic: quinn::Connection,
    pub(super) encrypted: Encrypted,
    /// Of its handshake, where requests may come before that is over.
    pub(super) completion: Option<Arc<Completion>>,
}

/// A handshake that goes on while requests are answered.
struct Finishing {
    context: Rc<proxy::Context>,
    listener: Rc<Listener>,
    quic: quinn::Connection,
    completion: Arc<Completion>,
    _under_way: Option<UnderWay>,
}

impl Finishing {
    async fn finish(self, finished: ZeroRttAccepted) {
        let finished = self.context.timers.bound(self.listener.config.timeouts.tls_handshake, finished).await;
        let error = match finished {
            Ok(_) => self.quic.close_reason(),
            Err(_elapsed) => Some(ConnectionError::TimedOut),
        };
        count(&self.listener, error.as_ref());
        if error.is_some() {
            self.completion.fail();
            self.quic.close(VarInt::from_u32(Code::RequestRejected as u32), b"");
        }
        self.completion.reach();
    }
}

/// Counts how a handshake ended.
fn count(listener: &Listener, error: Option<&ConnectionError>) {
    let shaken = error.map_or(TlsHandshake::Full, |error| {
        tracing::debug!(listener = &*listener.name, "QUIC handshake failed: {error}");
        failure(error)
    });
    listener.shard.tls_handshake(shaken);
}

/// Gets a connection to where requests may come in the first datagrams of a client that has been there before. None when the
/// connection is to end before.
async fn begin(
    context: &proxy::Context,
    listener: &Listener,
    mut connecting: Connecting,
    connection: &Connection,
) -> Option<Result<(quinn::Connection, ZeroRttAccepted), ConnectionError>> {
    let heard = wait(context, listener, connecting.handshake_data(), connection).await?;
    // Servers can always begin so.
    Some(heard.and_then(|_| connecting.into_0rtt().map_err(|_| ConnectionError::TimedOut)))
}

/// Whether TLS for a name is not ended here. QUIC is never passed through.
fn is_passed_through(listener: &Listener, name: Option<&str>) -> bool {
    let passthrough = listener.config.tls.as_ref().and_then(|tls| tls.passthrough.as_ref());
    passthrough.zip(name).is_some_and(|(passthrough, name)| passthrough.cluster(name).is_some())
}

/// None when the connection is to end before.
async fn wait<T>(
    context: &proxy::Context,
    listener: &Listener,
    connecting: impl Future<Output = Result<T, ConnectionError>>,
    connection: &Connection,
) -> Option<Result<T, ConnectionError>> {
    let mut connecting = std::pin::pin!(context.timers.bound(listener.config.timeouts.tls_handshake, connecting));
    poll_fn(|task| match connecting.as_mut().poll(task) {
        Poll::Ready(connected) => Poll::Ready(Some(connected.unwrap_or(Err(ConnectionError::TimedOut)))),
        Poll::Pending if connection.poll_draining(task) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// How a listener speaks QUIC.
pub fn quic_config(crypto: Arc<QuicServerConfig>, listener: &config::Listener) -> Arc<ServerConfig> {
    let mut server = ServerConfig::with_crypto(crypto);
    server.transport_config(Arc::new(transport(listener)));
    Arc::new(server)
}

/// The same for a connection that is written down, if it is to be.
fn traced(listener: &Listener, incoming: &Incoming) -> Option<Arc<ServerConfig>> {
    let qlog = listener.config.http3.as_ref()?.qlog.as_ref()?;
    let (traces, client) = (listener.tls.as_ref()?.quic.as_ref()?.traces.as_ref()?, incoming.remote_address());
    if qlog.from.as_ref().is_some_and(|from| !from.contains(client.ip())) {
        return None;
    }
    let trace = traces.begin(&incoming.orig_dst_cid().to_string())?;
    let mut writing = QlogConfig::default();
    let (title, description) = (listener.name.to_string(), format!("from {client}"));
    writing.writer(Box::new(trace)).title(Some(title)).description(Some(description));
    let mut transport = transport(&listener.config);
    transport.qlog_stream(writing.into_stream());
    let mut server = ServerConfig::clone(listener.quic.as_ref()?);
    server.transport_config(Arc::new(transport));
    Some(Arc::new(server))
}

fn transport(listener: &config::Listener) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(listener.limits.concurrent_streams.into())
        .max_concurrent_uni_streams(CLIENT_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        // Nobody reads them.
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(PROBE))
        .max_idle_timeout(Some(VarInt::from_u32(SILENCE.as_millis() as u32).into()));
    transport
}

fn failure(error: &ConnectionError) -> TlsHandshake {
    match error {
        ConnectionError::TimedOut => TlsHandshake::Timeout,
        ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed | ConnectionError::Reset => {
            TlsHandshake::Closed
        }
        _ => TlsHandshake::Failed,
    }
}

/// What the access log says of it, and the certificate that the client got. Which cipher was agreed on, and whether an earlier
/// session went on, stays with the library.
fn described(quic: &quinn::Connection, certificates: &Certificates) -> Encrypted {
    let data = quic.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let server_name = data.and_then(|data| data.server_name);
    let chain: Option<Box<Vec<CertificateDer<'static>>>> = quic.peer_identity().and_then(|chain| chain.downcast().ok());
    let shown = chain.and_then(|chain| identity(chain.first()?)).map(Box::new);
    let certificate = certificates.for_name(server_name.as_deref());
    let described =
        ClientTls { version: "TLSv1.3", cipher: "", server_name: server_name.map(Into::into), certificate: shown };
    Encrypted { described, certificate, application_protocol: Some(Box::from(&b"h3"[..])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_an_id_leads_to_its_worker() {
        for workers in [1, 2, 3, 7, 64, 128, 255] {
            for worker in [0, workers / 2, workers - 1] {
                let steering = Steering { worker, workers };
                let bytes: Vec<u8> = (0..=u8::MAX).map(|random| steering.first_byte(random)).collect();
                assert!(bytes.iter().all(|byte| usize::from(*byte) % workers == worker), "{steering:?}");
            }
        }
    }

    #[test]
    fn ids_differ() {
        let mut ids = ConnectionIds { steering: Steering { worker: 1, workers: 2 }, number: 0 };
        assert_ne!(ids.generate_cid(), ids.generate_cid());
    }
}
