use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Error, ErrorKind};
use crate::io::{LentPipe, Pipes, Stream};
use crate::telemetry::{Direction, ListenerShard};
use crate::timer::{Fired, Timer};

/// The bytes of a TCP connection, both ways, until both sides have ended theirs or one is gone. Knows at whose socket it
/// broke off.
#[derive(Debug)]
pub(super) struct Relay<'a> {
    client: Stream,
    endpoint: Stream,
    up: Way<'a>,
    down: Way<'a>,
    /// Who ended its side first.
    ended_first: Option<Side>,
    /// The endpoint takes no more, while what it has sent may still be on its way.
    refused: Option<io::Error>,
    silence: Silence,
    scratch: &'a Scratch,
    moved: &'a Moved<'a>,
}

/// Room to read into that all TCP connections of a worker share: what the other side takes at once needs no buffer of its
/// own, so that a connection owns one only while somebody does not read. And pipes, by which much goes from socket to socket.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    room: RefCell<Vec<u8>>,
    pipes: Pipes,
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

    /// Why the timer has fired.
    fn ended_by(&self) -> ErrorKind {
        match self.timer.fired() {
            Some(Fired::CalledOff(_)) => ErrorKind::Deregistered,
            _ => ErrorKind::IdleTimeout,
        }
    }
}

impl<'a> Relay<'a> {
    /// `first_bytes` came from the client before.
    pub(super) fn new(
        client: Stream,
        first_bytes: Vec<u8>,
        endpoint: Stream,
        silence: Silence,
        scratch: &'a Scratch,
        moved: &'a Moved<'a>,
    ) -> Self {
        moved.count(Direction::In, first_bytes.len());
        silence.broken();
        let (up, down) = (Way::new(first_bytes), Way::new(Vec::new()));
        Self { client, endpoint, up, down, ended_first: None, refused: None, silence, scratch, moved }
    }

