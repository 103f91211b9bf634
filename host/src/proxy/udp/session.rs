use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use super::held::Held;
use super::quic::Ids;
use crate::config;
use crate::net::{DatagramSocket, Datagrams, Sent};
use crate::proxy::client::{Announced, Client};
use crate::proxy::cluster::Cluster;
use crate::proxy::context::Context;
use crate::proxy::listener::Listener;
use crate::proxy::picked::Picked;
use crate::telemetry::{DatagramDrop, Direction, ListenerShard};
use crate::timer::Timer;

/// Who sends the datagrams of a session.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Who sends to us, and is answered: the client, or a proxy in front of us.
    pub peer: SocketAddr,
    /// The address that it sends to, and hears from, where the socket has several.
    pub local: Option<IpAddr>,
    /// Whom a proxy in front of us sends for, and what else it has said.
    pub announced: Option<Rc<(SocketAddr, Announced)>>,
}

/// What goes between the address and port of a client and the address that it sends to. The listener's socket gives it what the
/// client sends, which goes on at once; its own task has all else (`carry`).
#[derive(Debug)]
pub struct Session {
    sender: Sender,
    terms: config::Udp,
    idle: Option<Duration>,
    shard: Arc<ListenerShard>,
    /// Towards the client.
    socket: RefCell<Rc<DatagramSocket>>,
    stage: RefCell<Stage>,
    /// Of the client's connections, where QUIC is carried.
    ids: RefCell<Ids>,
    /// It is there for a client that goes on with a connection, and for no other.
    only_goes_on: Cell<bool>,
    /// Of both sides.
    silence: Timer,
    from_client: Tally,
    to_client: Tally,
    news: RefCell<Option<News>>,
    waker: RefCell<Option<Waker>>,
}

/// Datagrams, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    datagrams: Cell<u64>,
    bytes: Cell<u64>,
}

#[derive(Debug)]
enum Stage {
    /// An endpoint is looked for.
    Seeking(Held),
    Open(Box<Open>),
    Over,
}

/// A session that has an endpoint.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) upstream: Rc<DatagramSocket>,
    /// Goes in front of each datagram.
    pub(super) announcement: Box<[u8]>,
    pub(super) picked: Picked,
    /// As of the configuration that was current when the client last sent something.
    pub(super) cluster: Rc<Cluster>,
    pub(super) listener: Rc<Listener>,
    /// What would go to another endpoint, while nothing has come back.
    pub(super) kept: Option<Held>,
}

/// What the socket's side has to tell the session's task.
#[derive(Debug)]
pub(super) enum News {
    /// Nobody listens at the endpoint.
    Refused(io::Error),
    /// The endpoint is gone, or may have no clients any more.
    Gone,
}

/// What became of datagrams that a client has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Yes,
    /// They were the last that this session takes.
    Last,
    /// The session is over: they begin another one.
    Not,
}

impl Sender {
    /// Whom the datagrams are from.
    pub fn client(&self) -> SocketAddr {
        self.announced.as_ref().map_or(self.peer, |announced| announced.0)
    }

    pub(super) fn as_client(&self) -> Client {
        match self.announced.as_deref() {
            None => Client::new(self.peer, None),
            Some((client, announced)) => Client::announced(*client, None, Box::new(announced.clone())),
        }
    }
}

impl Session {
    pub fn new(context: &Context, listener: &Listener, socket: Rc<DatagramSocket>, sender: Sender) -> Rc<Self> {
        Rc::new(Self {
            sender,
            terms: listener.config.udp,
            idle: listener.config.timeouts.idle,
            shard: listener.shard.clone(),
            socket: RefCell::new(socket),
            stage: RefCell::new(Stage::Seeking(Held::default())),
            ids: RefCell::default(),
            only_goes_on: Cell::default(),
            silence: context.timers.timer(),
            from_client: Tally::default(),
            to_client: Tally::default(),
            news: RefCell::default(),
            waker: RefCell::default(),
        })
    }

    /// Ends it at once unless its client goes on with a connection of QUIC that an endpoint has.
    pub fn only_go_on(&self) {
        self.only_goes_on.set(true);
    }

