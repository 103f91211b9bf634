use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::block::{Blocks, Judged};
use plimsoll_fields::{Malformed, Part};

/// Stands between the bytes that a client sends and `h2`. It follows frames (RFC 9113 section 4) and holds a header block
/// back until it is whole; all else passes as it comes.
///
/// Where it cannot follow (errors of compression, frames within a block, a block beyond `limit`) it lets everything pass
/// from there on: `h2` ends such a connection itself.
#[derive(Debug)]
pub struct Guard {
    /// None once everything passes.
    blocks: Option<Blocks>,
    /// Of the preface or of a frame that is not looked into, still to come.
    to_pass: usize,
    /// What of a header block has come, from its first frame on.
    held: Vec<u8>,
    /// How much of `held` is whole frames.
    framed: usize,
    /// What goes on next, before anything that is read.
    ready: Vec<u8>,
    /// The last stream that a client has begun.
    last_stream: u32,
    /// The most that is held, in bytes.
    limit: usize,
    malformed: Vec<Malformed>,
}

const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;
/// The largest payload that may be sent to anybody who has not asked for more (SETTINGS_MAX_FRAME_SIZE).
const MAX_PAYLOAD: usize = 16_384;

const HEADERS: u8 = 0x1;
const PUSH_PROMISE: u8 = 0x5;
const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LENGTH: usize = 5;

/// What is to become of the bytes at hand.
enum Step {
    /// So many pass.
    Pass(usize),
    /// So many are a block that another one replaces.
    Replace(usize, Substitute),
    /// They are not whole.
    Hold,
    /// All that comes passes.
    GiveUp,
}

/// A block in place of one that was malformed.
struct Substitute {
    stream: u32,
    ends_stream: bool,
    block: Vec<u8>,
}

