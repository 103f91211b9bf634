mod control;
mod ends;
mod heads;
mod receiving;
mod sending;

use std::collections::VecDeque;
use std::task::{Context, Waker};

use bytes::{Buf, BytesMut};
use plimsoll_fields::{Malformed, RequestHead};
use slab::Slab;

use crate::code::Code;
use crate::decoder::Decoder;
use crate::flow::ReceiveWindow;
use crate::frame::{self, FrameHeader, MAX_PAYLOAD};
use crate::output::Output;
use crate::settings::{DEFAULT_WINDOW, OwnSettings};
use crate::stream::Stream;

/// What a client may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The fields of a head or of trailers, counted with 32 bytes for each.
    pub header_bytes: usize,
    /// A block of them as it is sent. A head that is between both is refused; a client that sends more is let go.
    pub block_bytes: usize,
    /// Streams at the same time.
    pub concurrent_streams: u32,
    /// What may come of a stream before it was taken, in bytes.
    pub stream_window: u32,
    /// The same for all of them together.
    pub connection_window: u32,
    /// What may wait to be sent before streams that send data wait for their turn, in bytes.
    pub unsent_bytes: usize,
    /// Whether other protocols may be asked for (RFC 8441).
    pub extended_connect: bool,
}

/// What has come.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// The client's first SETTINGS.
    Begun,
    /// A request; of none whose head is too large there is a head.
    Request(usize, Option<Box<RequestHead>>),
    /// A malformed request or malformed trailers, whose stream has been reset.
    Malformed(Malformed),
}

/// A connection with a client.
#[derive(Debug)]
pub(crate) struct Connection {
    limits: Limits,
    preface_left: &'static [u8],
    has_settings: bool,
    block: Option<Block>,
    decoder: Decoder,
    pub(crate) streams: Slab<Stream>,
    /// Where streams are, in the order of their numbers.
    keys: Vec<(u32, usize)>,
    /// The last stream that the client has begun.
    last_stream: u32,
    /// How many of the streams count against the limit.
    open: u32,
    /// Streams that were reset from here lately: what comes on them was on the way.
    reset_lately: VecDeque<u32>,
    window: ReceiveWindow,
    /// How much more the client takes of all streams together, in bytes.
    send_window: i64,
    initial_send_window: i64,
    pub(crate) output: Output,
    /// Streams that wait for their turn to send data.
    waiting: VecDeque<usize>,
    leaving: Leaving,
    /// The client begins nothing new.
    client_leaves: bool,
    /// The next block says that it needs no table.
    says_no_table: bool,
    owner: Option<Waker>,
    /// The owner has been woken since it was here last.
    is_owner_awake: bool,
}

/// A header block of which not all has come.
#[derive(Debug)]
struct Block {
    stream: u32,
    is_last: bool,
    bytes: Vec<u8>,
    /// With the frames that it came in.
    length: usize,
}

