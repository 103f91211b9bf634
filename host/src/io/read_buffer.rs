use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncRead;

use super::{Buffers, Stream};

/// What was read of a connection and not used yet, with room for the next read, which grows while what comes fills it.
#[derive(Debug)]
pub struct ReadBuffer {
    bytes: BytesMut,
    /// For the next read, in bytes.
    room: usize,
    most_room: usize,
}

const ROOM: usize = 8 * 1024;

impl ReadBuffer {
    /// `bytes` were read before. A read takes up to `most_room` bytes.
    pub fn new(bytes: BytesMut, most_room: usize) -> Self {
        Self { bytes, room: ROOM, most_room }
    }

    /// So many bytes are to come.
    pub fn expect(&mut self, bytes: usize) {
        self.room = self.room.max(bytes.min(self.most_room));
    }

    /// Reads more; 0 is the end of what the other side sends.
    pub fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.bytes.reserve(self.room);
        let room = self.bytes.capacity() - self.bytes.len();
        let count = ready!(tokio_util::io::poll_read_buf(Pin::new(stream), task, &mut self.bytes))?;
        if count == room {
            self.room = (self.room * 2).min(self.most_room);
        }
        Poll::Ready(Ok(count))
    }

    /// The same, into memory that is lent when there is something to read.
    pub fn poll_fill_lent(
        &mut self,
        stream: &mut Stream,
        buffers: &Buffers,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            // Most of the time nothing is there yet, and no memory is needed to find that out.
            ready!(stream.poll_readable(task))?;
            self.bytes = buffers.for_reading();
        }
        self.poll_fill(stream, task)
    }

    /// Gives memory that was lent back before a wait of unknown length, unless something is in it.
    pub fn give_back(&mut self, buffers: &Buffers) {
        self.room = ROOM;
        if self.bytes.is_empty() {
            buffers.done_reading(std::mem::take(&mut self.bytes));
        }
    }

    /// Forgets what it has grown to, once nothing is in it.
    pub fn shrink(&mut self) {
        if self.room > ROOM {
            *self = Self::new(BytesMut::new(), self.most_room);
        }
    }

    pub fn into_bytes(self) -> BytesMut {
        self.bytes
    }
}

impl Deref for ReadBuffer {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.bytes
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }
}
