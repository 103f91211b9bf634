//! Types of frames (RFC 9114 section 7.2), and frames to be sent.

use bytes::BufMut;

use crate::settings::Settings;
use crate::varint;

/// What a frame is, as far as it matters where it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    CancelPush,
    Settings,
    PushPromise,
    GoAway,
    MaxPushId,
    /// RFC 9218 section 7.2: how urgent a request, or a push, is.
    PriorityUpdate,
    /// Of HTTP/2, and an error here (section 7.2.8).
    Reserved,
    Unknown,
}

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const SETTINGS: u64 = 0x4;
const GOAWAY: u64 = 0x7;

impl Kind {
    pub(crate) fn of(number: u64) -> Self {
        match number {
            DATA => Self::Data,
            HEADERS => Self::Headers,
            0x3 => Self::CancelPush,
            SETTINGS => Self::Settings,
            0x5 => Self::PushPromise,
            GOAWAY => Self::GoAway,
            0xd => Self::MaxPushId,
            0xf0700 | 0xf0701 => Self::PriorityUpdate,
            0x2 | 0x6 | 0x8 | 0x9 => Self::Reserved,
            _ => Self::Unknown,
        }
    }
}

/// Takes type and length of a frame. None, and nothing is taken, while they are not whole.
pub(crate) fn take_header(bytes: &mut &[u8]) -> Option<(Kind, u64)> {
    let mut rest = *bytes;
    let kind = Kind::of(varint::take(&mut rest)?);
    let length = varint::take(&mut rest)?;
    *bytes = rest;
    Some((kind, length))
}

/// Appends what stands before so many bytes of a body.
pub fn put_data_header(bytes: &mut impl BufMut, length: usize) {
    varint::put(bytes, DATA);
    varint::put(bytes, length as u64);
}

/// Appends a HEADERS frame with this field section.
pub fn put_section(bytes: &mut impl BufMut, section: &[u8]) {
    varint::put(bytes, HEADERS);
    varint::put(bytes, section.len() as u64);
    bytes.put_slice(section);
}

/// Appends what a control stream begins with.
pub fn put_settings(bytes: &mut impl BufMut, settings: &Settings) {
    let mut payload = Vec::new();
    settings.put(&mut payload);
    // The type of the stream.
    varint::put(bytes, 0);
    varint::put(bytes, SETTINGS);
    varint::put(bytes, payload.len() as u64);
    bytes.put_slice(&payload);
}

/// Appends that no request from the stream of this number on is taken.
pub fn put_goaway(bytes: &mut impl BufMut, stream: u64) {
    let mut payload = Vec::new();
    varint::put(&mut payload, stream);
    varint::put(bytes, GOAWAY);
    varint::put(bytes, payload.len() as u64);
    bytes.put_slice(&payload);
}
