use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::command::GroupSocket;
use crate::config::{Afterlife, SocketKey};
use crate::listener::{self, Acceptor, Steering};
use crate::net::{DatagramSocket, Listening, QuicListeners, SocketGroup};
use crate::tls::QuicTls;

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Those that the configuration names.
    live: HashMap<SocketKey, Accepting>,
    /// Those that it no longer names, and that stay for others or give way to them.
    spare: HashMap<SocketKey, Accepting>,
    /// All of QUIC.
    quic: Arc<QuicListeners>,
    /// Those of QUIC that only connections have which began before.
    lingering: Vec<Quic>,
    /// The same for sessions of UDP.
    lingering_udp: Vec<Accepting>,
}

/// A socket that connections are accepted from, or sessions begin at, until it is dropped.
#[derive(Debug)]
pub(super) struct Accepting {
    acceptor: Rc<Acceptor>,
    task: JoinHandle<()>,
    /// Connections of QUIC and sessions of UDP live and die with their socket.
    over: Over,
}

#[derive(Debug)]
enum Over {
    /// None when it accepts nothing more.
    Tcp(Option<Rc<Listening>>),
    Quic(Quic),
    Udp(Arc<SocketGroup>),
}

/// An endpoint of QUIC with the group of sockets that its own is of.
#[derive(Clone, Debug)]
struct Quic {
    endpoint: quinn::Endpoint,
    group: Arc<SocketGroup>,
}

impl Accepting {
    /// None when that cannot be, which is logged.
    pub(super) fn begin(acceptor: Rc<Acceptor>, socket: std::net::TcpListener) -> Option<Self> {
        let address = socket.local_addr();
        match Listening::new(socket).map(Rc::new) {
            Ok(socket) => {
                let task = tokio::task::spawn_local(listener::serve(acceptor.clone(), socket.clone()));
                Some(Self { acceptor, task, over: Over::Tcp(Some(socket)) })
            }
            Err(error) => {
                tracing::error!(?address, "listening failed: {error}");
                None
            }
        }
    }

    fn begin_quic(acceptor: Rc<Acceptor>, quic: Quic) -> Self {
        let task = tokio::task::spawn_local(listener::serve_quic(acceptor.clone(), quic.endpoint.clone()));
        Self { acceptor, task, over: Over::Quic(quic) }
    }

    fn begin_udp(acceptor: Rc<Acceptor>, group: Arc<SocketGroup>) -> Self {
        let task = tokio::task::spawn_local(listener::serve_udp(acceptor.clone()));
        Self { acceptor, task, over: Over::Udp(group) }
    }

    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }
}

