//! What concerns the connection as a whole: SETTINGS, PING, and its end.

use std::collections::VecDeque;

use slab::Slab;

use super::{Connection, Leaving};
use crate::code::Code;
use crate::frame::{self, FrameHeader};
use crate::settings::{ClientSettings, MAX_WINDOW};

/// What is asked behind the first GOAWAY. When it comes back, the client has heard of it.
const HEARD: [u8; 8] = *b"plimsoll";
/// Room for so many streams is kept while there are none.
const FEW_STREAMS: usize = 8;

impl Connection {
    pub(super) fn receive_settings(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Code> {
        if header.stream != 0 {
            return Err(Code::PROTOCOL_ERROR);
        }
        if header.has(frame::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Code::FRAME_SIZE_ERROR) };
        }
        let settings = ClientSettings::read(payload)?;
        self.has_settings = true;
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
        Ok(())
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
