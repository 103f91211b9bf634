use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::cluster::Cluster;
use super::exchange::Exchange;
use crate::error::{Error, ErrorKind};
use crate::snapshot::{Outcome, OutcomeClass};
use crate::timer::Timer;
use crate::upstream::{InFlight, Sender, UploadState};

/// The body of an answer: the endpoint's as it comes, or our own.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Upstream(Box<UpstreamBody>),
    Full(Option<Bytes>),
}

struct UpstreamBody {
    incoming: Incoming,
    /// None once the end was seen.
    transfer: Option<Transfer>,
    /// Armed while the endpoint is waited for in the middle of the body.
    timer: Option<Timer>,
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.incoming.fmt(f)
    }
}

/// What goes on until an answer has reached the client, and what is to be told about it then.
pub(super) struct Transfer {
    exchange: Exchange,
    cluster: Rc<Cluster>,
    flight: InFlight,
    sender: Sender,
    upload: Option<Rc<UploadState>>,
    status: StatusCode,
    first_byte: Duration,
    started: Instant,
    bytes: u64,
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::full(Bytes::new())
    }
}

impl ResponseBody {
    pub(super) fn full(bytes: Bytes) -> Self {
        Self(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    pub(super) fn upstream(incoming: Incoming, transfer: Transfer) -> Self {
        if incoming.is_end_stream() {
            transfer.complete();
            return Self(Kind::Full(None));
        }
        Self(Kind::Upstream(Box::new(UpstreamBody { incoming, transfer: Some(transfer), timer: None })))
    }
}

impl Transfer {
    #[expect(clippy::too_many_arguments, reason = "it is the sum of what a request has gathered, told once")]
    pub(super) fn new(
        exchange: Exchange,
        cluster: Rc<Cluster>,
        flight: InFlight,
        sender: Sender,
        upload: Option<Rc<UploadState>>,
        status: StatusCode,
        first_byte: Duration,
        started: Instant,
    ) -> Self {
        Self { exchange, cluster, flight, sender, upload, status, first_byte, started, bytes: 0 }
    }

    /// The whole answer has been read: the connection can be used again, if the request was read whole as well.
    fn complete(self) {
        let class = if self.status.is_server_error() { OutcomeClass::ServerError } else { OutcomeClass::Success };
        let now = Instant::now();
        let (exchange, sender, flight) = self.tell(class, now);
        exchange.end(now);
        flight.endpoint().pool.put(sender, now);
    }

    fn break_off(mut self, kind: ErrorKind) {
        self.exchange.broken_off(kind);
        let class = match kind {
            ErrorKind::ClientAbort => OutcomeClass::ClientAbort,
            ErrorKind::BodyTimeout => OutcomeClass::Timeout,
            _ => OutcomeClass::Reset,
        };
        // Dropping the sender closes the connection, on which the rest of the answer would still come.
        self.tell(class, Instant::now());
    }

    fn tell(mut self, class: OutcomeClass, now: Instant) -> (Exchange, Sender, InFlight) {
        let outcome = Outcome {
            slot: self.flight.endpoint().endpoint.slot,
            class,
            status: self.status.as_u16(),
            first_byte_us: micros(self.first_byte).max(1),
            total_us: micros(now.duration_since(self.started)),
        };
        self.cluster.note(&self.exchange.context, self.flight.endpoint(), outcome);
        let received = self.upload.as_ref().map_or(0, |upload| upload.received());
        self.exchange.moved(received, self.bytes);
        (self.exchange, self.sender, self.flight)
    }

    fn body_idle(&self) -> Option<Duration> {
        self.cluster.config.timeouts.body_idle
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Upstream(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Upstream(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Upstream(body) => body.incoming.size_hint(),
        }
    }
}

impl UpstreamBody {
    fn poll_frame(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(timer) = &self.timer {
                    timer.disarm();
                }
                if let (Some(data), Some(transfer)) = (frame.data_ref(), &mut self.transfer) {
                    transfer.bytes += data.len() as u64;
                }
                if self.incoming.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.break_off(ErrorKind::UpstreamReset);
                Poll::Ready(Some(Err(Error::new(ErrorKind::UpstreamReset, error))))
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_idle(context),
        }
    }

    fn poll_idle(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(transfer) = &self.transfer else { return Poll::Pending };
        let Some(idle) = transfer.body_idle() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| transfer.exchange.context.timers.timer());
        timer.arm_if_idle(idle);
        if timer.poll_fired(context).is_pending() {
            return Poll::Pending;
        }
        self.break_off(ErrorKind::BodyTimeout);
        Poll::Ready(Some(Err(ErrorKind::BodyTimeout.into())))
    }

    fn end(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            transfer.complete();
        }
    }

    fn break_off(&mut self, kind: ErrorKind) {
        if let Some(transfer) = self.transfer.take() {
            transfer.break_off(kind);
        }
    }
}

impl Drop for UpstreamBody {
    /// Without an end seen, whoever read the body has gone.
    fn drop(&mut self) {
        self.break_off(ErrorKind::ClientAbort);
    }
}
