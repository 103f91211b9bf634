use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{SEC_WEBSOCKET_ACCEPT, UPGRADE};
use plimsoll_fields::Frame;
use plimsoll_http2::{Code, Responder};

use crate::downstream::Body;
use crate::error::Error;
use crate::proxy::{Response, ResponseBody};
use crate::timer::Timer;

/// What an answer's body gives.
type Piece = Result<Frame, Error>;

/// Sends an answer at the pace of its client.
pub(super) struct Sending {
    responder: Responder,
    timer: Timer,
    patience: Option<Duration>,
}

impl Sending {
    /// Without patience a client is waited for as long as it takes.
    pub(super) fn new(responder: Responder, timer: Timer, patience: Option<Duration>) -> Self {
        Self { responder, timer, patience }
    }

    pub(super) async fn send(&self, response: Response) {
        let Response { mut head, mut body } = response;
        // Protocols are not asked for in a field.
        head.headers.remove(UPGRADE);
        if body.is_tunnel() {
            // RFC 8441 section 5: the key of HTTP/1.1 has proven that the endpoint means it; here the status is enough.
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        }
        let ends = body.is_ended();
        self.responder.send_head(head.status, &head.headers, ends);
        if !ends && let Err(code) = self.send_body(&mut body).await {
            self.responder.reset(code);
        }
    }

    async fn send_body(&self, body: &mut ResponseBody) -> Result<(), Code> {
        loop {
            match poll_fn(|task| self.poll_frame(body, task)).await? {
                None => return self.send_data(Bytes::new(), true).await,
                // An answer that breaks off must not look whole (RFC 9113 section 8.1).
                Some(Err(_)) => return Err(Code::INTERNAL_ERROR),
                Some(Ok(Frame::Data(data))) => {
                    let ends = body.is_ended();
                    self.send_data(data, ends).await?;
                    if ends {
                        return Ok(());
                    }
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.responder.send_trailers(&trailers);
                    return Ok(());
                }
            }
        }
    }

    /// The next of the answer. Fails when the client does not want it any more.
    fn poll_frame(&self, body: &mut ResponseBody, task: &mut Context<'_>) -> Poll<Result<Option<Piece>, Code>> {
        if let Poll::Ready(frame) = body.poll_frame(task) {
            return Poll::Ready(Ok(frame));
        }
        self.responder.poll_reset(task).map(Err)
    }

    /// Sends a piece as the client has room for it. One that makes none for too long is let go: it would hold what the answer
    /// holds.
    async fn send_data(&self, mut data: Bytes, ends: bool) -> Result<(), Code> {
        loop {
            let mut sending = poll_fn(|task| self.responder.poll_send(&mut data, ends, task));
            match poll_fn(|task| Poll::Ready(Pin::new(&mut sending).poll(task))).await {
                Poll::Ready(sent) => sent?,
                Poll::Pending => {
                    match self.patience {
                        Some(patience) => self.timer.arm(patience),
                        None => self.timer.disarm(),
                    }
                    let sent = self.timer.bound(sending).await;
                    self.timer.disarm();
                    sent.map_err(|_elapsed| Code::CANCEL)??;
                }
            }
            if data.is_empty() {
                return Ok(());
            }
        }
    }
}
