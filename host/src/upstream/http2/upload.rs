use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use plimsoll_fields::{Fields, Frame};

use crate::downstream::Body;
use crate::upstream::RequestBody;
use crate::upstream::shared::{UploadError, request_head};

/// A request's body on its way to the endpoint, at the pace at which the endpoint opens its windows.
#[derive(Debug)]
pub(super) struct Upload {
    body: RequestBody,
    stream: SendStream<Bytes>,
    /// Taken from the body, and not sent yet.
    piece: Bytes,
    ended: bool,
}

impl Upload {
    /// The head of the request has been sent on `stream`.
    pub(super) fn new(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        let ended = body.is_ended();
        Self { body, stream, piece: Bytes::new(), ended }
    }

    /// Sends what can be sent; ready once all of it has been.
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        loop {
            ready!(self.poll_send(task))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.body.poll_frame(task)) {
                None => self.send(Bytes::new(), true)?,
                Some(Ok(Frame::Data(data))) => self.piece = data,
                Some(Ok(Frame::Trailers(trailers))) => self.end_with(trailers)?,
                Some(Err(error)) => return Poll::Ready(Err(UploadError::Body(error))),
            }
        }
    }

    /// Sends the piece that is there.
    fn poll_send(&mut self, task: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        while !self.piece.is_empty() {
            self.stream.reserve_capacity(self.piece.len());
            // It tells of capacity that is new, not of what is there.
            while self.stream.capacity() == 0 {
                match ready!(self.stream.poll_capacity(task)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(UploadError::Stream)),
                }
            }
            let part = self.piece.split_to(self.stream.capacity().min(self.piece.len()));
            let is_last = self.piece.is_empty() && self.body.is_ended();
            self.send(part, is_last)?;
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, data: Bytes, is_last: bool) -> Result<(), UploadError> {
        self.ended = is_last;
        self.stream.send_data(data, is_last).map_err(|_| UploadError::Stream)
    }

    fn end_with(&mut self, mut trailers: Fields) -> Result<(), UploadError> {
        request_head::remove_connection_specific(&mut trailers);
        self.ended = true;
        self.stream.send_trailers(trailers.into()).map_err(|_| UploadError::Stream)
    }
}
