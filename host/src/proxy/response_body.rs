use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use plimsoll_fields::{Fields, Frame};

use super::cluster::Cluster;
use super::exchange::Exchange;
use super::grpc_web::WebBody;
use super::headers;
use crate::downstream::{Body, ClientBody};
use crate::error::{Error, ErrorKind};
use crate::snapshot::{Outcome, OutcomeClass};
use crate::timer::{CallOff, Fired, Timer};
use crate::upstream::{AnswerBody, InFlight, Patience, RequestBody, UploadState};

/// The body of an answer: the endpoint's as it comes, or our own.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Upstream(Box<UpstreamBody>),
    Full(Option<Bytes>),
    /// One of these, as a client of gRPC-Web reads it.
    Web(Box<WebBody<ResponseBody>>),
}

/// An answer while it comes.
#[derive(Debug)]
struct UpstreamBody {
    /// Of another protocol than HTTP.
    is_tunnel: bool,
    /// None once the end was seen.
    coming: Option<Coming>,
    /// Armed while the endpoint is waited for in the middle of the body.
    timer: Option<Rc<Timer>>,
    /// A piece that came before the head was given to the client.
    first: Option<Frame>,
    /// The client has been given the head, or is about to be.
    head_given: bool,
}

struct Coming {
    answer: AnswerBody,
    transfer: Transfer,
}

impl std::fmt::Debug for Coming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.answer.fmt(f)
    }
}

/// What goes on until an answer has reached the client, and what is to be told about it then.
pub(super) struct Transfer {
    exchange: Exchange,
    cluster: Rc<Cluster>,
    flight: InFlight,
    upload: Option<Rc<UploadState>>,
    status: StatusCode,
    timing: Timing,
    bytes: u64,
}

/// When an attempt began, and how long after that its answer did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) started: Instant,
    pub(super) first_byte: Duration,
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

    /// The body of an answer. What has come whole with its head is a matter of its own from here on; the endpoint is done
    /// with it.
    pub(super) fn upstream(mut answer: AnswerBody, mut transfer: Transfer) -> Self {
        match answer.take_whole() {
            Ok(Some(bytes)) => {
                transfer.bytes = bytes.len() as u64;
                transfer.complete(answer);
                Self::full(bytes)
            }
            _ => Self(Kind::Upstream(Box::new(UpstreamBody::new(answer, transfer, None)))),
        }
    }

    /// What comes of a protocol that the endpoint has changed to, while what the client sends in it goes the other way.
    pub(super) fn tunnel(answer: AnswerBody, transfer: Transfer, client: ClientBody) -> Result<Self, Error> {
        let timer = Rc::new(transfer.exchange.context.timers.timer());
        // What comes of the client is a sign of life, too.
        let patience = Patience { send: transfer.patience().0, first_byte: transfer.patience().0 };
        let upload = UploadState::new(client, None, 0, timer.clone(), patience)?;
        let answer = answer.into_tunnel(RequestBody::of(&upload));
        let body = UpstreamBody::new(answer, transfer.with_upload(Some(upload)), Some(timer));
        Ok(Self(Kind::Upstream(Box::new(body))))
    }

    /// An answer of gRPC as a client of gRPC-Web reads it.
    pub(super) fn into_web(self, in_text: bool) -> Self {
        Self(Kind::Web(Box::new(WebBody { of_grpc: self, in_text })))
    }

    /// Whether it is of another protocol than HTTP: neither its length nor its end are HTTP's.
    pub fn is_tunnel(&self) -> bool {
        matches!(&self.0, Kind::Upstream(body) if body.is_tunnel)
    }

    /// Looks at how the body begins, without a wait. One that is broken by then makes no answer: its client has seen
    /// nothing of it, and gets ours.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        let body = match &mut self.0 {
            Kind::Upstream(body) => body,
            Kind::Web(body) => return body.of_grpc.begin(),
            Kind::Full(_) => return Ok(()),
        };
        // Nobody need be woken: whoever sends the answer polls it again.
        if let Poll::Ready(Some(frame)) = body.poll_frame(&mut TaskContext::from_waker(Waker::noop())) {
            body.first = Some(frame?);
        }
        body.head_given = true;
        Ok(())
    }
}

impl Transfer {
    pub(super) fn new(
        exchange: Exchange,
        cluster: Rc<Cluster>,
        flight: InFlight,
        status: StatusCode,
        timing: Timing,
    ) -> Self {
        Self { exchange, cluster, flight, upload: None, status, timing, bytes: 0 }
    }

    /// With a request's body, which may still be on its way.
    pub(super) fn with_upload(self, upload: Option<Rc<UploadState>>) -> Self {
        Self { upload, ..self }
    }

    /// The whole answer has been read: the connection can be used again, if the request was read whole as well.
    fn complete(self, answer: AnswerBody) {
        let class = if self.status.is_server_error() { OutcomeClass::ServerError } else { OutcomeClass::Success };
        let now = Instant::now();
        let (exchange, flight) = self.tell(class, now);
        exchange.end(now);
        answer.finish(now);
        drop(flight);
    }

