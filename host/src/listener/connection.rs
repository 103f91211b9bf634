use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::proxy::ListenerSlot;
use crate::timer::Timer;

/// How a connection stands between its stream, which sees bytes, its requests, and the worker, which may end it. One
/// timer serves all its waits, since they never overlap: for a first byte, for the rest of a head, for a next request,
/// for a client that does not read.
#[derive(Debug)]
pub(super) struct Connection {
    listener: Rc<ListenerSlot>,
    timer: Timer,
    patience: Patience,
    phase: Cell<Phase>,
    requests: Cell<u32>,
    /// Since it began, and those of them that the client gave up before it had the answer.
    begun: Cell<u32>,
    given_up: Cell<u32>,
    draining: Cell<bool>,
    /// While its first bytes were waited for.
    hurried: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// How long a connection is waited for; none is forever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a head to its end, and for the first byte of the first.
    pub(super) head: Option<Duration>,
    /// Between requests.
    pub(super) keep_alive: Option<Duration>,
    /// For the client to take bytes.
    pub(super) write: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet, or a head has begun.
    Head,
    /// Waiting for a next request.
    Idle,
    /// Requests under way.
    Busy,
}

/// Requests on one connection from which on it is looked at how many of them the client gives up.
const MANY: u32 = 500;

/// For the first byte of a connection that is to end.
const LAST_REQUEST: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(timer: Timer, patience: Patience, listener: Rc<ListenerSlot>) -> Rc<Self> {
        let connection = Self {
            listener,
            timer,
            patience,
            phase: Cell::new(Phase::Head),
            requests: Cell::new(0),
            begun: Cell::new(0),
            given_up: Cell::new(0),
            draining: Cell::new(false),
            hurried: Cell::new(false),
            waker: RefCell::default(),
        };
        connection.arm(patience.head);
        Rc::new(connection)
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    pub(super) fn listener(&self) -> &ListenerSlot {
        &self.listener
    }

    /// The handshake is over: the first head has its whole time.
    pub(super) fn established(&self) {
        self.arm(self.patience.head);
    }

    /// The client has connected before it could know that the connection is to end: its first request may be on the way.
    pub(super) fn hurry(&self) {
        if !self.hurried.replace(true) {
            self.arm(Some(self.patience.head.map_or(LAST_REQUEST, |patience| patience.min(LAST_REQUEST))));
        }
    }

    /// Bytes came from the client.
    pub(super) fn received(&self) {
        if self.phase.get() == Phase::Idle {
            self.phase.set(Phase::Head);
            self.arm(self.patience.head);
        }
    }

    /// The client does not take bytes now.
    pub(super) fn write_stalled(&self) {
        if let Some(patience) = self.patience.write {
            self.timer.arm_if_idle(patience);
        }
    }

    /// The client took bytes.
    pub(super) fn written(&self) {
        if self.phase.get() == Phase::Busy {
            self.timer.disarm();
        }
    }

    /// One of many that are under way at the same time.
    pub(super) fn begin_request(self: &Rc<Self>) -> UnderWay {
        self.begun.set(self.begun.get().saturating_add(1));
        self.request_began();
        UnderWay(self.clone())
    }

    pub(super) fn request_began(&self) {
        self.requests.set(self.requests.get() + 1);
        self.phase.set(Phase::Busy);
        self.timer.disarm();
    }

    pub(super) fn request_ended(&self) {
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        if left == 0 {
            self.idle();
            if self.draining.get() {
                self.drain();
            }
        }
    }

    /// The client has reset the stream of a request before it had the answer.
    pub(super) fn gave_up(&self) {
        self.given_up.set(self.given_up.get().saturating_add(1));
    }

    /// A request was never one, and its stream has been reset: whoever makes us give up streams is like one that gives them up
    /// (CVE-2025-8671).
    pub(super) fn gave_up_at_once(&self) {
        self.begun.set(self.begun.get().saturating_add(1));
        self.gave_up();
    }

    /// Whether the client asks in order to give up, which costs it next to nothing and us whole requests (CVE-2023-44487): more
    /// than half of 500, as Envoy counts.
    pub(super) fn is_abused(&self) -> bool {
        self.begun.get() >= MANY && self.given_up.get() > self.begun.get() / 2
    }

    /// Asks the connection to end after what is under way.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// True when no request is under way. Otherwise the caller is woken when that is so, on a connection that is to end.
    pub(super) fn poll_quiet(&self, context: &Context<'_>) -> bool {
        if !self.is_quiet() {
            self.waker.replace(Some(context.waker().clone()));
        }
        self.is_quiet()
    }

    /// True when no request is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.requests.get() == 0
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Nothing is under way, and nothing was.
    pub(super) fn idle(&self) {
        self.phase.set(Phase::Idle);
        self.arm(self.patience.keep_alive);
    }

    /// True once it was asked to end. Otherwise the caller is woken when it is.
    pub(super) fn poll_draining(&self, context: &mut Context<'_>) -> bool {
        if self.draining.get() {
            return true;
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        false
    }

    /// Ready when the client was waited for long enough.
    pub(super) fn poll_timeout(&self, context: &mut Context<'_>) -> Poll<Timeout> {
        self.timer.poll_fired(context).map(|()| match self.phase.get() {
            Phase::Head => Timeout::Head,
            Phase::Idle => Timeout::Idle,
            Phase::Busy => Timeout::Write,
        })
    }

    fn arm(&self, patience: Option<Duration>) {
        match patience {
            Some(patience) => self.timer.arm(patience),
            None => self.timer.disarm(),
        }
    }
}

/// A request under way on its connection, until its answer has been sent.
#[derive(Debug)]
pub(super) struct UnderWay(Rc<Connection>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// What the client did not do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    /// Finish the head of a request.
    Head,
    /// Send another request.
    Idle,
    /// Take the answer.
    Write,
}
