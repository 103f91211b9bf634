use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use crate::error::Error;
use crate::timer::Timers;

/// Makes connections of one protocol to one endpoint.
pub(in crate::upstream) trait Opener: fmt::Debug + 'static {
    type Connection: Carrier;
    /// What an endpoint that speaks something else has made of the attempt.
    type Other: fmt::Debug;

    /// Makes one. `changed` is called whenever there may be room on it that was not there, and at its end.
    async fn open(&self, timers: &Timers, changed: impl Fn() + 'static) -> Result<Opened<Self>, Error>;
}

/// What came of making a connection.
pub(in crate::upstream) enum Opened<O: Opener + ?Sized> {
    Connection(Rc<O::Connection>),
    /// The endpoint speaks something else; with what can be used of it, for one of those who wait.
    Other(Option<O::Other>),
}

/// A connection that carries many requests at a time.
pub(in crate::upstream) trait Carrier: fmt::Debug + 'static {
    /// What a request has of it before it is sent.
    type Stream: fmt::Debug;

    /// A stream for one more request, if there is room for it.
    fn stream(&self) -> Option<Self::Stream>;

    /// A stream on which nothing was sent.
    fn give_back(&self, stream: Self::Stream);

    /// Requests that may be under way at a time, as far as is known.
    fn limit(&self) -> usize;

    /// Nothing can begin on it any more.
    fn is_closed(&self) -> bool;

    /// Goes up whenever something comes from the endpoint.
    fn heard(&self) -> u64;

    fn places(&self) -> &Places;

    fn is_usable(&self) -> bool {
        !self.places().retired.get() && !self.is_closed()
    }
}

/// Requests that a connection carries.
#[derive(Debug)]
pub(in crate::upstream) struct Places {
    taken: Cell<usize>,
    /// A request has begun here before.
    used: Cell<bool>,
    /// Nothing new begins here.
    retired: Cell<bool>,
    idle_since: Cell<Instant>,
}

impl Places {
    pub(in crate::upstream) fn new() -> Self {
        let idle_since = Cell::new(Instant::now());
        Self { taken: Cell::new(0), used: Cell::new(false), retired: Cell::new(false), idle_since }
    }

    pub(in crate::upstream) fn taken(&self) -> usize {
        self.taken.get()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.taken.get() == 0
    }

    /// A request begins here. True when others have before.
    pub(super) fn enter(&self) -> bool {
        self.taken.set(self.taken.get() + 1);
        self.used.replace(true)
    }

    /// A request has ended.
    pub(super) fn leave(&self) {
        let left = self.taken.get().saturating_sub(1);
        self.taken.set(left);
        if left == 0 {
            self.idle_since.set(Instant::now());
        }
    }

    /// Nothing new is to begin here.
    pub(in crate::upstream) fn retire(&self) {
        self.retired.set(true);
    }

    /// Since when nothing has been under way.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.is_idle().then(|| self.idle_since.get())
    }
}
