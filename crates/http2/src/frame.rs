//! Frames (RFC 9113 sections 4 and 6).

use crate::code::Code;

pub(crate) const HEADER: usize = 9;
/// The largest payload that may be sent to anybody who has not asked for more (SETTINGS_MAX_FRAME_SIZE). Nobody is asked for more
/// here, and nobody is sent more: what is larger lets other streams wait.
pub(crate) const MAX_PAYLOAD: usize = 16_384;

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PUSH_PROMISE: u8 = 0x5;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const HAS_PRIORITY: u8 = 0x20;

const PRIORITY_LENGTH: usize = 5;

/// What a frame begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHeader {
    /// Of the payload.
    pub(crate) length: usize,
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
}

impl FrameHeader {
    pub(crate) fn first(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<HEADER>()?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        Some(Self { length, kind, flags, stream: u32::from_be_bytes(stream) & !(1 << 31) })
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// How much stands before and behind what DATA and HEADERS are for (sections 6.1 and 6.2).
    pub(crate) fn padding(&self, payload: &[u8]) -> Result<(usize, usize), Code> {
        let (mut before, mut behind) = (0, 0);
        if self.has(PADDED) {
            behind = usize::from(*payload.first().ok_or(Code::FRAME_SIZE_ERROR)?);
            before = 1;
        }
        if self.kind == HEADERS && self.has(HAS_PRIORITY) {
            before += PRIORITY_LENGTH;
        }
        if before + behind > payload.len() {
            return Err(Code::PROTOCOL_ERROR);
        }
        Ok((before, behind))
    }
}

pub(crate) fn put_header(bytes: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    bytes.extend_from_slice(&[high, middle, low, kind, flags, a, b, c, d]);
}

pub(crate) fn put_reset(bytes: &mut Vec<u8>, stream: u32, code: Code) {
    put_header(bytes, 4, RST_STREAM, 0, stream);
    bytes.extend_from_slice(&code.0.to_be_bytes());
}

pub(crate) fn put_window_update(bytes: &mut Vec<u8>, stream: u32, increment: u32) {
    put_header(bytes, 4, WINDOW_UPDATE, 0, stream);
    bytes.extend_from_slice(&increment.to_be_bytes());
}

pub(crate) fn put_ping(bytes: &mut Vec<u8>, flags: u8, content: [u8; 8]) {
    put_header(bytes, 8, PING, flags, 0);
    bytes.extend_from_slice(&content);
}

pub(crate) fn put_goaway(bytes: &mut Vec<u8>, last_stream: u32, code: Code) {
    put_header(bytes, 8, GOAWAY, 0, 0);
    bytes.extend_from_slice(&last_stream.to_be_bytes());
    bytes.extend_from_slice(&code.0.to_be_bytes());
}
