use std::future::poll_fn;
use std::task::{Context, Poll};

use plimsoll_fields::Frame;

use super::fault::fault;
use super::opener::Lease;
use super::upload::Upload;
use crate::error::Error;
use crate::io::Http3Message;
use crate::upstream::RequestBody;
use crate::upstream::shared::UploadTask;

/// The body of an answer, with its place on the connection. Dropped before its end, it ends its stream.
#[derive(Debug)]
pub(in crate::upstream) struct AnswerBody {
    message: Http3Message,
    /// Of a request that is still being sent while its answer comes; it ends with the answer.
    upload: Option<UploadTask>,
    /// Our side, once the endpoint has agreed to another protocol.
    open: Option<Upload>,
    _lease: Lease,
}

impl AnswerBody {
    pub(super) fn new(message: Http3Message, lease: Lease) -> Self {
        Self { message, upload: None, open: None, _lease: lease }
    }

    /// Lets an upload go on by itself while the answer streams.
    pub(super) fn upload_aside(&mut self, mut upload: Upload) {
        self.upload = Some(UploadTask::of(async move { poll_fn(|task| upload.poll(task)).await }));
    }

    /// Keeps our side of the stream open for what comes in another protocol.
    pub(super) fn keep_open(&mut self, upload: Upload) {
        self.open = Some(upload);
    }

    /// Sends what the client sends in the protocol that the endpoint has agreed to.
    pub(in crate::upstream) fn begin_tunnel(&mut self, body: RequestBody) {
        if let Some(upload) = self.open.take() {
            self.upload_aside(upload.go_on_with(body));
        }
    }

    /// True once everything has been taken.
    pub(in crate::upstream) fn is_ended(&self) -> bool {
        self.message.is_ended()
    }

    pub(in crate::upstream) fn remaining(&self) -> Option<u64> {
        self.message.remaining()
    }

    /// The next piece; none at the end. What was taken makes room in the stream's window, so that an endpoint sends no faster
    /// than the client reads.
    pub(in crate::upstream) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.message.poll_frame(task).map_err(|unread| fault(&unread))
    }
}
