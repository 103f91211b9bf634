use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::downstream::ClientBody;
use crate::error::{Error, ErrorKind};
use crate::timer::Timer;

/// The client's request body on its way to an endpoint. Bytes are passed on as they come, at the pace at which the
/// endpoint takes them.
#[derive(Debug)]
pub struct RequestBody {
    incoming: ClientBody,
    upload: Option<Rc<UploadState>>,
}

/// What the request learns of its body while the endpoint reads it. Shared, since the connection owns the body by then.
#[derive(Debug)]
pub struct UploadState {
    /// Bytes that may still come; none for no limit.
    limit: Option<u64>,
    received: Cell<u64>,
    ended: Cell<bool>,
    too_large: Cell<bool>,
    /// How the client broke it off, if it has.
    client_failed: Cell<Option<ErrorKind>>,
    /// The timer of the attempt, set anew with every piece: a slow upload is not a slow endpoint.
    timer: Rc<Timer>,
    patience: Option<Duration>,
}

impl RequestBody {
    pub fn empty() -> Self {
        Self { incoming: ClientBody::Empty, upload: None }
    }

    /// A body of at most `limit` bytes. `timer` is armed with `patience` at every piece.
    /// Fails at once when the client has announced more.
    pub fn upload(
        incoming: ClientBody,
        limit: Option<u64>,
        timer: Rc<Timer>,
        patience: Option<Duration>,
    ) -> Result<(Self, Rc<UploadState>), ErrorKind> {
        if limit.is_some_and(|limit| incoming.size_hint().lower() > limit) {
            return Err(ErrorKind::BodyTooLarge);
        }
        let state = Rc::new(UploadState {
            limit,
            received: Cell::new(0),
            ended: Cell::new(incoming.is_end_stream()),
            too_large: Cell::new(false),
            client_failed: Cell::new(None),
            timer,
            patience,
        });
        Ok((Self { incoming, upload: Some(state.clone()) }, state))
    }
}

impl UploadState {
    /// Bytes of the body that the client has sent so far.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// True once the client has sent all of it.
    pub fn ended(&self) -> bool {
        self.ended.get()
    }

    /// Whose fault a failed attempt really was: the client's, when its body broke or stalled.
    pub fn blame(&self, kind: ErrorKind) -> ErrorKind {
        if self.too_large.get() {
            ErrorKind::BodyTooLarge
        } else if let Some(failed) = self.client_failed.get() {
            failed
        } else if kind == ErrorKind::FirstByteTimeout && !self.ended.get() {
            ErrorKind::ClientTimeout
        } else {
            kind
        }
    }

    fn take(&self, bytes: usize) -> Result<(), Error> {
        let received = self.received.get() + bytes as u64;
        self.received.set(received);
        if self.limit.is_some_and(|limit| received > limit) {
            self.too_large.set(true);
            return Err(ErrorKind::BodyTooLarge.into());
        }
        if let Some(patience) = self.patience {
            self.timer.arm(patience);
        }
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(context));
        let Some(upload) = &this.upload else { return Poll::Ready(frame) };
        match frame {
            None => {
                upload.ended.set(true);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                upload.client_failed.set(Some(error.kind));
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && let Err(error) = upload.take(data.len())
                {
                    return Poll::Ready(Some(Err(error)));
                }
                upload.ended.set(this.incoming.is_end_stream());
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