    /// What the endpoint says of its load behind the answer, as gRPC servers do.
    fn note_load(&self, trailers: &mut Fields) {
        if self.cluster.config.load_reports {
            self.cluster.note_load(self.flight.endpoint(), trailers);
        }
    }

    fn break_off(mut self, kind: ErrorKind, head_given: bool) {
        if head_given {
            self.exchange.broken_off(kind);
        } else {
            self.exchange.failed(kind);
        }
        self.tell(kind.outcome(), Instant::now());
    }

    fn tell(mut self, class: OutcomeClass, now: Instant) -> (Exchange, InFlight) {
        let outcome = Outcome {
            slot: self.flight.endpoint().endpoint.slot,
            class,
            status: self.status.as_u16(),
            first_byte_us: micros(self.timing.first_byte).max(1),
            total_us: micros(match self.is_tunnel() {
                // How long it lasts is up to both sides.
                true => self.timing.first_byte,
                false => now.duration_since(self.timing.started),
            }),
        };
        self.cluster.note(&self.exchange.context, self.flight.endpoint(), outcome);
        let received = self.upload.as_ref().map_or(0, |upload| upload.received());
        self.exchange.moved(received, self.bytes);
        (self.exchange, self.flight)
    }

    fn is_tunnel(&self) -> bool {
        self.status == StatusCode::SWITCHING_PROTOCOLS
    }

    /// How long nothing may come, and what it is when it has been as long as that.
    fn patience(&self) -> (Option<Duration>, ErrorKind) {
        match self.is_tunnel() {
            true => (self.exchange.listener.config.timeouts.idle, ErrorKind::IdleTimeout),
            false => (self.cluster.config.timeouts.body_idle, ErrorKind::BodyTimeout),
        }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Body for ResponseBody {
    fn poll_frame(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::Data(bytes)))),
            Kind::Upstream(body) => body.poll_frame(context),
            Kind::Web(body) => body.poll_frame(context),
        }
    }

    fn is_ended(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Web(body) => body.is_ended(),
            Kind::Upstream(body) => {
                body.first.is_none() && body.coming.as_ref().is_none_or(|coming| coming.answer.is_ended())
            }
        }
    }

    fn remaining(&self) -> Option<u64> {
        match &self.0 {
            // Nobody knows how long the trailers will be.
            Kind::Web(body) => body.is_ended().then_some(0),
            Kind::Full(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Upstream(body) => {
                let coming = body.coming.as_ref().map_or(Some(0), |coming| coming.answer.remaining())?;
                let first = match &body.first {
                    Some(Frame::Data(data)) => data.len() as u64,
                    Some(Frame::Trailers(_)) | None => 0,
                };
                Some(coming + first)
            }
        }
    }
}

impl UpstreamBody {
    fn new(answer: AnswerBody, transfer: Transfer, timer: Option<Rc<Timer>>) -> Self {
        let is_tunnel = transfer.is_tunnel();
        Self { is_tunnel, coming: Some(Coming { answer, transfer }), timer, first: None, head_given: false }
    }

    fn poll_frame(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<Frame, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(Coming { answer, transfer }) = &mut self.coming else { return Poll::Ready(None) };
        if transfer.flight.is_deregistered() {
            self.break_off(ErrorKind::Deregistered);
            return Poll::Ready(Some(Err(ErrorKind::Deregistered.into())));
        }
        match answer.poll_frame(context) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(timer) = &self.timer {
                    timer.disarm();
                }
                match &mut frame {
                    Frame::Data(data) => transfer.bytes += data.len() as u64,
                    Frame::Trailers(trailers) => {
                        transfer.note_load(trailers);
                        transfer.exchange.note_grpc(trailers);
                        headers::prepare_trailers(trailers);
                    }
                }
                if answer.is_ended() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.break_off(error.kind);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_idle(context),
        }
    }

    fn poll_idle(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let Some(Coming { transfer, .. }) = &self.coming else { return Poll::Pending };
        let (idle, kind) = transfer.patience();
        let timer = self.timer.get_or_insert_with(|| Rc::new(transfer.exchange.context.timers.timer()));
        if let Some(idle) = idle {
            timer.arm_if_idle(idle);
        }
        timer.wait_for(transfer.flight.endpoint().subject(), CallOff::End);
        if timer.poll_fired(context).is_pending() {
            return Poll::Pending;
        }
        let kind = match timer.fired() {
            Some(Fired::CalledOff(_)) => ErrorKind::Deregistered,
            _ => kind,
        };
        self.break_off(kind);
        Poll::Ready(Some(Err(kind.into())))
    }

    fn end(&mut self) {
        if let Some(Coming { answer, transfer }) = self.coming.take() {
            transfer.complete(answer);
        }
    }

    fn break_off(&mut self, kind: ErrorKind) {
        // The answer is dropped and closes its connection, on which the rest would still come.
        if let Some(Coming { transfer, .. }) = self.coming.take() {
            transfer.break_off(kind, self.head_given);
        }
    }
}

impl Drop for UpstreamBody {
    /// Without an end seen, whoever read the body has gone.
    fn drop(&mut self) {
        self.break_off(ErrorKind::ClientAbort);
    }
}
