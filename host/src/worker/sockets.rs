use std::collections::HashMap;
use std::net::TcpListener;
use std::rc::Rc;

use tokio::task::JoinHandle;

use crate::config::{Afterlife, SocketKey};
use crate::listener::{self, Acceptor};

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Those that the configuration names.
    live: HashMap<SocketKey, Accepting>,
    /// Those that it no longer names, and that stay for others or give way to them.
    spare: HashMap<SocketKey, Accepting>,
}

/// A socket that connections are accepted from, until it is dropped.
#[derive(Debug)]
pub(super) struct Accepting {
    acceptor: Rc<Acceptor>,
    task: JoinHandle<()>,
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
        Self { acceptor, task }
    }

    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }
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
        self.spare.remove(key);
    }

    /// Accepts nothing more.
    pub(super) fn stop(&self) {
        self.live.values().chain(self.spare.values()).for_each(|accepting| accepting.task.abort());
    }
}
