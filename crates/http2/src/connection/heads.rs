//! Heads of requests, and trailers (RFC 9113 section 8.1).

use http::header::CONTENT_LENGTH;
use plimsoll_fields::{HeadError, Malformed};

use super::{Arrival, Block, Connection, Leaving};
use crate::code::Code;
use crate::flow::ReceiveWindow;
use crate::frame::{self, FrameHeader};
use crate::stream::Stream;

impl Connection {
    pub(super) fn receive_headers(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Option<Arrival>, Code> {
        if header.stream.is_multiple_of(2) {
            return Err(Code::PROTOCOL_ERROR);
        }
        let (before, behind) = header.padding(payload)?;
        let fragment = &payload[before..payload.len() - behind];
        let is_last = header.has(frame::END_STREAM);
        if header.has(frame::END_HEADERS) {
            return self.receive_block(header.stream, is_last, fragment);
        }
        let block = Block { stream: header.stream, is_last, bytes: fragment.to_vec(), length: payload.len() };
        self.block = Some(block);
        Ok(None)
    }

    pub(super) fn receive_continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Arrival>, Code> {
        let Some(mut block) = self.block.take().filter(|block| block.stream == header.stream) else {
            return Err(Code::PROTOCOL_ERROR);
        };
        block.length += frame::HEADER + payload.len();
        if block.length > self.limits.block_bytes {
            return Err(Code::ENHANCE_YOUR_CALM);
        }
        block.bytes.extend_from_slice(payload);
        if header.has(frame::END_HEADERS) {
            return self.receive_block(block.stream, block.is_last, &block.bytes);
        }
        self.block = Some(block);
        Ok(None)
    }

    pub(super) fn receive_block(&mut self, stream: u32, is_last: bool, block: &[u8]) -> Result<Option<Arrival>, Code> {
        if stream > self.last_stream {
            return self.receive_head(stream, is_last, block);
        }
        match self.key_of(stream) {
            Some(key) => self.receive_trailers(key, is_last, block),
            None => {
                self.skip(block)?;
                self.refuse_closed(stream);
                Ok(None)
            }
        }
    }

    pub(super) fn receive_head(&mut self, stream: u32, is_last: bool, block: &[u8]) -> Result<Option<Arrival>, Code> {
        self.last_stream = stream;
        if matches!(self.leaving, Leaving::From(_)) {
            // The client has been told that it is not taken.
            return self.skip(block).map(|()| None);
        }
        // Of those that it has given up, some may not have heard of it yet.
        let most = self.limits.concurrent_streams;
        if self.open >= most || self.streams.len() >= (most as usize).saturating_mul(2) {
            self.skip(block)?;
            self.put_reset(stream, Code::REFUSED_STREAM);
            return Ok(None);
        }
        let head = match self.decoder.read_request(block) {
            Ok(head) => Some(Box::new(head)),
            Err(HeadError::TooLarge) => None,
            Err(HeadError::Undecodable) => return Err(Code::COMPRESSION_ERROR),
            Err(HeadError::Malformed(malformed)) => {
                self.put_reset(stream, Code::PROTOCOL_ERROR);
                return Ok(Some(Arrival::Malformed(malformed)));
            }
        };
        // Whether it is a length is judged with the rest of the head.
        let length = head.as_ref().and_then(|head| head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok());
        if is_last && length.is_some_and(|length: u64| length > 0) {
            self.put_reset(stream, Code::PROTOCOL_ERROR);
            return Ok(Some(Arrival::Malformed(Malformed::Length)));
        }
        let window = ReceiveWindow::new(self.limits.stream_window);
        let mut begun = Stream::new(stream, self.initial_send_window, window);
        begun.has_received = is_last;
        begun.received.remaining = length;
        let key = self.streams.insert(begun);
        self.keys.push((stream, key));
        self.open += 1;
        Ok(Some(Arrival::Request(key, head)))
    }

    pub(super) fn receive_trailers(
        &mut self,
        key: usize,
        is_last: bool,
        block: &[u8],
    ) -> Result<Option<Arrival>, Code> {
        let trailers = match self.decoder.read_trailers(block) {
            Err(HeadError::Undecodable) => return Err(Code::COMPRESSION_ERROR),
            trailers => trailers,
        };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(None) };
        if stream.reset.is_some() {
            return Ok(None);
        }
        if stream.has_received {
            self.reset(key, Code::STREAM_CLOSED);
            return Ok(None);
        }
        match trailers {
            // Section 8.1: nothing but the end may follow, nor may what was said to come be missing.
            Ok(trailers) if is_last && stream.received.remaining.unwrap_or(0) == 0 => {
                if !trailers.is_empty() {
                    stream.received.trailers = Some(trailers);
                }
                self.end_receiving(key);
                Ok(None)
            }
            wrong => {
                self.reset(key, Code::PROTOCOL_ERROR);
                Ok(match wrong {
                    Err(HeadError::Malformed(malformed)) => Some(Arrival::Malformed(malformed)),
                    _ => None,
                })
            }
        }
    }

    /// Reads a block that nobody wants, since those that follow depend on it.
    pub(super) fn skip(&mut self, block: &[u8]) -> Result<(), Code> {
        self.decoder.skip(block).map_err(|_| Code::COMPRESSION_ERROR)
    }
}
