use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use plimsoll_fields::Frame;
use plimsoll_http3::{Code, encode_trailers, put_data_header, put_section};
use quinn::SendStream;

use crate::downstream::Body;
use crate::io::IntoQuic;
use crate::upstream::RequestBody;
use crate::upstream::shared::{UploadError, request_head};

/// A request on its way to the endpoint, head and body, at the pace at which the endpoint makes room. Dropped before its end, it
/// resets its stream, so that what was sent does not look whole.
#[derive(Debug)]
pub(super) struct Upload {
    stream: SendStream,
    body: RequestBody,
    /// What goes before the next piece, and the piece.
    unsent: [Bytes; 2],
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// More is to come of the body.
    Open,
    /// What is there is the last.
    Last,
    Finished,
}

impl Upload {
    /// `section` is the head.
    pub(super) fn new(stream: SendStream, section: &[u8], body: RequestBody) -> Self {
        let mut head = BytesMut::with_capacity(section.len() + 16);
        put_section(&mut head, section);
        let progress = if body.is_ended() { Progress::Last } else { Progress::Open };
        Self { stream, body, unsent: [head.freeze(), Bytes::new()], progress }
    }

    /// The same for a head that another protocol follows, of which nothing is to be sent yet.
    pub(super) fn of_head(stream: SendStream, section: &[u8]) -> Self {
        let mut upload = Self::new(stream, section, RequestBody::empty());
        upload.progress = Progress::Open;
        upload
    }

    /// What follows is this.
    pub(super) fn go_on_with(mut self, body: RequestBody) -> Self {
        self.progress = if body.is_ended() { Progress::Last } else { Progress::Open };
        self.body = body;
        self
    }

    /// Nothing follows.
    pub(super) fn finish(&mut self) {
        if self.progress != Progress::Finished {
            self.progress = Progress::Finished;
            // It may be over.
            let _ = self.stream.finish();
        }
    }

    /// Sends what can be sent; ready once all of it has been.
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        loop {
            ready!(self.poll_send(task))?;
            if self.progress != Progress::Open {
                self.finish();
                return Poll::Ready(Ok(()));
            }
            match ready!(self.body.poll_frame(task)) {
                None => self.progress = Progress::Last,
                Some(Ok(Frame::Data(data))) if data.is_empty() => {}
                Some(Ok(Frame::Data(data))) => {
                    let mut header = BytesMut::with_capacity(16);
                    put_data_header(&mut header, data.len());
                    self.unsent = [header.freeze(), data];
                    if self.body.is_ended() {
                        self.progress = Progress::Last;
                    }
                }
                Some(Ok(Frame::Trailers(mut trailers))) => {
                    request_head::remove_connection_specific(&mut trailers);
                    let (mut section, mut bytes) = (Vec::new(), BytesMut::new());
                    encode_trailers(&trailers, &mut section);
                    put_section(&mut bytes, &section);
                    self.unsent = [bytes.freeze(), Bytes::new()];
                    self.progress = Progress::Last;
                }
                Some(Err(error)) => return Poll::Ready(Err(UploadError::Body(error))),
            }
        }
    }

    /// Sends what is there.
    pub(super) fn poll_send(&mut self, task: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        while self.unsent.iter().any(|chunk| !chunk.is_empty()) {
            let written = ready!(pin!(self.stream.write_chunks(&mut self.unsent)).poll(task));
            written.map_err(|_| UploadError::Stream)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.progress != Progress::Finished {
            // It may be over.
            let _ = self.stream.reset(Code::RequestCancelled.into_quic());
        }
    }
}
