use std::future::Future;

use tokio::task::JoinHandle;

use crate::error::Error;

/// Heads of 1xx before the answer proper.
pub(in crate::upstream) const INFORMATIONAL: usize = 32;

/// A request without an answer.
#[derive(Debug)]
pub(in crate::upstream) struct Failure {
    pub(in crate::upstream) error: Error,
    /// The endpoint has acted on nothing of the request.
    pub(in crate::upstream) unacted: bool,
    /// The connection is gone, not just the stream.
    pub(in crate::upstream) lost_connection: bool,
}

/// Why an upload ended before its end.
#[derive(Debug)]
pub(in crate::upstream) enum UploadError {
    /// The client's side.
    Body(Error),
    /// The endpoint takes no more. It may have answered all the same.
    Stream,
}

/// An upload that goes on by itself while the answer streams, as the two directions of a gRPC stream do; it ends with the answer,
/// which tells how it ended.
#[derive(Debug)]
pub(in crate::upstream) struct UploadTask(JoinHandle<()>);

impl UploadTask {
    pub(in crate::upstream) fn of(upload: impl Future<Output = Result<(), UploadError>> + 'static) -> Self {
        Self(tokio::task::spawn_local(async move { drop(upload.await) }))
    }
}

impl Drop for UploadTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