    /// Carries bytes to the end, and tells who ended it.
    pub(super) async fn run(mut self) -> Result<Side, Error> {
        poll_fn(|task| match self.poll(task) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => self.silence.timer.poll_fired(task).map(|()| Err(self.silence.ended_by().into())),
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
        self.up.is_last = self.down.state == State::Ended;
        let Self { client, endpoint, up, ended_first, silence, scratch, moved, .. } = self;
        let taken = &mut |bytes| {
            moved.count(Direction::In, bytes);
            note_read(bytes, Side::Client, ended_first, silence);
        };
        up.poll((client, endpoint), task, scratch, taken, &mut |_| {})
    }

    fn poll_down(&mut self, task: &mut Context<'_>) -> Result<(), Broken> {
        // One that ended because it was refused may leave something unread.
        self.down.is_last = self.up.state == State::Ended && self.refused.is_none();
        let Self { client, endpoint, down, ended_first, silence, scratch, moved, .. } = self;
        let taken = &mut |bytes| note_read(bytes, Side::Endpoint, ended_first, silence);
        let given = &mut |bytes| moved.count(Direction::Out, bytes);
        down.poll((endpoint, client), task, scratch, taken, given)
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
struct Way<'a> {
    /// What one side has sent and the other has not taken yet, from `written` on. While something is here, nothing is
    /// read.
    waiting: Vec<u8>,
    written: usize,
    /// What was written may still be on its way to the socket, encrypted.
    flushing: bool,
    /// Read at a time, in bytes: grows while that much comes and goes at once, shrinks where it does not go.
    room: usize,
    bulk: Bulk,
    /// What one side has sent and the other has not taken yet, where it goes without being copied.
    pipe: Option<LentPipe<'a>>,
    state: State,
    /// The other direction has ended: both sockets are closed next, which says in the clear that this one has, too.
    is_last: bool,
}

/// Whether bytes go from socket to socket by a pipe. Little is copied at less cost; much goes at half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bulk {
    No,
    Yes,
    /// The system does not do it.
    Never,
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

/// Who hears of bytes as they move; 0 is the end.
type Told<'a> = &'a mut dyn FnMut(usize);

const LEAST_ROOM: usize = 16 * 1024;
/// What has to come at once for a pipe to be worth its while.
const BULK_ROOM: usize = 64 * 1024;
/// Also what a connection keeps at the most, in each direction, for a side that does not read.
const MOST_ROOM: usize = 128 * 1024;

impl<'a> Way<'a> {
    fn new(waiting: Vec<u8>) -> Self {
        Self {
            waiting,
            written: 0,
            flushing: true,
            room: LEAST_ROOM,
            bulk: Bulk::No,
            pipe: None,
            state: State::Open,
            is_last: false,
        }
    }

    /// Carries what can be carried now. `taken` hears of what was read, `given` of what was written.
    fn poll(
        &mut self,
        (from, to): (&mut Stream, &mut Stream),
        task: &mut Context<'_>,
        scratch: &'a Scratch,
        taken: Told<'_>,
        given: Told<'_>,
    ) -> Result<(), Broken> {
        while self.state != State::Ended {
            match self.poll_step((from, to), task, scratch, taken, given) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(broken)) => return Err(broken),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn poll_step(
        &mut self,
        (from, to): (&mut Stream, &mut Stream),
        task: &mut Context<'_>,
        scratch: &'a Scratch,
        taken: Told<'_>,
        given: Told<'_>,
    ) -> Poll<Result<(), Broken>> {
        while self.written < self.waiting.len() {
            self.written += ready!(poll_write(to, task, &self.waiting[self.written..], given))?;
        }
        self.waiting = Vec::new();
        self.written = 0;
        ready!(self.poll_drain(to, task, given))?;
        if self.flushing {
            ready!(Pin::new(&mut *to).poll_flush(task)).map_err(Broken::Writing)?;
            self.flushing = false;
        }
        if self.state == State::Ending {
            let is_told_by_closing = self.is_last && to.plain().is_some();
            let told = if is_told_by_closing { Ok(()) } else { ready!(Pin::new(to).poll_shutdown(task)) };
            self.state = State::Ended;
            return Poll::Ready(told.map_err(Broken::Writing));
        }
        if let Some(read) = ready!(self.poll_fill((&*from, &*to), task, &scratch.pipes))? {
            taken(read);
            if read == 0 {
                self.state = State::Ending;
            }
            return self.poll_drain(to, task, given);
        }
        let mut room = scratch.room.borrow_mut();
        room.resize(MOST_ROOM, 0);
        let mut read = ReadBuf::new(&mut room[..self.room]);
        ready!(Pin::new(from).poll_read(task, &mut read)).map_err(Broken::Reading)?;
        let read = read.filled();
        taken(read.len());
        if read.is_empty() {
            self.state = State::Ending;
        }
        self.pass_on(read, to, task, given)
    }

    /// Reads into a pipe, where that is the way; none where it is not.
    fn poll_fill(
        &mut self,
        (from, to): (&Stream, &Stream),
        task: &mut Context<'_>,
        pipes: &'a Pipes,
    ) -> Poll<Result<Option<usize>, Broken>> {
        let (Bulk::Yes, Some(from), Some(_)) = (self.bulk, from.plain(), to.plain()) else {
            return Poll::Ready(Ok(None));
        };
        let Some(mut pipe) = pipes.lend() else { return Poll::Ready(Ok(None)) };
        let read = match ready!(pipe.poll_fill(from, task)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                self.bulk = Bulk::Never;
                return Poll::Ready(Ok(None));
            }
            read => read.map_err(Broken::Reading)?,
        };
        if read < LEAST_ROOM {
            self.bulk = Bulk::No;
        }
        self.pipe = Some(pipe);
        Poll::Ready(Ok(Some(read)))
    }

    /// Writes what the pipe holds, and gives it back.
    fn poll_drain(&mut self, to: &Stream, task: &mut Context<'_>, given: Told<'_>) -> Poll<Result<(), Broken>> {
        while let Some((pipe, to)) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()).zip(to.plain()) {
            match ready!(pipe.poll_drain(to, task)).map_err(Broken::Writing)? {
                0 => return Poll::Ready(Err(Broken::Writing(io::ErrorKind::WriteZero.into()))),
                written => given(written),
            }
        }
        self.pipe = None;
        Poll::Ready(Ok(()))
    }

    /// Writes what was read; what does not go at once waits.
    fn pass_on(
        &mut self,
        read: &[u8],
        to: &mut Stream,
        task: &mut Context<'_>,
        given: Told<'_>,
    ) -> Poll<Result<(), Broken>> {
        let mut written = 0;
        self.flushing = true;
        while written < read.len() {
            match poll_write(to, task, &read[written..], given)? {
                Poll::Ready(more) => written += more,
                Poll::Pending => {
                    self.waiting = read[written..].to_vec();
                    self.room = written.clamp(LEAST_ROOM, MOST_ROOM);
                    return Poll::Pending;
                }
            }
        }
        if read.len() == self.room {
            if self.room >= BULK_ROOM && self.bulk == Bulk::No {
                self.bulk = Bulk::Yes;
            }
            self.room = (self.room * 2).min(MOST_ROOM);
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_write(to: &mut Stream, task: &mut Context<'_>, bytes: &[u8], given: Told<'_>) -> Poll<Result<usize, Broken>> {
    match ready!(Pin::new(to).poll_write(task, bytes)) {
        Ok(0) => Poll::Ready(Err(Broken::Writing(io::ErrorKind::WriteZero.into()))),
        Ok(written) => {
            given(written);
            Poll::Ready(Ok(written))
        }
        Err(error) => Poll::Ready(Err(Broken::Writing(error))),
    }
}
