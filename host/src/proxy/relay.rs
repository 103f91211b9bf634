use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use crate::error::{Error, ErrorKind};
use crate::telemetry::{Direction, ListenerShard};
use crate::timer::Timer;

/// The bytes of a TCP connection, both ways, until both sides have ended theirs or one is gone. Knows at whose socket it
/// broke off.
#[derive(Debug)]
pub(super) struct Relay<'a> {
    client: TcpStream,
    endpoint: TcpStream,
    up: Way,
    down: Way,
    /// Who ended its side first.
    ended_first: Option<Side>,
    /// The endpoint takes no more, while what it has sent may still be on its way.
    refused: Option<io::Error>,
    silence: Silence,
    moved: &'a Moved<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Endpoint,
}

/// Bytes that a connection has carried so far.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    shard: &'a ListenerShard,
    received: Cell<u64>,
    sent: Cell<u64>,
}

/// How long both sides may say nothing.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) timer: Timer,
    /// None is forever.
    pub(super) limit: Option<Duration>,
}

impl<'a> Moved<'a> {
    pub(super) fn new(shard: &'a ListenerShard) -> Self {
        Self { shard, received: Cell::new(0), sent: Cell::new(0) }
    }

    /// From the client.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// To the client.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    fn count(&self, direction: Direction, bytes: usize) {
        let bytes = bytes as u64;
        let total = if direction == Direction::In { &self.received } else { &self.sent };
        total.set(total.get() + bytes);
        self.shard.bytes(direction, bytes);
    }
}

impl Silence {
    fn broken(&self) {
        if let Some(limit) = self.limit {
            self.timer.arm(limit);
        }
    }
}

impl<'a> Relay<'a> {
    /// `first_bytes` came from the client before.
    pub(super) fn new(
        client: TcpStream,
        first_bytes: Vec<u8>,
        endpoint: TcpStream,
        silence: Silence,
        moved: &'a Moved<'a>,
    ) -> Self {
        moved.count(Direction::In, first_bytes.len());
        silence.broken();
        let (up, down) = (Way::new(first_bytes), Way::new(Vec::new()));
        Self { client, endpoint, up, down, ended_first: None, refused: None, silence, moved }
    }

    /// Carries bytes to the end, and tells who ended it.
    pub(super) async fn run(mut self) -> Result<Side, Error> {
        poll_fn(|task| match self.poll(task) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => self.silence.timer.poll_fired(task).map(|()| Err(ErrorKind::IdleTimeout.into())),
        })
        .await
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<Side, Error>> {
        match self.poll_up(task) {
            Err(Broken::Reading(error)) => return Poll::Ready(Err(Error::new(ErrorKind::ClientAbort, error))),
            Err(Broken::Writing(error)) => {
                self.up.state = State::Ended;
                // Whoever has said all that it had to say may close while the client still sends.
                if self.down.state == State::Open {
                    self.refused = Some(error);
                }
            }
            Ok(()) => {}
        }
        match self.poll_down(task) {
            Err(Broken::Reading(error)) => return Poll::Ready(Err(Error::new(ErrorKind::UpstreamReset, error))),
            Err(Broken::Writing(error)) => return Poll::Ready(Err(Error::new(ErrorKind::ClientAbort, error))),
            Ok(()) => {}
        }
        if self.down.state != State::Ended || self.up.state != State::Ended {
            return Poll::Pending;
        }
        Poll::Ready(match self.refused.take() {
            Some(error) => Err(Error::new(ErrorKind::UpstreamReset, error)),
            None => Ok(self.ended_first.unwrap_or(Side::Endpoint)),
        })
    }

    fn poll_up(&mut self, task: &mut Context<'_>) -> Result<(), Broken> {
        let Self { client, endpoint, up, ended_first, silence, moved, .. } = self;
        let taken = &mut |bytes| {
            moved.count(Direction::In, bytes);
            note_read(bytes, Side::Client, ended_first, silence);
        };
        up.poll(client, endpoint, task, taken, &mut |_| {})
    }

    fn poll_down(&mut self, task: &mut Context<'_>) -> Result<(), Broken> {
        let Self { client, endpoint, down, ended_first, silence, moved, .. } = self;
        let taken = &mut |bytes| note_read(bytes, Side::Endpoint, ended_first, silence);
        down.poll(endpoint, client, task, taken, &mut |bytes| moved.count(Direction::Out, bytes))
    }
}

fn note_read(bytes: usize, from: Side, ended_first: &mut Option<Side>, silence: &Silence) {
    if bytes == 0 {
        ended_first.get_or_insert(from);
    } else {
        silence.broken();
    }
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// Taken from one side; from `written` on, the other has not taken it yet. While something is here, nothing is read.
    waiting: Vec<u8>,
    written: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// One side has ended, which the other is still to be told.
    Ending,
    Ended,
}

/// At which of its two sockets a direction broke.
#[derive(Debug)]
enum Broken {
    Reading(io::Error),
    Writing(io::Error),
}

/// Taken from one side at a time.
const BUFFER_BYTES: usize = 16 * 1024;

impl Way {
    fn new(waiting: Vec<u8>) -> Self {
        Self { waiting, written: 0, state: State::Open }
    }

    /// Carries what can be carried now. `taken` hears of what was read, 0 at the end; `given` of what was written.
    fn poll(
        &mut self,
        from: &mut TcpStream,
        to: &mut TcpStream,
        task: &mut Context<'_>,
        taken: &mut dyn FnMut(usize),
        given: &mut dyn FnMut(usize),
    ) -> Result<(), Broken> {
        while self.state != State::Ended {
            match self.poll_step(from, to, task, taken, given) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(broken)) => return Err(broken),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn poll_step(
        &mut self,
        from: &mut TcpStream,
        to: &mut TcpStream,
        task: &mut Context<'_>,
        taken: &mut dyn FnMut(usize),
        given: &mut dyn FnMut(usize),
    ) -> Poll<Result<(), Broken>> {
        while self.written < self.waiting.len() {
            let written = ready!(Pin::new(&mut *to).poll_write(task, &self.waiting[self.written..]));
            let written = match written {
                Ok(0) => return Poll::Ready(Err(Broken::Writing(io::ErrorKind::WriteZero.into()))),
                Ok(written) => written,
                Err(error) => return Poll::Ready(Err(Broken::Writing(error))),
            };
            self.written += written;
            given(written);
        }
        self.waiting.clear();
        self.written = 0;
        if self.state == State::Ending {
            let told = ready!(Pin::new(to).poll_shutdown(task));
            self.state = State::Ended;
            return Poll::Ready(told.map_err(Broken::Writing));
        }
        self.waiting.reserve(BUFFER_BYTES);
        let read = ready!(tokio_util::io::poll_read_buf(Pin::new(from), task, &mut self.waiting));
        let read = read.map_err(Broken::Reading)?;
        if read == 0 {
            self.state = State::Ending;
        }
        taken(read);
        Poll::Ready(Ok(()))
    }
}
