//! Datagrams of clients: to whose session they belong, and which may begin one.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use plimsoll_proxy_protocol::Header;

use super::accept::{ACCEPT_PAUSE, Acceptor, OpenConnections};
use super::count::{ConnectionCount, OfSource};
use super::proxy_protocol::{self, InFront};
use super::udp_sessions::{Addresses, Entry};
use crate::net::{DatagramSocket, Datagrams, SocketGroup};
use crate::proxy::{self, Announced, Listener, Sender, Taken, UdpSession};
use crate::snapshot::Overload;
use crate::telemetry::{DatagramDrop, Direction, OpenConnection as CountedConnection, ProxyHeader, Refusal};

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
    pub fn read_from(&self, socket: DatagramSocket, group: Arc<SocketGroup>) {
        self.sessions.read_from(socket, group);
    }

    /// Sessions of UDP that are open.
    pub fn sessions(&self) -> usize {
        self.sessions.open()
    }

    /// Whether clients of QUIC that is carried may come with connections that they have, which the kernel gives to whichever worker has
    /// their new address.
    pub fn awaits_moves(&self) -> bool {
        let listener = self.slot.current().or_else(|| self.gone.borrow().clone());
        listener.is_some_and(|listener| listener.config.udp.quic.is_some()) && self.sessions.any_worker_has_some()
    }

    fn received(self: &Rc<Self>, datagrams: &Datagrams<'_>) {
        let listener = self.slot.current();
        if let Some(listener) = &listener {
            listener.shard.datagrams(Direction::In, datagrams.count());
            listener.shard.bytes(Direction::In, datagrams.bytes.len() as u64);
            // Nothing can be sent back there.
            if datagrams.from.port() == 0 {
                return listener.shard.datagrams_dropped(DatagramDrop::Error, datagrams.count());
            }
            self.sessions.have_headers.set(listener.config.proxy_protocol.is_some());
        }
        if self.sessions.have_headers.get() {
            datagrams.each().for_each(|one| self.take_header_off(listener.as_ref(), &one));
        } else if listener.as_ref().is_some_and(|listener| listener.config.udp.requests.is_some()) {
            // Each may be of another session.
            datagrams.each().for_each(|one| self.deliver(listener.as_ref(), &one, None));
        } else {
            self.deliver(listener.as_ref(), datagrams, None);
        }
    }

    /// Delivers a datagram without what a proxy in front of us says of it, unless it should not have come so.
    fn take_header_off(self: &Rc<Self>, listener: Option<&Rc<Listener>>, datagram: &Datagrams<'_>) {
        let terms = listener.and_then(|listener| listener.config.proxy_protocol.as_ref());
        let is_known = || self.sessions.get(&self.addresses(datagram, None)).is_some();
        match proxy_protocol::in_front(terms, datagram, is_known) {
            InFront::Nothing => self.deliver(listener, datagram, None),
            InFront::Header(header, length) => {
                if let Some(listener) = listener {
                    listener.shard.proxy_header(header.addresses.map_or(ProxyHeader::Local, |_| ProxyHeader::V2));
                }
                self.deliver(listener, &datagram.without_first(length), Some(&header));
            }
            InFront::Refused(why) => {
                if let Some(listener) = listener {
                    listener.shard.proxy_header(why);
                    listener.shard.datagrams_dropped(DatagramDrop::ProxyHeader, 1);
                }
            }
        }
    }

    /// Delivers datagrams to whose they are. `header` is what was in front of a single one.
    fn deliver(self: &Rc<Self>, listener: Option<&Rc<Listener>>, datagrams: &Datagrams<'_>, header: Option<&Header>) {
        if let Some(listener) = listener.filter(|listener| datagrams.size > listener.config.udp.datagram_bytes) {
            return listener.shard.datagrams_dropped(DatagramDrop::TooLarge, datagrams.count());
        }
        let addresses = self.addresses(datagrams, header);
        let known = self.sessions.get(&addresses);
        let taken = known.as_ref().map_or(Taken::Not, |entry| entry.session.take(listener, datagrams));
        match taken {
            Taken::Yes => {}
            Taken::Last => self.sessions.forget(&addresses),
            Taken::Not => {
                self.sessions.forget(&addresses);
                let heirs = self.heirs.borrow();
                if let Some(heir) = heirs.iter().find(|heir| Some(heir.address.ip()) == datagrams.to) {
                    heir.deliver(listener, datagrams, header);
                } else if let Some(listener) = listener.or(self.gone.borrow().as_ref()).filter(|_| heirs.is_empty()) {
                    let sender = match (header, known) {
                        // What a proxy has said once holds for what follows.
                        (None, Some(known)) => known.session.sender().clone(),
                        _ => sender(addresses, header),
                    };
                    self.begin(listener, sender, datagrams);
                }
            }
        }
    }

    fn addresses(&self, datagrams: &Datagrams<'_>, header: Option<&Header>) -> Addresses {
        let client = header.map(|header| header.addresses.map_or(datagrams.from, |told| told.source()));
        Addresses { peer: datagrams.from, local: self.own_address(datagrams), client }
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
    fn begin(self: &Rc<Self>, listener: &Rc<Listener>, sender: Sender, datagrams: &Datagrams<'_>) {
        let Some(socket) = self.sessions.socket() else { return };
        let dropped = |reason| listener.shard.datagrams_dropped(reason, datagrams.count());
        let only_goes_on = self.open.is_draining() || self.gone.borrow().is_some();
        if only_goes_on && !may_go_on(listener, datagrams) {
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
        let client = sender.client();
        let mut counted = Counted {
            entry: self.sessions.begin(UdpSession::new(&self.context, listener, socket.clone(), sender)),
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
        if only_goes_on {
            session.only_go_on();
        }
        if session.take(Some(listener), datagrams) != Taken::Last {
            self.sessions.remember(&counted.entry);
        }
        let (context, listener) = (self.context.clone(), listener.clone());
        tokio::task::spawn_local(async move {
            proxy::carry_session(context, listener, session).await;
            drop(counted);
        });
    }
}

/// Whether they may be of a connection of QUIC that is carried, and whose client has another address now (RFC 9000 section 9).
fn may_go_on(listener: &Listener, datagrams: &Datagrams<'_>) -> bool {
    listener.config.udp.quic.is_some() && !proxy::begins_quic(datagrams.bytes)
}

/// Who sends what has this header in front. A proxy that speaks for itself is told from the client that it has named last.
fn sender(addresses: Addresses, header: Option<&Header>) -> Sender {
    let announced = addresses.client.zip(header).map(|(client, header)| {
        let destination = header.addresses.map(|told| told.destination());
        Rc::new((client, Announced { destination, details: header.details.clone() }))
    });
    Sender { peer: addresses.peer, local: addresses.local, announced }
}

/// One session in all the counts; taken out when dropped.
struct Counted {
    entry: Rc<Entry>,
    open: Rc<OpenConnections>,
    count: Arc<ConnectionCount>,
    overload: Arc<Overload>,
    /// Where those of one source are bounded.
    of_source: Option<Box<OfSource>>,
    _counted: CountedConnection,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.entry.end();
        self.open.session_ends();
        self.count.leave();
        self.overload.leave();
    }
}

/// Sockets that sessions of a listener may have: half of what the process may open, since others need some.
fn most_descriptors() -> usize {
    // It is raised before anything listens. What changes it later than that is seen by the watch for overload.
    static MOST: LazyLock<usize> = LazyLock::new(|| {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        most.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX))
    });
    *MOST
}
