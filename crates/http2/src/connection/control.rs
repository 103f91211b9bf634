//! What concerns the connection as a whole: SETTINGS, PING, and its end.

use std::collections::VecDeque;

use slab::Slab;

use super::{Arrival, Connection, Leaving};
use crate::code::Code;
use crate::frame::{self, FrameHeader};
use crate::settings::{ClientSettings, MAX_WINDOW};

/// What is asked behind the first GOAWAY. When it comes back, the client has heard of it.
const HEARD: [u8; 8] = *b"plimsoll";
/// Room for so many streams is kept while there are none.
const FEW_STREAMS: usize = 8;

impl Connection {
    pub(super) fn receive_settings(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Option<Arrival>, Code> {
        if header.stream != 0 {
            return Err(Code::PROTOCOL_ERROR);
        }
        if header.has(frame::ACK) {
            return if payload.is_empty() { Ok(None) } else { Err(Code::FRAME_SIZE_ERROR) };
        }
        let settings = ClientSettings::read(payload)?;
        self.says_no_table |= settings.resizes_table;
        if let Some(window) = settings.initial_window {
            let more = i64::from(window) - self.initial_send_window;
            self.initial_send_window = window.into();
            for (_, stream) in &mut self.streams {
                stream.send_window += more;
                if stream.send_window > MAX_WINDOW.into() {
                    return Err(Code::FLOW_CONTROL_ERROR);
                }
                stream.wake_writer();
            }
        }
        self.output.put(|bytes| frame::put_header(bytes, 0, frame::SETTINGS, frame::ACK, 0));
        let is_first = !std::mem::replace(&mut self.has_settings, true);
        Ok(is_first.then_some(Arrival::Begun))
    }

    pub(super) fn receive_ping(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Code> {
        let content = *payload.as_array().ok_or(Code::FRAME_SIZE_ERROR)?;
        if header.stream != 0 {
            return Err(Code::PROTOCOL_ERROR);
        }
        if !header.has(frame::ACK) {
            self.output.put(|bytes| frame::put_ping(bytes, frame::ACK, content));
        } else if content == HEARD && self.leaving == Leaving::Told {
            let last = self.last_stream;
            self.leaving = Leaving::From(last);
            self.output.put(|bytes| frame::put_goaway(bytes, last, Code::NO_ERROR));
        }
        Ok(())
    }

    /// Tells the client that the connection ends when what it has begun is answered.
    pub(crate) fn leave(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Told;
            self.output.put(|bytes| {
                frame::put_goaway(bytes, MAX_WINDOW, Code::NO_ERROR);
                frame::put_ping(bytes, 0, HEARD);
            });
        }
    }

    /// Either side has said that it ends, and nothing is under way.
    pub(crate) fn is_over(&self) -> bool {
        self.streams.is_empty() && (self.client_leaves || matches!(self.leaving, Leaving::From(_)))
    }

    /// Ends the connection, and tells the client.
    pub(crate) fn abort(&mut self, code: Code) {
        let last = self.last_stream;
        self.output.put(|bytes| frame::put_goaway(bytes, last, code));
        self.disconnect();
    }

    /// The client is gone.
    pub(crate) fn disconnect(&mut self) {
        self.owner = None;
        let keys: Vec<usize> = self.streams.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.break_off(key, Code::CANCEL);
        }
    }

    /// Gives up memory that nothing needs now.
    pub(crate) fn rest(&mut self) {
        if self.streams.is_empty() {
            self.output.settle();
            self.decoder.settle();
            if self.streams.capacity() > FEW_STREAMS {
                (self.streams, self.keys, self.waiting) = (Slab::new(), Vec::new(), VecDeque::new());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::connection::Limits;

    #[test]
    fn a_connection_at_rest_keeps_no_room_for_streams_that_it_had() {
        let mut connection = Connection::new(Limits {
            header_bytes: 1024,
            block_bytes: 2048,
            concurrent_streams: 100,
            stream_window: 65_535,
            connection_window: 65_535,
            unsent_bytes: 65_536,
            extended_connect: false,
        });
        let begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let mut input = BytesMut::from(&begin[..]);
        for stream in (1_u32..200).step_by(2) {
            input.extend_from_slice(&[0, 0, 3, frame::HEADERS, 5]);
            input.extend_from_slice(&stream.to_be_bytes());
            input.extend_from_slice(&[0x82, 0x86, 0x84]);
        }
        let mut keys = Vec::new();
        while let Some(arrival) = connection.receive(&mut input).expect("good requests") {
            keys.extend(if let Arrival::Request(key, _) = arrival { Some(key) } else { None });
        }
        assert!(keys.len() == 100 && connection.streams.capacity() >= 100);
        connection.rest();
        assert!(connection.streams.capacity() >= 100, "they are under way");
        keys.into_iter().for_each(|key| connection.end_answering(key));
        connection.sent(connection.output.len());
        connection.rest();
        assert!(connection.streams.capacity() + connection.keys.capacity() <= FEW_STREAMS);
    }
}
