//! Data from the client (RFC 9113 section 6.1).

use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};

use super::Connection;
use crate::code::Code;
use crate::frame::{self, FrameHeader};

impl Connection {
    pub(super) fn receive_data(&mut self, header: FrameHeader, mut data: BytesMut) -> Result<(), Code> {
        let key = self.begun(header.stream)?;
        let length = data.len();
        if !self.window.receive(length) {
            return Err(Code::FLOW_CONTROL_ERROR);
        }
        let (before, behind) = header.padding(&data)?;
        let Some((key, stream)) = key.and_then(|key| Some((key, self.streams.get_mut(key)?))) else {
            self.take_from_window(length);
            self.refuse_closed(header.stream);
            return Ok(());
        };
        if stream.reset.is_some() || stream.has_received || !stream.window.receive(length) {
            let code = if stream.has_received { Code::STREAM_CLOSED } else { Code::FLOW_CONTROL_ERROR };
            self.take_from_window(length);
            self.reset(key, code);
            return Ok(());
        }
        data.truncate(length - behind);
        data.advance(before);
        let is_last = header.has(frame::END_STREAM);
        if !stream.received.fits(data.len(), is_last) {
            self.take_from_window(length);
            self.reset(key, Code::PROTOCOL_ERROR);
            return Ok(());
        }
        if stream.is_read {
            stream.received.push(data);
            stream.wake_reader();
            self.take(key, before + behind);
        } else {
            self.take_from_window(length);
        }
        if is_last {
            self.end_receiving(key);
        }
        Ok(())
    }

    /// So many bytes of a stream were taken: more may come.
    pub(super) fn take(&mut self, key: usize, length: usize) {
        self.take_from_window(length);
        let Some(stream) = self.streams.get_mut(key) else { return };
        if !stream.has_received
            && stream.is_read
            && let Some(more) = stream.window.take(length)
        {
            let id = stream.id;
            self.output.put(|bytes| frame::put_window_update(bytes, id, more));
            self.wake_owner();
        }
    }

    pub(super) fn take_from_window(&mut self, length: usize) {
        if let Some(more) = self.window.take(length) {
            self.output.put(|bytes| frame::put_window_update(bytes, 0, more));
            self.wake_owner();
        }
    }

    /// The next piece of what comes behind a head; none at its end.
    pub(crate) fn poll_data(&mut self, key: usize, task: &Context<'_>) -> Poll<Option<Result<Bytes, Code>>> {
        let Some(stream) = self.streams.get_mut(key) else { return Poll::Ready(None) };
        if let Some(data) = stream.received.pop() {
            self.take(key, data.len());
            return Poll::Ready(Some(Ok(data.freeze())));
        }
        // What had come is gone, even if it was all.
        if let Some(code) = stream.reset {
            return Poll::Ready(Some(Err(code)));
        }
        if stream.has_received {
            return Poll::Ready(None);
        }
        stream.reader = Some(task.waker().clone());
        Poll::Pending
    }

    /// Somebody reads what comes on a stream.
    pub(crate) fn begin_reading(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.is_read = true;
        stream.users += 1;
    }

    /// Nobody reads it any more.
    pub(crate) fn end_reading(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.is_read = false;
        stream.users -= 1;
        let length = stream.received.clear();
        self.take_from_window(length);
        self.stop_receiving(key);
        self.settle(key);
    }

    /// After the answer nothing more of a request is wanted that nobody reads (section 8.1).
    pub(super) fn stop_receiving(&mut self, key: usize) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.has_sent && !stream.has_received && !stream.is_read {
            self.reset(key, Code::NO_ERROR);
        }
    }
}
