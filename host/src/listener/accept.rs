use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::connection::{Connection, Patience};
use super::count::{ConnectionCount, OfSource};
use super::handshake::shake_hands;
use super::passthrough::{self, For};
use super::proxy_protocol::{self, Origin};
use super::quic::{Handshakes, Shaken};
use super::session::Session;
use super::turns::Turns;
use super::udp_sessions::Sessions;
use super::{http, http3};
use crate::config::{self, Protocol};
use crate::io::{Completion, Stream};
use crate::net::{BACKLOG, Listening};
use crate::proxy::{self, Client, Encrypted, ListenerSlot};
use crate::snapshot::Overload;
use crate::telemetry::{OpenConnection as CountedConnection, Refusal};

/// Pause after an accept that failed for want of something, such as file descriptors, which others must give back first.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one worker, so that they can be asked to end.
#[derive(Debug, Default)]
pub struct OpenConnections {
    connections: RefCell<Slab<Open>>,
    /// Of their TLS handshakes.
    turns: Rc<Turns>,
    /// Of UDP.
    sessions: Cell<usize>,
    draining: Cell<bool>,
}

#[derive(Debug)]
struct Open {
    connection: Rc<Connection>,
    /// The address that the client connected to, where that is not the socket's.
    local: Option<IpAddr>,
}

/// What accepting takes: one socket of one worker.
#[derive(Debug)]
pub struct Acceptor {
    pub(super) context: Rc<proxy::Context>,
    pub(super) open: Rc<OpenConnections>,
    /// As configured.
    pub(super) address: SocketAddr,
    pub(super) slot: Rc<ListenerSlot>,
    /// Connections of the listener on all workers.
    pub(super) count: RefCell<Arc<ConnectionCount>>,
    /// Those to whom connections are handed from now on, by the address that a client has connected to.
    pub(super) heirs: RefCell<Vec<Rc<Self>>>,
    /// Of QUIC.
    handshakes: Rc<Handshakes>,
    /// Of UDP.
    pub(super) sessions: Rc<Sessions>,
    /// The listener that was there last, and is no more: clients of QUIC that is carried may still come from other addresses.
    pub(super) gone: RefCell<Option<Rc<proxy::Listener>>>,
}

impl OpenConnections {
    /// Asks every connection to end after what is under way. Sessions of UDP go on, and none begins.
    pub fn drain(&self) {
        self.draining.set(true);
        self.drain_those(|_| true);
    }

    /// Asks those connections to end whose listener has gone.
    pub fn drain_orphans(&self) {
        self.drain_those(|open| open.connection.listener().current().is_none());
    }

    fn drain_those(&self, of: impl Fn(&Open) -> bool) {
        let connections = self.connections.borrow();
        connections.iter().filter(|(_, open)| of(open)).for_each(|(_, open)| open.connection.drain());
    }

