use std::cell::Cell;

use bytes::Bytes;
use plimsoll_http3::{Code, Control, ControlFrame, QpackStream, Side, StreamKind, take_stream_kind};
use quinn::RecvStream;

use super::code::IntoQuic;

/// What the kind of a stream takes at the most.
const KIND_BYTES: usize = 8;

/// Streams that the other side has for itself, of some of which there may be one only.
#[derive(Debug)]
pub struct PeerStreams {
    side: Side,
    /// A bit for each kind that was there.
    seen: Cell<u8>,
}

enum Listening {
    Control(Control),
    Qpack(QpackStream),
}

impl PeerStreams {
    /// Of a connection whose other side this is.
    pub fn of(side: Side) -> Self {
        Self { side, seen: Cell::new(0) }
    }

    fn note(&self, kind: StreamKind) -> Result<(), Code> {
        let (seen, bit) = (self.seen.get(), 1 << kind as u8);
        self.seen.set(seen | bit);
        if seen & bit == 0 { Ok(()) } else { Err(Code::StreamCreationError) }
    }
}

/// Reads a stream that the other side has for itself, up to its end; `told` hears what it says on its control stream. The error is
/// why the connection has to end.
pub async fn hear(streams: &PeerStreams, stream: &mut RecvStream, told: impl Fn(ControlFrame)) -> Result<(), Code> {
    let mut begun = Vec::new();
    let (kind, mut bytes) = loop {
        let mut rest = &begun[..];
        if let Some(kind) = take_stream_kind(&mut rest) {
            break (kind, Bytes::copy_from_slice(rest));
        }
        match stream.read_chunk(KIND_BYTES - begun.len(), true).await {
            Ok(Some(chunk)) => begun.extend_from_slice(&chunk.bytes),
            // RFC 9114 section 6.2: one that ends before it says what it is for is no error.
            Ok(None) | Err(_) => return Ok(()),
        }
    };
    let mut listening = match kind {
        StreamKind::Control => Listening::Control(Control::new(streams.side)),
        StreamKind::QpackEncoder => Listening::Qpack(QpackStream::encoder()),
        StreamKind::QpackDecoder => Listening::Qpack(QpackStream::decoder()),
        // Section 6.2.2: only servers push, and only where they may.
        StreamKind::Push => {
            return Err(match streams.side {
                Side::Client => Code::StreamCreationError,
                Side::Server => Code::IdError,
            });
        }
        StreamKind::Unknown => {
            let _ = stream.stop(Code::StreamCreationError.into_quic());
            return Ok(());
        }
    };
    streams.note(kind)?;
    loop {
        match &mut listening {
            Listening::Qpack(qpack) => qpack.read(&bytes)?,
            Listening::Control(control) => {
                control.read(&bytes);
                while let Some(frame) = control.take()? {
                    told(frame);
                }
            }
        }
        match stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => bytes = chunk.bytes,
            Ok(None) | Err(quinn::ReadError::Reset(_)) => return Err(Code::ClosedCriticalStream),
            Err(_) => return Ok(()),
        }
    }
}
