use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use plimsoll_fields::Frame;

use super::kept::Kept;
use crate::downstream::{Body, ClientBody};
use crate::error::{Error, ErrorKind};
use crate::timer::Timer;

/// The body of a request while it lasts: what its attempts read, and what is known of it. Shared, since the connection to
/// the endpoint owns the [`RequestBody`](super::RequestBody) of the attempt.
#[derive(Debug)]
pub struct UploadState {
    incoming: RefCell<ClientBody>,
    kept: RefCell<Kept>,
    /// Bytes that may come; none for no limit.
    limit: Option<u64>,
    received: Cell<u64>,
    too_large: Cell<bool>,
    /// How the client broke it off, if it has.
    client_failed: Cell<Option<ErrorKind>>,
    /// No other attempt follows.
    settled: Cell<bool>,
    /// Attempts that read it.
    readers: Cell<u32>,
    waits_for: Cell<Next>,
    /// The timer of the attempt, set anew with every piece: a slow upload is not a slow endpoint.
    timer: Rc<Timer>,
    patience: Patience,
}

/// How long an attempt waits before there is an answer; none for without end.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the endpoint to take a piece of the body.
    pub send: Option<Duration>,
    /// For the answer, once all has been sent, and for the client to go on.
    pub first_byte: Option<Duration>,
}

/// Who is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The client, to send more.
    Client,
    /// The endpoint, to take what there is.
    Endpoint,
    /// The endpoint, to answer.
    Answer,
}

impl UploadState {
    /// A body of at most `limit` bytes, of which up to `kept_bytes` are kept to be sent again. `timer` is set anew at every
    /// piece. Fails at once when the client has announced more.
    pub fn new(
        incoming: ClientBody,
        limit: Option<u64>,
        kept_bytes: usize,
        timer: Rc<Timer>,
        patience: Patience,
    ) -> Result<Rc<Self>, ErrorKind> {
        if limit.is_some_and(|limit| incoming.remaining().is_some_and(|length| length > limit)) {
            return Err(ErrorKind::BodyTooLarge);
        }
        Ok(Rc::new(Self {
            incoming: RefCell::new(incoming),
            kept: RefCell::new(Kept::new(kept_bytes)),
            limit,
            received: Cell::new(0),
            too_large: Cell::new(false),
            client_failed: Cell::new(None),
            settled: Cell::new(false),
            readers: Cell::new(0),
            waits_for: Cell::new(Next::Endpoint),
            timer,
            patience,
        }))
    }

    /// Bytes of the body that the client has sent so far.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether all that was read of it can be sent once more.
    pub fn is_replayable(&self) -> bool {
        self.client_failed.get().is_none() && self.kept.borrow().is_whole()
    }

    /// Whether all of it has come, and can be sent by several attempts at once.
    pub fn is_shareable(&self) -> bool {
        self.is_replayable() && self.incoming.borrow().is_ended()
    }

    /// No other attempt follows: nothing need be kept.
    pub fn settle(&self) {
        self.settled.set(true);
        self.kept.borrow_mut().let_go();
        self.let_go_unread();
    }

    /// Whose fault a failed attempt really was: the client's, when its body broke or stalled.
    pub fn blame(&self, kind: ErrorKind) -> ErrorKind {
        if self.too_large.get() {
            return ErrorKind::BodyTooLarge;
        }
        if let Some(failed) = self.client_failed.get() {
            return failed;
        }
        match (kind, self.waits_for.get()) {
            (ErrorKind::FirstByteTimeout, Next::Client) => ErrorKind::ClientTimeout,
            (ErrorKind::FirstByteTimeout, Next::Endpoint) => ErrorKind::SendTimeout,
            _ => kind,
        }
    }

    pub(super) fn reading(&self) {
        self.readers.set(self.readers.get() + 1);
        self.waits_for.set(Next::Endpoint);
    }

    pub(super) fn not_reading(&self) {
        self.readers.set(self.readers.get().saturating_sub(1));
        self.let_go_unread();
    }

    /// The client's connection sees by this that nobody reads the body any more.
    fn let_go_unread(&self) {
        if self.settled.get() && self.readers.get() == 0 {
            drop(self.incoming.replace(ClientBody::Empty));
        }
    }

    /// What follows after the first `at` bytes.
    pub(super) fn poll_frame(&self, at: usize, context: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let kept = self.kept.borrow().piece_at(at);
        if let Some(piece) = kept {
            self.hand_on(self.is_end(at + piece.len()));
            return Poll::Ready(Some(Ok(Frame::Data(piece))));
        }
        let polled = Pin::new(&mut *self.incoming.borrow_mut()).poll_frame(context);
        match polled {
            Poll::Pending => {
                if self.waits_for.replace(Next::Client) != Next::Client {
                    self.timer.arm_or_wait(self.patience.first_byte);
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.waits_for.set(Next::Answer);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.client_failed.set(Some(error.kind));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.take(&frame).map(|()| frame))),
        }
    }

    fn take(&self, frame: &Frame) -> Result<(), Error> {
        let is_last = self.incoming.borrow().is_ended();
        let Frame::Data(data) = frame else {
            // Trailers are too rare to be kept.
            self.keep_no_more();
            self.waits_for.set(Next::Answer);
            return Ok(());
        };
        let received = self.received.get() + data.len() as u64;
        self.received.set(received);
        if self.limit.is_some_and(|limit| received > limit) {
            self.too_large.set(true);
            return Err(ErrorKind::BodyTooLarge.into());
        }
        self.hand_on(is_last);
        if self.is_replayable() {
            self.kept.borrow_mut().add(data);
            if !self.is_replayable() {
                self.keep_no_more();
            }
        }
        Ok(())
    }

    /// A piece goes to the endpoint; `is_last` when nothing is behind it.
    fn hand_on(&self, is_last: bool) {
        let (next, patience) = match is_last {
            true => (Next::Answer, self.patience.first_byte),
            false => (Next::Endpoint, self.patience.send),
        };
        self.waits_for.set(next);
        self.timer.arm_or_wait(patience);
    }

    /// It cannot be sent again from here on, so that its endpoint is not left for another.
    fn keep_no_more(&self) {
        self.kept.borrow_mut().let_go();
        self.timer.stay();
    }

    pub(super) fn is_end(&self, at: usize) -> bool {
        self.kept_from(at) == 0 && self.incoming.borrow().is_ended()
    }

    pub(super) fn remaining(&self, at: usize) -> Option<u64> {
        Some(self.incoming.borrow().remaining()? + self.kept_from(at))
    }

    fn kept_from(&self, at: usize) -> u64 {
        self.kept.borrow().len().saturating_sub(at) as u64
    }
}
