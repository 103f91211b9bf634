//! How streams end (RFC 9113 sections 5.1 and 6.4).

use super::{Connection, Leaving};
use crate::code::Code;
use crate::frame::{self, FrameHeader};

/// How many streams are remembered that were reset from here.
const RESET_LATELY: usize = 32;

impl Connection {
    pub(super) fn receive_priority(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Code> {
        if header.stream == 0 {
            return Err(Code::PROTOCOL_ERROR);
        }
        if payload.len() == 5 {
            return Ok(());
        }
        match self.key_of(header.stream) {
            Some(key) => self.reset(key, Code::FRAME_SIZE_ERROR),
            // An error of a stream that is none (section 6.3).
            None => return Err(Code::FRAME_SIZE_ERROR),
        }
        Ok(())
    }

    pub(super) fn receive_reset(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Code> {
        let code = u32::from_be_bytes(*payload.as_array().ok_or(Code::FRAME_SIZE_ERROR)?);
        if let Some(key) = self.begun(header.stream)? {
            self.break_off(key, Code(code));
        }
        Ok(())
    }

    /// Ends a stream before its time, and tells the client.
    pub(crate) fn reset(&mut self, key: usize, code: Code) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.reset.is_none() {
            self.put_reset(stream.id, code);
            self.break_off(key, code);
        }
    }

    /// A stream has ended before its time.
    pub(super) fn break_off(&mut self, key: usize, code: Code) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.reset.get_or_insert(code);
        stream.wake_reader();
        stream.wake_writer();
        let length = stream.received.clear();
        self.take_from_window(length);
        self.settle(key);
    }

    pub(super) fn end_receiving(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.has_received = true;
        stream.wake_reader();
        self.settle(key);
    }

    /// Forgets a stream that is over, once nobody has to do with it.
    pub(super) fn settle(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.is_closed()) else { return };
        if std::mem::take(&mut stream.is_open) {
            self.open -= 1;
        }
        if stream.users > 0 {
            return;
        }
        let stream = self.streams.remove(key);
        if let Ok(at) = self.keys.binary_search_by_key(&stream.id, |(id, _)| *id) {
            self.keys.remove(at);
        }
        if stream.is_waiting {
            self.waiting.retain(|waiting| *waiting != key);
        }
        if stream.has_turn {
            self.pass_turn();
        }
        if self.streams.is_empty() {
            self.wake_owner();
        }
    }

    /// Something has come on a stream that is over: an error, unless the client could not know.
    pub(super) fn refuse_closed(&mut self, stream: u32) {
        let is_known = match self.leaving {
            Leaving::From(last) if stream > last => true,
            _ => self.reset_lately.contains(&stream),
        };
        if !is_known {
            self.put_reset(stream, Code::STREAM_CLOSED);
        }
    }

    pub(super) fn put_reset(&mut self, stream: u32, code: Code) {
        self.output.put(|bytes| frame::put_reset(bytes, stream, code));
        if self.reset_lately.len() == RESET_LATELY {
            self.reset_lately.pop_front();
        }
        self.reset_lately.push_back(stream);
        self.wake_owner();
    }
}
