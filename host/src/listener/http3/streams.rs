//! The streams that a client has for itself.

use std::rc::Rc;

use bytes::Bytes;
use plimsoll_http3::{Code, Control, ControlFrame, QpackStream, StreamKind, take_stream_kind};
use quinn::RecvStream;

use super::connection::{Connection, IntoQuic};

/// What the kind of a stream takes at the most.
const KIND_BYTES: usize = 8;

enum Listening {
    Control(Control),
    Qpack(QpackStream),
}

/// Reads a stream that the client has for itself, up to its end.
pub(super) async fn listen(connection: Rc<Connection>, mut stream: RecvStream) {
    if let Err(code) = hear(&connection, &mut stream).await {
        connection.end(code);
    }
}

async fn hear(connection: &Connection, stream: &mut RecvStream) -> Result<(), Code> {
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
        StreamKind::Control => Listening::Control(Control::default()),
        StreamKind::QpackEncoder => Listening::Qpack(QpackStream::encoder()),
        StreamKind::QpackDecoder => Listening::Qpack(QpackStream::decoder()),
        // Section 6.2.2: only servers push.
        StreamKind::Push => return Err(Code::StreamCreationError),
        StreamKind::Unknown => {
            let _ = stream.stop(Code::StreamCreationError.into_quic());
            return Ok(());
        }
    };
    let bit = 1 << kind as u8;
    if connection.client_streams.get() & bit != 0 {
        return Err(Code::StreamCreationError);
    }
    connection.client_streams.set(connection.client_streams.get() | bit);
    loop {
        match &mut listening {
            Listening::Qpack(qpack) => qpack.read(&bytes)?,
            Listening::Control(control) => {
                control.read(&bytes);
                while let Some(frame) = control.take()? {
                    match frame {
                        // What it can take of fields is for answers that are larger than any; what else it says concerns
                        // those that push.
                        ControlFrame::Settings(_) | ControlFrame::GoAway => {}
                    }
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