/// How far the connection is from its end (RFC 9113 section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client has been told; what it has begun before it heard of it is taken.
    Told,
    /// Nothing is taken above this stream.
    From(u32),
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Connection {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut output = Output::default();
        output.put(|bytes| {
            let settings = OwnSettings {
                concurrent_streams: limits.concurrent_streams,
                initial_window: limits.stream_window,
                header_bytes: u32::try_from(limits.header_bytes).unwrap_or(u32::MAX),
                extended_connect: limits.extended_connect,
            };
            settings.put(bytes);
            if let Some(more) = limits.connection_window.checked_sub(DEFAULT_WINDOW).filter(|more| *more > 0) {
                frame::put_window_update(bytes, 0, more);
            }
        });
        Self {
            limits,
            preface_left: PREFACE,
            has_settings: false,
            block: None,
            decoder: Decoder::new(limits.header_bytes),
            streams: Slab::new(),
            keys: Vec::new(),
            last_stream: 0,
            open: 0,
            reset_lately: VecDeque::new(),
            window: ReceiveWindow::new(limits.connection_window.max(DEFAULT_WINDOW)),
            send_window: DEFAULT_WINDOW.into(),
            initial_send_window: DEFAULT_WINDOW.into(),
            output,
            waiting: VecDeque::new(),
            leaving: Leaving::No,
            client_leaves: false,
            says_no_table: false,
            owner: None,
            is_owner_awake: false,
        }
    }

    /// The owner is here, and is to be woken when there is more to send or nothing more to do.
    pub(crate) fn attend(&mut self, task: &Context<'_>) {
        self.is_owner_awake = false;
        match &mut self.owner {
            Some(owner) => owner.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
    }

    fn wake_owner(&mut self) {
        if !std::mem::replace(&mut self.is_owner_awake, true)
            && let Some(owner) = &self.owner
        {
            owner.wake_by_ref();
        }
    }

    /// A head has begun, of which `input` is what is left, and is not whole.
    pub(crate) fn is_in_head(&self, input: &[u8]) -> bool {
        self.block.is_some() || FrameHeader::first(input).is_some_and(|header| header.kind == frame::HEADERS)
    }

    /// Takes the whole frames at the beginning of `input`, up to one that something comes of. What it fails with ends the connection.
    pub(crate) fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Arrival>, Code> {
        if !self.preface_left.is_empty() {
            let count = self.preface_left.len().min(input.len());
            let (wanted, left) = self.preface_left.split_at(count);
            if input[..count] != *wanted {
                return Err(Code::PROTOCOL_ERROR);
            }
            input.advance(count);
            self.preface_left = left;
        }
        while let Some(header) = FrameHeader::first(input) {
            if header.length > MAX_PAYLOAD {
                return Err(Code::FRAME_SIZE_ERROR);
            }
            let length = frame::HEADER + header.length;
            if input.len() < length {
                break;
            }
            let in_block = self.block.is_some();
            if (header.kind == frame::CONTINUATION) != in_block
                || (!self.has_settings && header.kind != frame::SETTINGS)
            {
                return Err(Code::PROTOCOL_ERROR);
            }
            if header.kind == frame::DATA {
                let mut data = input.split_to(length);
                data.advance(frame::HEADER);
                self.receive_data(header, data)?;
                continue;
            }
            let arrival = self.receive_frame(header, &input[frame::HEADER..length])?;
            input.advance(length);
            if arrival.is_some() {
                return Ok(arrival);
            }
        }
        Ok(None)
    }

    fn receive_frame(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Option<Arrival>, Code> {
        match header.kind {
            frame::HEADERS => return self.receive_headers(header, payload),
            frame::CONTINUATION => return self.receive_continuation(header, payload),
            frame::PRIORITY => self.receive_priority(header, payload)?,
            frame::RST_STREAM => self.receive_reset(header, payload)?,
            frame::SETTINGS => return self.receive_settings(header, payload),
            frame::PUSH_PROMISE => return Err(Code::PROTOCOL_ERROR),
            frame::PING => self.receive_ping(header, payload)?,
            frame::GOAWAY if header.stream != 0 => return Err(Code::PROTOCOL_ERROR),
            frame::GOAWAY if payload.len() < 8 => return Err(Code::FRAME_SIZE_ERROR),
            frame::GOAWAY => self.client_leaves = true,
            frame::WINDOW_UPDATE => self.receive_window_update(header, payload)?,
            // Section 5.5.
            _ => {}
        }
        Ok(None)
    }

    fn key_of(&self, stream: u32) -> Option<usize> {
        let at = self.keys.binary_search_by_key(&stream, |(id, _)| *id).ok()?;
        self.keys.get(at).map(|(_, key)| *key)
    }

    /// The stream of a frame that may not come on one that has not begun (section 5.1).
    fn begun(&self, stream: u32) -> Result<Option<usize>, Code> {
        if stream == 0 || stream > self.last_stream || stream.is_multiple_of(2) {
            return Err(Code::PROTOCOL_ERROR);
        }
        Ok(self.key_of(stream))
    }
}
