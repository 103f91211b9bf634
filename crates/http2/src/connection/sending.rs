//! Answers, and whose turn it is to send.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use plimsoll_fields::Fields;

use super::Connection;
use crate::code::Code;
use crate::encoder;
use crate::frame::{self, FrameHeader, MAX_PAYLOAD};
use crate::settings::MAX_WINDOW;

impl Connection {
    pub(super) fn receive_window_update(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Code> {
        let more = u32::from_be_bytes(*payload.as_array().ok_or(Code::FRAME_SIZE_ERROR)?) & MAX_WINDOW;
        if header.stream == 0 {
            self.send_window += i64::from(more);
            if more == 0 {
                return Err(Code::PROTOCOL_ERROR);
            }
            if self.send_window > MAX_WINDOW.into() {
                return Err(Code::FLOW_CONTROL_ERROR);
            }
            self.pass_turn();
            return Ok(());
        }
        let Some(key) = self.begun(header.stream)? else { return Ok(()) };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        stream.send_window += i64::from(more);
        if more == 0 || stream.send_window > MAX_WINDOW.into() {
            self.reset(key, if more == 0 { Code::PROTOCOL_ERROR } else { Code::FLOW_CONTROL_ERROR });
        } else {
            stream.wake_writer();
        }
        Ok(())
    }

    /// Sends a head, an answer's or one in advance.
    pub(crate) fn send_head(&mut self, key: usize, status: StatusCode, fields: &Fields, ends: bool) {
        self.send_block(key, ends, |block| encoder::put_response(block, status, fields));
    }

    pub(crate) fn send_trailers(&mut self, key: usize, fields: &Fields) {
        self.send_block(key, true, |block| encoder::put_fields(block, fields));
    }

    pub(super) fn send_block(&mut self, key: usize, ends: bool, put: impl FnOnce(&mut Vec<u8>)) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.reset.is_none() && !stream.has_sent) else {
            return;
        };
        let id = stream.id;
        let says_no_table = std::mem::take(&mut self.says_no_table);
        let end_stream = if ends { frame::END_STREAM } else { 0 };
        self.output.put(|bytes| {
            let begin = bytes.len();
            frame::put_header(bytes, 0, frame::HEADERS, frame::END_HEADERS | end_stream, id);
            if says_no_table {
                encoder::put_no_table(bytes);
            }
            put(bytes);
            let length = bytes.len() - begin - frame::HEADER;
            if length <= MAX_PAYLOAD {
                let [_, length @ ..] = (length as u32).to_be_bytes();
                bytes[begin..begin + length.len()].copy_from_slice(&length);
            } else {
                let block = bytes.split_off(begin + frame::HEADER);
                bytes.truncate(begin);
                put_long_block(bytes, id, end_stream, &block);
            }
        });
        if ends {
            self.end_sending(key);
        }
        self.wake_owner();
    }

    /// Sends as much of `data` as may go now, and forgets it; ready when that was any of it.
    pub(crate) fn poll_send(
        &mut self,
        key: usize,
        data: &mut Bytes,
        ends: bool,
        task: &Context<'_>,
    ) -> Poll<Result<(), Code>> {
        let has_room = self.has_room();
        let Some(stream) = self.streams.get_mut(key) else { return Poll::Ready(Err(Code::INTERNAL_ERROR)) };
        if let Some(code) = stream.reset {
            return Poll::Ready(Err(code));
        }
        let has_turn = std::mem::take(&mut stream.has_turn);
        if !data.is_empty() {
            if stream.send_window <= 0 {
                stream.writer = Some(task.waker().clone());
                if has_turn {
                    self.pass_turn();
                }
                return Poll::Pending;
            }
            if !has_room || (!has_turn && !self.waiting.is_empty()) {
                stream.writer = Some(task.waker().clone());
                if !std::mem::replace(&mut stream.is_waiting, true) {
                    if has_turn { self.waiting.push_front(key) } else { self.waiting.push_back(key) }
                }
                return Poll::Pending;
            }
        }
        let id = stream.id;
        loop {
            let window = stream.send_window.min(self.send_window).max(0) as usize;
            let length = data.len().min(window).min(MAX_PAYLOAD);
            let is_last = ends && length == data.len();
            if length == 0 && !is_last {
                break;
            }
            let flags = if is_last { frame::END_STREAM } else { 0 };
            self.output.put(|bytes| frame::put_header(bytes, length, frame::DATA, flags, id));
            self.output.push(data.split_to(length));
            self.send_window -= length as i64;
            stream.send_window -= length as i64;
            if is_last {
                self.end_sending(key);
                break;
            }
            if data.is_empty() || self.output.len() >= self.limits.unsent_bytes {
                break;
            }
        }
        self.pass_turn();
        self.wake_owner();
        Poll::Ready(Ok(()))
    }

    pub(super) fn has_room(&self) -> bool {
        self.send_window > 0 && self.output.len() < self.limits.unsent_bytes
    }

    /// Lets the next stream send that waits for its turn, if there is room.
    pub(super) fn pass_turn(&mut self) {
        if self.waiting.is_empty() || !self.has_room() {
            return;
        }
        if let Some(stream) = self.waiting.pop_front().and_then(|key| self.streams.get_mut(key)) {
            stream.is_waiting = false;
            stream.has_turn = true;
            stream.wake_writer();
        }
    }

    /// So much of the output has been sent.
    pub(crate) fn sent(&mut self, length: usize) {
        self.output.advance(length);
        self.pass_turn();
    }

    pub(super) fn end_sending(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.has_sent = true;
        self.stop_receiving(key);
        self.settle(key);
    }

    /// Ready when a stream has ended before its time.
    pub(crate) fn poll_reset(&mut self, key: usize, task: &Context<'_>) -> Poll<Code> {
        let Some(stream) = self.streams.get_mut(key) else { return Poll::Pending };
        if let Some(code) = stream.reset {
            return Poll::Ready(code);
        }
        match &mut stream.writer {
            Some(writer) => writer.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
        Poll::Pending
    }

    /// Nobody answers a stream any more.
    pub(crate) fn end_answering(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.users -= 1;
        if !stream.has_sent {
            self.reset(key, Code::CANCEL);
        }
        self.settle(key);
    }
}

/// A block that does not fit into one frame.
fn put_long_block(bytes: &mut Vec<u8>, stream: u32, mut flags: u8, block: &[u8]) {
    let mut kind = frame::HEADERS;
    let mut pieces = block.chunks(MAX_PAYLOAD).peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= frame::END_HEADERS;
        }
        frame::put_header(bytes, piece.len(), kind, flags, stream);
        bytes.extend_from_slice(piece);
        (kind, flags) = (frame::CONTINUATION, 0);
    }
}
