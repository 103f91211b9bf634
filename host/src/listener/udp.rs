//! Datagrams of clients: to whose session they belong, and which may begin one.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::accept::{ACCEPT_PAUSE, Acceptor, OpenConnections};
use super::count::{ConnectionCount, OfSource};
use super::udp_sessions::{Addresses, Entry};
use crate::net::{DatagramSocket, Datagrams};
use crate::proxy::{self, Listener, Taken, UdpSession};
use crate::snapshot::Overload;
use crate::telemetry::{DatagramDrop, Direction, OpenConnection as CountedConnection, Refusal};

/// Read at once.
const BATCH: usize = 32;
/// Batches after which others have their turn.
const ROUNDS: usize = 4;

/// Reads what clients send until it is dropped.
pub async fn serve_udp(acceptor: Rc<Acceptor>) {
    let Some(socket) = acceptor.sessions.socket().cloned() else { return };
    loop {
        let mut read = socket.ready().await.map(|()| true);
        for _ in 0..ROUNDS {
            if !matches!(read, Ok(true)) {
                break;
            }
            let mut batch = acceptor.context.batch.borrow_mut();
            read = socket.receive(&mut batch, BATCH);
            batch.iter().for_each(|datagrams| acceptor.received(&datagrams));
        }
        match read {
            Ok(false) => {}
            Ok(true) => tokio::task::yield_now().await,
            Err(error) => {
                if let Some(listener) = acceptor.slot.current() {
                    listener.shard.refused(Refusal::Error);
                    tracing::warn!(listener = &*listener.name, "receiving datagrams failed: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Acceptor {
    /// Reads from this socket, which it is given once.
    pub fn read_from(&self, socket: DatagramSocket) {
        self.sessions.read_from(socket);
    }

    /// Sessions of UDP that are open.
    pub fn sessions(&self) -> usize {
        self.sessions.open()
    }

    fn received(self: &Rc<Self>, datagrams: &Datagrams<'_>) {
        let listener = self.slot.current();
        if let Some(listener) = &listener {
            listener.shard.datagrams(Direction::In, datagrams.count());
            listener.shard.bytes(Direction::In, datagrams.bytes.len() as u64);
            let dropped = |reason| listener.shard.datagrams_dropped(reason, datagrams.count());
            if datagrams.size > listener.config.udp.datagram_bytes {
                return dropped(DatagramDrop::TooLarge);
            }
            // Nothing can be sent back there.
            if datagrams.from.port() == 0 {
                return dropped(DatagramDrop::Error);
            }
        }
        if listener.as_ref().is_some_and(|listener| listener.config.udp.requests.is_some()) {
            // Each may be of another session.
            for one in datagrams.each() {
                self.deliver(listener.as_ref(), &one);
            }
        } else {
            self.deliver(listener.as_ref(), datagrams);
        }
    }

    fn deliver(self: &Rc<Self>, listener: Option<&Rc<Listener>>, datagrams: &Datagrams<'_>) {
        let addresses = (datagrams.from, self.own_address(datagrams));
        let known = self.sessions.get(&addresses);
        let taken = known.as_ref().map_or(Taken::Not, |entry| entry.session.take(listener, datagrams));
        match taken {
            Taken::Yes => {}
            Taken::Last => self.sessions.forget(&addresses),
            Taken::Not => {
                self.sessions.forget(&addresses);
                let heirs = self.heirs.borrow();
                if let Some(heir) = heirs.iter().find(|heir| Some(heir.address.ip()) == datagrams.to) {
                    heir.deliver(listener, datagrams);
                } else if let Some(listener) = listener.filter(|_| heirs.is_empty()) {
                    self.begin(listener, addresses, datagrams);
                }
            }
        }
    }

    /// The address that they were sent to, if there are several: one that can be answered from.
    fn own_address(&self, datagrams: &Datagrams<'_>) -> Option<IpAddr> {
        let is_one = |to: &IpAddr| match to {
            IpAddr::V4(to) => !to.is_multicast() && !to.is_broadcast(),
            IpAddr::V6(to) => !to.is_multicast(),
        };
        datagrams.to.filter(|to| self.address.ip().is_unspecified() && is_one(to))
    }

    /// Begins a session, if there may be one more.
    fn begin(self: &Rc<Self>, listener: &Rc<Listener>, addresses: Addresses, datagrams: &Datagrams<'_>) {
        let Some(socket) = self.sessions.socket() else { return };
        let dropped = |reason| listener.shard.datagrams_dropped(reason, datagrams.count());
        if self.open.is_draining() {
            return dropped(DatagramDrop::Draining);
        }
        let count = self.count.borrow().clone();
        if !count.enter(listener.config.limits.connections.min(most_descriptors())) {
            listener.shard.refused(Refusal::Limit);
            return dropped(DatagramDrop::Limit);
        }
        let overload = self.context.overload.clone();
        if !overload.enter() {
            count.leave();
            listener.shard.refused(Refusal::Overload);
            return dropped(DatagramDrop::Overload);
        }
        let (client, local) = addresses;
        let mut counted = Counted {
            entry: self.sessions.begin(UdpSession::new(&self.context, listener, socket.clone(), client, local)),
            addresses,
            open: self.open.clone(),
            count,
            overload,
            of_source: None,
            _counted: listener.shard.connection(),
        };
        self.open.session_begins();
        if let Some(most) = listener.config.limits.connections_per_source {
            counted.of_source = counted.count.enter_from(client.ip(), most);
            if counted.of_source.is_none() {
                listener.shard.refused(Refusal::SourceLimit);
                return dropped(DatagramDrop::SourceLimit);
            }
        }
        let session = counted.entry.session.clone();
        if session.take(Some(listener), datagrams) != Taken::Last {
            self.sessions.remember(addresses, counted.entry.clone());
        }
        let (context, listener) = (self.context.clone(), listener.clone());
        tokio::task::spawn_local(async move {
            proxy::carry_session(context, listener, session).await;
            drop(counted);
        });
    }
}

/// One session in all the counts; taken out when dropped.
struct Counted {
    entry: Rc<Entry>,
    addresses: Addresses,
    open: Rc<OpenConnections>,
    count: Arc<ConnectionCount>,
    overload: Arc<Overload>,
    /// Where those of one source are bounded.
    of_source: Option<Box<OfSource>>,
    _counted: CountedConnection,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.entry.end(&self.addresses);
        self.open.session_ends();
        self.count.leave();
        self.overload.leave();
    }
}

/// Sockets that sessions of a listener may have: half of what the process may open, since others need some.
fn most_descriptors() -> usize {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    most.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX))
}
