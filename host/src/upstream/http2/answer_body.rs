use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use plimsoll_fields::{Fields, Frame};

use super::connection::broken;
use super::opener::Lease;
use super::upload::Upload;
use crate::error::Error;
use crate::upstream::RequestBody;
use crate::upstream::shared::UploadTask;

/// The body of an answer, with its place on the connection. Dropped before its end, it resets its stream.
#[derive(Debug)]
pub(in crate::upstream) struct AnswerBody {
    stream: RecvStream,
    /// Bytes still to come, if the head has told.
    remaining: Option<u64>,
    data_ended: bool,
    ended: bool,
    /// Of a request that is still being sent while its answer comes; it ends with the answer.
    upload: Option<UploadTask>,
    /// Our side, once the endpoint has agreed to another protocol.
    open: Option<SendStream<Bytes>>,
    _lease: Lease,
}

impl AnswerBody {
    pub(super) fn new(stream: RecvStream, fields: &Fields, lease: Lease) -> Self {
        let ended = stream.is_end_stream();
        let told = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let remaining = if ended { Some(0) } else { told };
        Self { stream, remaining, data_ended: ended, ended, upload: None, open: None, _lease: lease }
    }

    /// Lets an upload go on by itself while the answer streams, as the two directions of a gRPC stream do.
    pub(super) fn upload_aside(&mut self, mut upload: Upload) {
        self.upload = Some(UploadTask::of(async move { poll_fn(|task| upload.poll(task)).await }));
    }

    /// Keeps our side of the stream open for what comes in another protocol.
    pub(super) fn keep_open(&mut self, stream: SendStream<Bytes>) {
        self.remaining = None;
        self.open = Some(stream);
    }

    /// Sends what the client sends in the protocol that the endpoint has agreed to.
    pub(in crate::upstream) fn begin_tunnel(&mut self, body: RequestBody) {
        if let Some(stream) = self.open.take() {
            self.upload_aside(Upload::new(body, stream));
        }
    }

    /// True once everything has been taken.
    pub(in crate::upstream) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(in crate::upstream) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// The next piece; none at the end. What was taken makes room in the stream's window, so that an endpoint sends no
    /// faster than the client reads.
    pub(in crate::upstream) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        while !self.data_ended {
            match ready!(self.stream.poll_data(task)) {
                Some(Ok(data)) => {
                    // It fails for streams that are over, which need no window.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
                    self.ended = self.stream.is_end_stream();
                    self.data_ended = self.ended;
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::Data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => self.data_ended = true,
            }
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.stream.poll_trailers(task));
        self.ended = true;
        Poll::Ready(
            trailers
                .map_err(broken)
                .transpose()
                .map(|trailers| trailers.map(|trailers| Frame::Trailers(trailers.into()))),
        )
    }
}
