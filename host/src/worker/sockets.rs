use std::collections::HashMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use tokio::task::JoinHandle;

use super::command::QuicSocket;
use crate::config::{Afterlife, SocketKey};
use crate::listener::{self, Acceptor, Steering};
use crate::net::SteeredSockets;

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Those that the configuration names.
    live: HashMap<SocketKey, Accepting>,
    /// Those that it no longer names, and that stay for others or give way to them.
    spare: HashMap<SocketKey, Accepting>,
    /// Those of QUIC that only connections have which began before.
    lingering: Vec<Quic>,
}

/// A socket that connections are accepted from, until it is dropped.
#[derive(Debug)]
pub(super) struct Accepting {
    acceptor: Rc<Acceptor>,
    task: JoinHandle<()>,
    /// Connections of QUIC live and die with their socket.
    quic: Option<Quic>,
}

/// An endpoint of QUIC with the group of sockets that its own is of.
#[derive(Clone, Debug)]
struct Quic {
    endpoint: quinn::Endpoint,
    group: Arc<SteeredSockets>,
}

impl Accepting {
    pub(super) fn begin(acceptor: Rc<Acceptor>, socket: TcpListener) -> Self {
        let accepting = acceptor.clone();
        let task = tokio::task::spawn_local(async move {
            let address = socket.local_addr();
            if let Err(error) = listener::serve(accepting, socket).await {
                tracing::error!(?address, "listening failed: {error}");
            }
        });
        Self { acceptor, task, quic: None }
    }

    fn begin_quic(acceptor: Rc<Acceptor>, quic: Quic) -> Self {
        let task = tokio::task::spawn_local(listener::serve_quic(acceptor.clone(), quic.endpoint.clone()));
        Self { acceptor, task, quic: Some(quic) }
    }

    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }
}

/// What an endpoint of QUIC is made by.
pub(super) struct QuicBy {
    pub(super) crypto: Arc<QuicServerConfig>,
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
                self.linger(&accepting);
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
            self.linger(&closed);
        }
    }

    /// An endpoint of QUIC that nobody accepts from is there for the connections that it has.
    fn linger(&mut self, accepting: &Accepting) {
        if let Some(quic) = &accepting.quic {
            quic.endpoint.set_server_config(None);
            self.lingering.push(quic.clone());
        }
    }

    /// Accepts from a socket of QUIC: by the endpoint that still serves connections there, if there is one. None when that
    /// cannot be, which is logged.
    pub(super) fn begin_quic(&mut self, acceptor: Rc<Acceptor>, socket: QuicSocket, by: QuicBy) -> Option<Accepting> {
        let QuicSocket { group, socket } = socket;
        let before = self.lingering.iter().position(|quic| Arc::ptr_eq(&quic.group, &group));
        let quic = match before {
            Some(at) => {
                let quic = self.lingering.swap_remove(at);
                quic.endpoint.set_server_config(Some(listener::accepting(by.crypto)));
                quic
            }
            None => match listener::endpoint(socket, by.crypto, by.steering) {
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
    }

    /// Accepts nothing more.
    pub(super) fn stop(&self) {
        self.live.values().chain(self.spare.values()).for_each(|accepting| accepting.task.abort());
    }
}