    pub fn count(&self) -> usize {
        self.connections.borrow().len() + self.sessions.get()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(super) fn session_begins(&self) {
        self.sessions.set(self.sessions.get() + 1);
    }

    pub(super) fn session_ends(&self) {
        self.sessions.set(self.sessions.get() - 1);
    }
}

/// Accepts until it is dropped.
pub async fn serve(acceptor: Rc<Acceptor>, socket: Rc<Listening>) {
    loop {
        match socket.accept().await {
            Ok((stream, address)) => acceptor.clone().accepted(stream, address),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(listener) = acceptor.slot.current() {
                    listener.shard.refused(Refusal::Error);
                    tracing::warn!(listener = &*listener.name, "accepting failed: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepts until it is dropped, or the endpoint ends.
pub async fn serve_quic(acceptor: Rc<Acceptor>, endpoint: quinn::Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        acceptor.clone().accepted_quic(incoming);
    }
}

/// The client was gone before it was accepted; the next one is not concerned.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

impl Acceptor {
    /// Of a socket with this address.
    pub fn new(context: Rc<proxy::Context>, open: Rc<OpenConnections>, address: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            context,
            open,
            address,
            slot: Rc::default(),
            count: RefCell::default(),
            heirs: RefCell::default(),
            handshakes: Rc::default(),
            sessions: Rc::default(),
            gone: RefCell::default(),
        })
    }

    /// Serves for a listener from now on, whose connections on all workers are counted by `count`.
    pub fn serve_for(&self, listener: Rc<proxy::Listener>, count: Arc<ConnectionCount>) {
        self.gone.take();
        self.slot.set(listener);
        self.count.replace(count);
        self.heirs.borrow_mut().clear();
    }

    /// Serves from now on for whomever another one serves.
    pub fn stand_in_for(&self, other: &Self) {
        self.gone.take();
        self.slot.follow(&other.slot);
        self.count.replace(other.count.borrow().clone());
        self.heirs.borrow_mut().clear();
    }

    /// Hands connections to these from now on, and takes none to other addresses. Open connections to the address of the
    /// first go on under its listener, others end after what is under way.
    pub fn give_way_to(&self, heirs: Vec<Rc<Self>>) {
        self.gone.take();
        if let Some(first) = heirs.first() {
            self.slot.follow(&first.slot);
            self.open.drain_those(|open| {
                std::ptr::eq(open.connection.listener(), &*self.slot) && open.local != Some(first.address.ip())
            });
        }
        let of_heirs: Vec<_> = heirs.iter().map(|heir| (heir.address.ip(), heir.sessions.clone())).collect();
        self.sessions.move_to(&of_heirs);
        self.heirs.replace(heirs);
    }

    /// The listener has gone.
    pub fn retire(&self) {
        self.gone.replace(self.slot.current().filter(|listener| listener.config.udp.quic.is_some()));
        self.slot.clear();
    }

    /// The name of the listener that it serves for.
    pub fn listener_name(&self) -> Option<Arc<str>> {
        self.slot.current().map(|listener| listener.name.clone())
    }

    /// The address that a client has connected to, where the socket's own does not say it.
    fn local(&self, stream: &TcpStream) -> Option<IpAddr> {
        if !self.address.ip().is_unspecified() {
            return None;
        }
        stream.local_addr().ok().map(|local| local.ip())
    }

    /// Accepts the connections that wait at a socket, and waits for no others.
    pub fn accept_waiting(self: &Rc<Self>, socket: &Listening) {
        // As fast as they come it would never end.
        for _ in 0..BACKLOG {
            match socket.accept_waiting() {
                Ok((stream, address)) => self.clone().accepted(stream, address),
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn accepted(self: Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let local = self.local(&stream);
        if !self.heirs.borrow().is_empty() {
            let heir = self.heirs.borrow().iter().find(|heir| Some(heir.address.ip()) == local).cloned();
            if let Some(heir) = heir {
                heir.accepted(stream, address);
            }
            return;
        }
        let Some(listener) = self.slot.current() else { return };
        let Some(counted) = OpenConnection::begin(&self, &listener, local, Some(stream.as_fd())) else {
            return refuse(&listener, &stream);
        };
        tokio::task::spawn_local(self.run(listener, counted, stream, address));
    }

    /// A connection from its first byte to its last. What most connections do not have is in boxes, so that they keep no room
    /// for it.
    async fn run(
        self: Rc<Self>,
        listener: Rc<proxy::Listener>,
        mut counted: OpenConnection,
        mut stream: TcpStream,
        address: SocketAddr,
    ) {
        let mut origin = Origin { address, announced: None };
        if let Some(terms) = &listener.config.proxy_protocol {
            let connection = &counted.connection;
            let told = proxy_protocol::origin(&self.context, &listener, terms, (&mut stream, address), connection);
            let Some(told) = Box::pin(told).await else { return };
            origin = told;
        }
        if !counted.enter_from(&listener, origin.address.ip()) {
            return refuse(&listener, &stream);
        }
        if let Some(passthrough) = listener.config.tls.as_ref().and_then(|tls| tls.passthrough.as_ref()) {
            let looking = passthrough::whose(&self.context, &listener, passthrough, &stream, &counted.connection);
            match Box::pin(looking).await {
                For::Us => {}
                For::Other(passed) => {
                    let client = Rc::new(client(origin, None));
                    let stream = Stream::Tcp(stream);
                    Box::pin(proxy::tunnel(self.context.clone(), listener, client, stream, Some(passed))).await;
                    return;
                }
                For::Nobody => return,
            }
        }
        let (stream, tls) = if listener.tls.is_some() {
            let shaking = shake_hands(&self.context, &listener, stream, &counted.connection, &self.open.turns);
            let Some((stream, tls)) = Box::pin(shaking).await else { return };
            (stream, Some(tls))
        } else {
            (Stream::Tcp(stream), None)
        };
        let client = client(origin, tls);
        match listener.config.protocol {
            Protocol::Http => {
                // It may be another by the next request.
                drop(listener);
                self.serve_http(stream, client, &counted).await;
            }
            // No connections come to its sockets.
            Protocol::Udp => {}
            Protocol::Tcp => proxy::tunnel(self.context.clone(), listener, Rc::new(client), stream, None).await,
        }
    }

    /// A client has sent its first datagram.
    fn accepted_quic(self: Rc<Self>, incoming: quinn::Incoming) {
        let Some(listener) = self.slot.current().filter(|_| self.heirs.borrow().is_empty()) else {
            return incoming.refuse();
        };
        let Some(handshake) = self.handshakes.admit(incoming) else { return };
        let Some(mut counted) = OpenConnection::begin(&self, &listener, handshake.incoming.local_ip(), None) else {
            return handshake.incoming.refuse();
        };
        let address = handshake.incoming.remote_address();
        if !counted.enter_from(&listener, address.ip()) {
            return handshake.incoming.refuse();
        }
        tokio::task::spawn_local(async move {
            let shaking = handshake.shake_hands(&self.context, &listener, &counted.connection, &self.open.turns);
            let Some(Shaken { quic, encrypted, completion }) = Box::pin(shaking).await else { return };
            drop(listener);
            let client = Client::new(address, Some(encrypted));
            if let Some(session) = self.session(client, &counted, completion) {
                http3::serve(session, quic).await;
            }
        });
    }

    fn session(
        &self,
        client: Client,
        counted: &OpenConnection,
        completion: Option<Arc<Completion>>,
    ) -> Option<Session> {
        Session::begin(self.context.clone(), self.slot.clone(), client, counted.connection.clone(), completion)
    }

    async fn serve_http(&self, stream: Stream, client: Client, counted: &OpenConnection) {
        if let Some(session) = self.session(client, counted, stream.completion().cloned()) {
            http::serve(session, stream).await;
        }
    }
}

fn client(origin: Origin, tls: Option<Encrypted>) -> Client {
    match origin.announced {
        None => Client::new(origin.address, tls),
        Some(announced) => Client::announced(origin.address, tls, announced),
    }
}

/// Says that there are too many, where it can be said. It is done at once, so that as many as are refused take up no more than
/// one file descriptor.
fn refuse(listener: &proxy::Listener, stream: &TcpStream) {
    if listener.config.protocol == Protocol::Http && listener.tls.is_none() {
        let text = proxy::refusal(::http::StatusCode::SERVICE_UNAVAILABLE, None);
        // The answer fits the socket's buffer; a client that has gone needs none.
        let stream = SockRef::from(stream);
        let _ = stream.send(text.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
    }
}

/// One connection in all the counts; taken out when dropped.
struct OpenConnection {
    connection: Rc<Connection>,
    key: usize,
    open: Rc<OpenConnections>,
    count: Arc<ConnectionCount>,
    overload: Arc<Overload>,
    _counted: CountedConnection,
    /// Where those of one source are bounded.
    of_source: Option<Box<OfSource>>,
}

impl OpenConnection {
    /// None when the listener has as many as it may, or the process, which is counted.
    fn begin(
        acceptor: &Acceptor,
        listener: &proxy::Listener,
        local: Option<IpAddr>,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Option<Self> {
        let count = acceptor.count.borrow().clone();
        if !count.enter(listener.config.limits.connections) {
            listener.shard.refused(Refusal::Limit);
            return None;
        }
        let overload = acceptor.context.overload.clone();
        if descriptor.is_some_and(|of| overload.is_beyond_files(of)) || !overload.enter() {
            count.leave();
            listener.shard.refused(Refusal::Overload);
            return None;
        }
        let connection =
            Connection::new(acceptor.context.timers.timer(), patience(&listener.config), acceptor.slot.clone());
        let open = Open { connection: connection.clone(), local };
        let key = acceptor.open.connections.borrow_mut().insert(open);
        let (open, _counted) = (acceptor.open.clone(), listener.shard.connection());
        Some(Self { connection, key, open, count, overload, _counted, of_source: None })
    }

    /// False when its source has as many connections as it may, which is counted.
    fn enter_from(&mut self, listener: &proxy::Listener, source: IpAddr) -> bool {
        let Some(most) = listener.config.limits.connections_per_source else { return true };
        self.of_source = self.count.enter_from(source, most);
        if self.of_source.is_none() {
            listener.shard.refused(Refusal::SourceLimit);
        }
        self.of_source.is_some()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.connections.borrow_mut().remove(self.key);
        self.count.leave();
        self.overload.leave();
    }
}

fn patience(config: &config::Listener) -> Patience {
    Patience {
        head: config.timeouts.client_header,
        keep_alive: config.timeouts.keep_alive,
        write: config.timeouts.body_idle,
    }
}
