use std::collections::VecDeque;
use std::task::Waker;

use bytes::{BufMut, BytesMut};
use plimsoll_fields::Fields;

use crate::code::Code;
use crate::flow::ReceiveWindow;

/// One request and its answer, as their connection has them.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) received: Received,
    /// All of the request has come.
    pub(crate) has_received: bool,
    /// Somebody may still want what comes.
    pub(crate) is_read: bool,
    pub(crate) window: ReceiveWindow,
    /// How much more the client takes, in bytes. Its SETTINGS can make it less than nothing (section 6.9.2).
    pub(crate) send_window: i64,
    /// All of the answer is sent.
    pub(crate) has_sent: bool,
    /// Why it has ended before its time.
    pub(crate) reset: Option<Code>,
    /// The client has it as one of those that it may have at the same time.
    pub(crate) is_open: bool,
    /// How many have to do with it: who answers it, and who reads it.
    pub(crate) users: u8,
    /// It waits for its turn to send.
    pub(crate) is_waiting: bool,
    /// It is its turn to send.
    pub(crate) has_turn: bool,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl Stream {
    pub(crate) fn new(id: u32, send_window: i64, window: ReceiveWindow) -> Self {
        Self {
            id,
            received: Received::default(),
            has_received: false,
            is_read: false,
            window,
            send_window,
            has_sent: false,
            reset: None,
            is_open: true,
            users: 1,
            is_waiting: false,
            has_turn: false,
            reader: None,
            writer: None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.reset.is_some() || (self.has_received && self.has_sent)
    }

    pub(crate) fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

/// What has come of a request behind its head and was not taken.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pieces: VecDeque<BytesMut>,
    /// How many bytes that is.
    pub(crate) length: usize,
    /// How many are still to come, where the client has said so.
    pub(crate) remaining: Option<u64>,
    pub(crate) trailers: Option<Fields>,
}

/// A piece that is as large stays in the buffer that it was read into, in bytes: others would keep far more than they are.
const LARGE: usize = 4096;

impl Received {
    /// Counts a piece. False where the client has said that more or less comes (section 8.1.1).
    pub(crate) fn fits(&mut self, length: usize, is_last: bool) -> bool {
        let Some(remaining) = &mut self.remaining else { return true };
        match remaining.checked_sub(length as u64) {
            Some(rest) if rest == 0 || !is_last => {
                *remaining = rest;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn push(&mut self, piece: BytesMut) {
        self.length += piece.len();
        if piece.len() >= LARGE {
            self.pieces.push_back(piece);
        } else if !piece.is_empty() {
            match self.pieces.back_mut() {
                Some(last) if last.capacity() - last.len() >= piece.len() => last.put_slice(&piece),
                _ => {
                    // A client that sends bytes one by one costs no more than one that does not.
                    let mut copy = BytesMut::with_capacity(if self.pieces.is_empty() { piece.len() } else { LARGE });
                    copy.put_slice(&piece);
                    self.pieces.push_back(copy);
                }
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<BytesMut> {
        let piece = self.pieces.pop_front()?;
        self.length -= piece.len();
        Some(piece)
    }

    /// Forgets what has come; how much that was.
    pub(crate) fn clear(&mut self) -> usize {
        self.pieces = VecDeque::new();
        std::mem::take(&mut self.length)
    }
}
