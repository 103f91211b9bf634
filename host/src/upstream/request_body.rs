use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::upload_state::UploadState;
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
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let Some(upload) = &this.upload else { return Poll::Ready(None) };
        let frame = upload.poll_frame(this.at, context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            this.at = this.at.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.is_end(self.at))
    }

    fn size_hint(&self) -> SizeHint {
        self.upload.as_ref().map_or_else(|| SizeHint::with_exact(0), |upload| upload.size_hint(self.at))
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.not_reading();
        }
    }
}