impl Guard {
    /// `limit` bounds what of a header block is held back, in bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            blocks: Some(Blocks::new()),
            to_pass: PREFACE,
            held: Vec::new(),
            framed: 0,
            ready: Vec::new(),
            last_stream: 0,
            limit,
            malformed: Vec::new(),
        }
    }

    /// Reads from the stream that is guarded what may go on.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.has_ready() {
                let count = self.take_ready(buffer.initialize_unfilled());
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(task, buffer))?;
            let is_end = buffer.filled().len() == before;
            let passed = self.read(&buffer.filled()[before..]);
            buffer.set_filled(before + passed);
            if passed > 0 || is_end {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes note of what was read, and says how much of its beginning goes on as it is. The rest stays here: what
    /// [`take_ready`](Self::take_ready) has goes on before anything else is read.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> usize {
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            let (passed, rest) = self.follow(bytes, true);
            self.held.extend_from_slice(rest);
            return passed;
        }
        held.extend_from_slice(bytes);
        let (_, rest) = self.follow(&held, false);
        let gone = held.len() - rest.len();
        held.drain(..gone);
        self.held = held;
        0
    }

    /// Copies to `room` what goes on before anything else, and says how much it was.
    pub(crate) fn take_ready(&mut self, room: &mut [u8]) -> usize {
        let count = self.ready.len().min(room.len());
        room[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
        count
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A head has begun and is not whole yet.
    pub fn is_in_head(&self) -> bool {
        self.held.len() >= FRAME_HEADER
    }

    /// What was wrong with each block that was replaced since this was asked last.
    pub fn take_malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }

    /// Says how much of the beginning passes where it is, if it may, and what is not whole yet. What lies between is ready.
    fn follow<'a>(&mut self, mut bytes: &'a [u8], mut in_place: bool) -> (usize, &'a [u8]) {
        let mut passed = 0;
        while !bytes.is_empty() {
            match self.step(bytes) {
                Step::Pass(count) => {
                    if in_place {
                        passed += count;
                    } else {
                        self.ready.extend_from_slice(&bytes[..count]);
                    }
                    bytes = &bytes[count..];
                }
                Step::Replace(count, substitute) => {
                    in_place = false;
                    substitute.put(&mut self.ready);
                    bytes = &bytes[count..];
                }
                Step::Hold => break,
                Step::GiveUp => self.blocks = None,
            }
        }
        (passed, bytes)
    }

    fn step(&mut self, bytes: &[u8]) -> Step {
        if self.to_pass > 0 {
            let count = self.to_pass.min(bytes.len());
            self.to_pass -= count;
            return Step::Pass(count);
        }
        if self.blocks.is_none() {
            return Step::Pass(bytes.len());
        }
        let Some(frame) = Frame::first(bytes) else { return Step::Hold };
        match frame.kind {
            HEADERS => self.step_block(bytes),
            // None of them may stand here.
            CONTINUATION | PUSH_PROMISE => Step::GiveUp,
            _ => {
                self.to_pass = frame.length;
                self.step(bytes)
            }
        }
    }

    /// `bytes` begin with HEADERS.
    fn step_block(&mut self, bytes: &[u8]) -> Step {
        loop {
            let Some(frame) = Frame::first(&bytes[self.framed..]) else { return Step::Hold };
            let end = self.framed + frame.length;
            if end > self.limit || (self.framed > 0 && frame.kind != CONTINUATION) {
                return Step::GiveUp;
            }
            if bytes.len() < end {
                return Step::Hold;
            }
            self.framed = end;
            if frame.flags & END_HEADERS != 0 {
                break;
            }
        }
        let whole = &bytes[..std::mem::take(&mut self.framed)];
        self.judge(whole).unwrap_or(Step::GiveUp)
    }

    /// Looks at the whole frames of a block. None if it cannot be read.
    fn judge(&mut self, frames: &[u8]) -> Option<Step> {
        let head = Frame::first(frames)?;
        let part = if head.stream > self.last_stream { Part::Request } else { Part::Trailers };
        self.last_stream = self.last_stream.max(head.stream);
        let first = fragment(head, frames.get(FRAME_HEADER..head.length)?)?;
        let blocks = self.blocks.as_mut()?;
        let judged = match frames.len() == head.length {
            true => blocks.judge(first, part),
            false => blocks.judge(&joined(first, frames.get(head.length..)?, head.stream)?, part),
        };
        match judged {
            Judged::Good => Some(Step::Pass(frames.len())),
            Judged::Unreadable => None,
            Judged::Malformed(malformed, block) => {
                self.malformed.push(malformed);
                let ends_stream = head.flags & END_STREAM != 0;
                Some(Step::Replace(frames.len(), Substitute { stream: head.stream, ends_stream, block }))
            }
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy)]
struct Frame {
    /// Of the frame as a whole.
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn first(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<FRAME_HEADER>()?;
        let payload = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        Some(Self { length: FRAME_HEADER + payload, kind, flags, stream: u32::from_be_bytes(stream) & !(1 << 31) })
    }
}

/// What HEADERS holds of its block. None if its padding is longer than it is.
fn fragment(head: Frame, mut payload: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    if head.flags & PADDED != 0 {
        let (length, rest) = payload.split_first()?;
        (padding, payload) = (usize::from(*length), rest);
    }
    if head.flags & PRIORITY != 0 {
        payload = payload.get(PRIORITY_LENGTH..)?;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

/// A block of several frames. None if one of them is another stream's.
fn joined(first: &[u8], mut continuations: &[u8], stream: u32) -> Option<Vec<u8>> {
    let mut block = first.to_vec();
    while !continuations.is_empty() {
        let frame = Frame::first(continuations).filter(|frame| frame.stream == stream)?;
        block.extend_from_slice(continuations.get(FRAME_HEADER..frame.length)?);
        continuations = &continuations[frame.length..];
    }
    Some(block)
}

impl Substitute {
    fn put(&self, bytes: &mut Vec<u8>) {
        let (mut kind, mut flags) = (HEADERS, if self.ends_stream { END_STREAM } else { 0 });
        let mut pieces = self.block.chunks(MAX_PAYLOAD).peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= END_HEADERS;
            }
            bytes.extend_from_slice(&(piece.len() as u32).to_be_bytes()[1..]);
            bytes.extend_from_slice(&[kind, flags]);
            bytes.extend_from_slice(&self.stream.to_be_bytes());
            bytes.extend_from_slice(piece);
            (kind, flags) = (CONTINUATION, 0);
        }
    }
}
