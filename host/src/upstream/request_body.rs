use std::rc::Rc;
use std::task::{Context, Poll};

use plimsoll_fields::Frame;

use super::upload_state::UploadState;
use crate::downstream::Body;
use crate::error::Error;

/// The client's request body on its way to an endpoint. Bytes are passed on as they come, at the pace at which the
/// endpoint takes them.
#[derive(Debug)]
pub struct RequestBody {
    upload: Option<Rc<UploadState>>,
    /// Bytes of the body that were handed on in this attempt.
    at: usize,
}

impl RequestBody {
    pub fn empty() -> Self {
        Self { upload: None, at: 0 }
    }

    /// The body from its beginning, which has to be there still: see [`UploadState::is_replayable`].
    pub fn of(upload: &Rc<UploadState>) -> Self {
        upload.reading();
        Self { upload: Some(upload.clone()), at: 0 }
    }
}

impl Body for RequestBody {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let Some(upload) = &self.upload else { return Poll::Ready(None) };
        let frame = upload.poll_frame(self.at, context);
        if let Poll::Ready(Some(Ok(Frame::Data(data)))) = &frame {
            self.at = self.at.saturating_add(data.len());
        }
        frame
    }

    fn is_ended(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.is_end(self.at))
    }

    fn remaining(&self) -> Option<u64> {
        self.upload.as_ref().map_or(Some(0), |upload| upload.remaining(self.at))
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.not_reading();
        }
    }
}