    pub(super) fn only_goes_on(&self) -> bool {
        self.only_goes_on.get()
    }

    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    pub fn client(&self) -> SocketAddr {
        self.sender.client()
    }

    /// Where the client sends to.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        if let Some(told) = self.sender.announced.as_ref().and_then(|announced| announced.1.destination) {
            return Some(told);
        }
        let bound = self.socket.borrow().local_address().ok()?;
        Some(self.sender.local.map_or(bound, |ip| SocketAddr::new(ip, bound.port())))
    }

    /// Answers go out of this socket from now on.
    pub fn move_to(&self, socket: Rc<DatagramSocket>) {
        self.socket.replace(socket);
    }

    pub(super) fn socket(&self) -> Rc<DatagramSocket> {
        self.socket.borrow().clone()
    }

    /// The client has sent these. `listener` is the current one, if it is still there.
    pub fn take(&self, listener: Option<&Rc<Listener>>, datagrams: &Datagrams<'_>) -> Taken {
        let mut stage = self.stage.borrow_mut();
        match &mut *stage {
            Stage::Over => return Taken::Not,
            Stage::Seeking(held) => {
                let (taken, bytes) = held.wait(datagrams);
                self.shard.datagrams_dropped(DatagramDrop::Waiting, datagrams.count() - taken);
                self.from_client.add(taken, bytes);
            }
            Stage::Open(open) => {
                if !open.still_serves(listener) {
                    *stage = Stage::Over;
                    self.tell(News::Gone);
                    return Taken::Not;
                }
                let Some((taken, bytes)) = self.pass_on(open, datagrams) else {
                    *stage = Stage::Over;
                    return Taken::Not;
                };
                self.from_client.add(taken, bytes);
            }
        }
        self.break_silence();
        let most = self.terms.requests.map(u64::from);
        if most.is_some_and(|most| self.from_client.datagrams() >= most) { Taken::Last } else { Taken::Yes }
    }

    /// How many datagrams and bytes are on their way, or kept. None when nobody is there to hear them, and they may not go elsewhere
    /// within this session.
    fn pass_on(&self, open: &mut Open, datagrams: &Datagrams<'_>) -> Option<(u64, u64)> {
        if let Some(kept) = &mut open.kept {
            kept.keep(datagrams);
        }
        let to = open.picked.endpoint.pool.dialer().address();
        let sent = if open.announcement.is_empty() {
            open.upstream.send(to, None, datagrams)
        } else {
            let mut room = Vec::new();
            open.upstream.send(to, None, &datagrams.behind(&open.announcement, &mut room))
        };
        let gone_out = (sent.datagrams, sent.bytes - sent.datagrams * open.announcement.len() as u64);
        match self.count_dropped(datagrams, sent) {
            // It was said of what was sent before; these have not gone out.
            Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.tell(News::Refused(error));
                open.kept.is_some().then_some((datagrams.count(), datagrams.bytes.len() as u64))
            }
            _ => Some(gone_out),
        }
    }

    /// An endpoint has been found: what the client has sent so far goes there. None of it is kept for another one unless it
    /// `may_move`.
    pub(super) fn open(&self, mut open: Open, may_move: bool) {
        let mut stage = self.stage.borrow_mut();
        let Stage::Seeking(held) = std::mem::replace(&mut *stage, Stage::Over) else { return };
        for datagram in held.iter() {
            // What has gone wrong with it is seen at the next one, or by the task.
            self.pass_on(&mut open, &Datagrams::one(self.sender.peer, datagram));
        }
        open.kept = if may_move { held.kept() } else { None };
        *stage = Stage::Open(Box::new(open));
    }

    /// The endpoint is given up for another one. False when what the client has sent is not there any more.
    pub(super) fn seek_again(&self) -> bool {
        let mut stage = self.stage.borrow_mut();
        let Stage::Open(open) = &mut *stage else { return false };
        let Some(kept) = open.kept.take() else { return false };
        *stage = Stage::Seeking(kept);
        self.news.take();
        true
    }

    pub(super) fn end(&self) {
        self.stage.replace(Stage::Over);
        self.ids.replace(Ids::default());
    }

    /// The endpoint of the connection that the client goes on with: of QUIC, it may have come from another address so far.
    pub(super) fn home(&self, cluster: &Cluster) -> Option<Picked> {
        let quic = self.terms.quic?;
        let stage = self.stage.borrow();
        let Stage::Seeking(held) = &*stage else { return None };
        self.ids.borrow_mut().find(quic, cluster, held.iter().next()?)
    }

    /// The endpoint has sent these: they go to the client.
    pub(super) fn answer(&self, datagrams: &Datagrams<'_>) {
        if let Some(quic) = self.terms.quic
            && let Stage::Open(open) = &*self.stage.borrow()
        {
            self.ids.borrow_mut().learn(quic, &open.cluster, &open.picked, datagrams);
        }
        if self.to_client.datagrams() == 0
            && let Stage::Open(open) = &mut *self.stage.borrow_mut()
        {
            open.kept = None;
        }
        // It has come, whatever becomes of it here.
        self.to_client.add(datagrams.count(), 0);
        self.break_silence();
        if datagrams.size > self.terms.datagram_bytes {
            return self.shard.datagrams_dropped(DatagramDrop::TooLarge, datagrams.count());
        }
        let sent = self.socket.borrow().send(self.sender.peer, self.sender.local, datagrams);
        self.to_client.add(0, sent.bytes);
        self.shard.datagrams(Direction::Out, sent.datagrams);
        self.shard.bytes(Direction::Out, sent.bytes);
        self.count_dropped(datagrams, sent);
    }

    /// Whether as many have come back as were expected.
    pub(super) fn is_complete(&self) -> bool {
        let expected = self.terms.responses.map(|each| u64::from(each).saturating_mul(self.from_client.datagrams()));
        expected.is_some_and(|expected| self.to_client.datagrams() >= expected)
    }

    pub(super) fn terms(&self) -> config::Udp {
        self.terms
    }

    pub(super) fn received(&self) -> &Tally {
        &self.from_client
    }

    pub(super) fn answered(&self) -> &Tally {
        &self.to_client
    }

    pub(super) fn break_silence(&self) {
        if let Some(idle) = self.idle {
            self.silence.arm(idle);
        }
    }

    pub(super) fn silence(&self) -> &Timer {
        &self.silence
    }

    /// What the socket's side has to tell; the task is woken when it has.
    pub(super) fn news(&self, task: &TaskContext<'_>) -> Option<News> {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
        self.news.take()
    }

    fn tell(&self, news: News) {
        self.news.replace(Some(news));
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Counts those that were not sent. Answers why.
    fn count_dropped(&self, datagrams: &Datagrams<'_>, sent: Sent) -> Option<io::Error> {
        let error = sent.error?;
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock => DatagramDrop::BufferFull,
            // They are told of apart.
            io::ErrorKind::ConnectionRefused => return Some(error),
            _ => {
                tracing::debug!(client = %self.client(), "a datagram could not be sent: {error}");
                DatagramDrop::Error
            }
        };
        self.shard.datagrams_dropped(reason, datagrams.count().saturating_sub(sent.datagrams));
        Some(error)
    }
}

impl Open {
    /// Whether the endpoint may still have the client, in the configuration that is current.
    fn still_serves(&mut self, current: Option<&Rc<Listener>>) -> bool {
        if let Some(current) = current.filter(|current| !Rc::ptr_eq(current, &self.listener)) {
            let Some(cluster) = current.clusters.iter().find(|cluster| cluster.name == self.cluster.name) else {
                return false;
            };
            self.cluster = cluster.clone();
            self.listener = current.clone();
        }
        self.cluster.keeps(&self.picked)
    }
}

impl Tally {
    fn add(&self, datagrams: u64, bytes: u64) {
        self.datagrams.set(self.datagrams.get() + datagrams);
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub(super) fn datagrams(&self) -> u64 {
        self.datagrams.get()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}
