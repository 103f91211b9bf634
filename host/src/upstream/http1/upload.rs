use std::io;
use std::task::{Context, Poll, ready};

use plimsoll_fields::{Frame, RequestHead};
use plimsoll_http1::{BodyEncoder, EncodedFraming, request_framing, write_request};
use tokio::io::AsyncWrite;

use crate::downstream::Body;
use crate::error::{Error, ErrorKind};
use crate::io::poll_write_all;
use crate::upstream::RequestBody;

/// A request on its way to the endpoint: its head, and its body at the pace at which the endpoint takes it.
#[derive(Debug)]
pub(super) struct Upload {
    body: RequestBody,
    encoder: BodyEncoder,
    /// Something of the request has been sent.
    began: bool,
}

/// Why an upload ended before its end.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client's side, or a body that is not as long as was said.
    Body(Error),
    /// The endpoint takes no more. It may have answered all the same.
    Socket(io::Error),
}

impl Upload {
    /// Begins with the head. `out` is an empty buffer that was used before.
    pub(super) fn new(head: &RequestHead, body: RequestBody, mut out: Vec<u8>) -> Self {
        let framing = request_framing(head, body.remaining());
        write_request(head, framing, &mut out);
        Self { body, encoder: BodyEncoder::new(out, framing), began: false }
    }

    /// What is sent once the connection is another protocol's: bytes, up to the end of the connection.
    pub(super) fn tunnel(body: RequestBody) -> Self {
        Self { body, encoder: BodyEncoder::new(Vec::new(), EncodedFraming::Close), began: false }
    }

    /// Sends what can be sent; ready once all of it has been.
    pub(super) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut W,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            let gathered = self.gather(task).map_err(UploadError::Body)?;
            let written = poll_write_all(&mut self.encoder, &mut self.began, socket, task);
            ready!(written).map_err(UploadError::Socket)?;
            if self.encoder.is_ended() {
                return Poll::Ready(Ok(()));
            }
            ready!(gathered);
        }
    }

    /// True if nothing at all was sent.
    pub(super) fn is_unsent(&self) -> bool {
        !self.began
    }

    /// The buffer, for the next request.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.encoder.into_buffer()
    }

    /// Takes of the body what there is now; pending when there may be more later.
    fn gather(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.encoder.is_ended() && self.encoder.has_room() {
            let frame = ready!(self.body.poll_frame(task));
            let added = match frame.transpose()? {
                None => self.encoder.end(None),
                Some(Frame::Data(data)) => self.encoder.add(data),
                Some(Frame::Trailers(trailers)) => self.encoder.end(Some(&trailers)),
            };
            added.map_err(|error| Error::new(ErrorKind::ClientAbort, error))?;
        }
        Poll::Ready(Ok(()))
    }
}