/// What an endpoint of QUIC is made by.
pub(super) struct QuicBy {
    pub(super) tls: QuicTls,
    pub(super) steering: Steering,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sockets {
    /// All of them, to be gone over.
    pub(super) fn take(&mut self) -> HashMap<SocketKey, Accepting> {
        self.live.drain().chain(self.spare.drain()).collect()
    }

    /// Goes over to those that a configuration names. What is `left` of others does what can still be done without losing a
    /// connection. True when some have ended.
    pub(super) fn go_over_to(
        &mut self,
        live: HashMap<SocketKey, Accepting>,
        left: HashMap<SocketKey, Accepting>,
    ) -> bool {
        self.live = live;
        let named: Vec<SocketKey> = self.live.keys().cloned().collect();
        let mut some_ended = false;
        for (key, accepting) in left {
            if self.finds_use_for(&accepting, key.afterlife(&named)) {
                self.spare.insert(key, accepting);
            } else {
                accepting.acceptor.retire();
                self.linger(accepting);
                some_ended = true;
            }
        }
        some_ended
    }

    /// False when nothing is left for the socket to do.
    fn finds_use_for(&self, accepting: &Accepting, afterlife: Afterlife) -> bool {
        match afterlife {
            Afterlife::ServesFor(other) => {
                let Some(other) = self.live.get(&other) else { return false };
                accepting.acceptor.stand_in_for(&other.acceptor);
                true
            }
            Afterlife::GivesWayTo(others) => {
                accepting.acceptor.give_way_to(self.heirs(accepting, &others));
                true
            }
            Afterlife::Ends => false,
        }
    }

    /// First whoever serves for the listener that this one has served for, if there is one.
    fn heirs(&self, of: &Accepting, keys: &[SocketKey]) -> Vec<Rc<Acceptor>> {
        let heirs = keys.iter().filter_map(|key| self.live.get(key));
        let mut heirs: Vec<Rc<Acceptor>> = heirs.map(|accepting| accepting.acceptor.clone()).collect();
        let name = of.acceptor.listener_name();
        heirs.sort_by_key(|heir| heir.listener_name() != name);
        heirs
    }

    /// Closes a socket that gives way to others. Its connections stay.
    pub(super) fn close(&mut self, key: &SocketKey) {
        if let Some(closed) = self.spare.remove(key) {
            self.linger(closed);
        }
    }

    /// A socket of UDP that nobody accepts from is there for the connections or sessions that it has.
    fn linger(&mut self, accepting: Accepting) {
        match &accepting.over {
            Over::Tcp(_) => {}
            Over::Quic(quic) => {
                quic.endpoint.set_server_config(None);
                self.lingering.push(quic.clone());
            }
            Over::Udp(_) => self.lingering_udp.push(accepting),
        }
    }

    /// Reads from a socket of UDP. `acceptor` is for one that is new; one that still serves sessions has its own. None when that
    /// cannot be, which is logged.
    pub(super) fn begin_udp(
        &mut self,
        socket: GroupSocket,
        acceptor: impl FnOnce() -> Rc<Acceptor>,
    ) -> Option<Accepting> {
        let GroupSocket { group, socket } = socket;
        let is_its = |accepting: &Accepting| matches!(&accepting.over, Over::Udp(of) if Arc::ptr_eq(of, &group));
        if let Some(before) = self.lingering_udp.iter().position(is_its) {
            return Some(self.lingering_udp.swap_remove(before));
        }
        match DatagramSocket::listening(socket) {
            Ok(socket) => {
                let acceptor = acceptor();
                acceptor.read_from(socket, group.clone());
                Some(Accepting::begin_udp(acceptor, group))
            }
            Err(error) => {
                tracing::error!(address = %group.address(), "listening for datagrams failed: {error}");
                None
            }
        }
    }

    /// Accepts from a socket of QUIC: by the endpoint that still serves connections there, if there is one. None when that
    /// cannot be, which is logged.
    pub(super) fn begin_quic(&mut self, acceptor: Rc<Acceptor>, socket: GroupSocket, by: QuicBy) -> Option<Accepting> {
        let GroupSocket { group, socket } = socket;
        let before = self.lingering.iter().position(|quic| Arc::ptr_eq(&quic.group, &group));
        let quic = match before {
            Some(at) => {
                let quic = self.lingering.swap_remove(at);
                quic.endpoint.set_server_config(Some(listener::accepting(by.tls.crypto)));
                quic
            }
            None => match self.quic.listen(socket).and_then(|socket| listener::endpoint(socket, by.tls, by.steering)) {
                Ok(endpoint) => Quic { endpoint, group },
                Err(error) => {
                    tracing::error!(address = %group.address(), "listening for QUIC failed: {error}");
                    return None;
                }
            },
        };
        Some(Accepting::begin_quic(acceptor, quic))
    }

    /// Lets go of sockets that no connection has any more.
    pub(super) fn sweep(&mut self) {
        self.lingering.retain(|quic| quic.endpoint.open_connections() > 0);
        self.lingering_udp.retain(|accepting| accepting.acceptor.sessions() > 0 || accepting.acceptor.awaits_moves());
    }

    /// Whether clients may come with what other workers have of theirs.
    pub(super) fn await_moves(&self) -> bool {
        let all = self.live.values().chain(self.spare.values()).chain(&self.lingering_udp);
        all.into_iter().any(|accepting| accepting.acceptor.awaits_moves())
    }

    /// Accepts nothing more but connections that the kernel has let in already: it would reset them with the socket. Sessions of
    /// UDP still hear from their clients.
    pub(super) fn stop(&mut self) {
        for accepting in self.live.values_mut().chain(self.spare.values_mut()) {
            match &mut accepting.over {
                Over::Tcp(socket) => {
                    accepting.task.abort();
                    if let Some(socket) = socket.take() {
                        accepting.acceptor.accept_waiting(&socket);
                    }
                }
                Over::Quic(_) => accepting.task.abort(),
                Over::Udp(_) => {}
            }
        }
    }
}
