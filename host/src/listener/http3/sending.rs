use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{SEC_WEBSOCKET_ACCEPT, UPGRADE};
use plimsoll_fields::{Fields, Frame};
use plimsoll_http3::{Code, encode_response, encode_trailers, put_data_header, put_section};
use quinn::{SendStream, StoppedError, VarInt};

use crate::downstream::Body;
use crate::io::IntoQuic;
use crate::proxy::{Response, ResponseBody};
use crate::timer::{Elapsed, Timer};

/// Sends an answer at the pace of its client.
pub(super) struct Sending {
    stream: SendStream,
    /// What goes before the next piece.
    unsent: BytesMut,
    timer: Timer,
    patience: Option<Duration>,
}

impl Sending {
    /// `unsent` goes first. Without patience a client is waited for as long as it takes.
    pub(super) fn new(stream: SendStream, unsent: BytesMut, timer: Timer, patience: Option<Duration>) -> Self {
        Self { stream, unsent, timer, patience }
    }

    /// `stopped` is that of the stream. False when the client has not taken all of it.
    pub(super) async fn send(
        &mut self,
        response: Response,
        mut stopped: Pin<&mut impl Future<Output = Result<Option<VarInt>, StoppedError>>>,
    ) -> bool {
        let Response { mut head, mut body } = response;
        // Protocols are not asked for in a field.
        head.headers.remove(UPGRADE);
        if body.is_tunnel() {
            // RFC 9220: as over HTTP/2, the status is enough.
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        }
        put_head(&mut self.unsent, head.status, &head.headers);
        let sent = match body.is_ended() {
            true => self.write(Bytes::new()).await,
            false => self.send_body(&mut body, stopped.as_mut()).await,
        };
        match sent {
            Ok(()) => {
                // It may have been stopped. What is sent counts as under way until the client has it, so that nobody closes the
                // connection before; one that does not say so has had its time.
                let is_open = self.stream.finish().is_ok();
                is_open && matches!(patiently(&self.timer, self.patience, stopped).await, Ok(Ok(None)))
            }
            Err(code) => {
                // It may be over.
                let _ = self.stream.reset(code.into_quic());
                code != Code::RequestCancelled
            }
        }
    }

    async fn send_body(
        &mut self,
        body: &mut ResponseBody,
        mut stopped: Pin<&mut impl Future<Output: Sized>>,
    ) -> Result<(), Code> {
        loop {
            let frame = {
                let first = poll_fn(|task| Poll::Ready(body.poll_frame(task))).await;
                match first {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => {
                        // What there is goes to the client before the wait.
                        self.write(Bytes::new()).await?;
                        poll_fn(|task| {
                            if let Poll::Ready(frame) = body.poll_frame(task) {
                                return Poll::Ready(Ok(frame));
                            }
                            stopped.as_mut().poll(task).map(|_| Err(Code::RequestCancelled))
                        })
                        .await?
                    }
                }
            };
            match frame {
                None => return self.write(Bytes::new()).await,
                // An answer that breaks off must not look whole (RFC 9114 section 4.1).
                Some(Err(_)) => return Err(Code::InternalError),
                Some(Ok(Frame::Data(data))) if data.is_empty() => {}
                Some(Ok(Frame::Data(data))) => {
                    put_data_header(&mut self.unsent, data.len());
                    self.write(data).await?;
                    if body.is_ended() {
                        return Ok(());
                    }
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    let mut section = Vec::new();
                    encode_trailers(&trailers, &mut section);
                    put_section(&mut self.unsent, &section);
                    return self.write(Bytes::new()).await;
                }
            }
        }
    }

    /// Sends a piece behind what was not sent yet. A client that takes nothing for too long is let go: it would hold what the
    /// answer holds.
    async fn write(&mut self, data: Bytes) -> Result<(), Code> {
        let mut chunks = [self.unsent.split().freeze(), data];
        while chunks.iter().any(|chunk| !chunk.is_empty()) {
            let mut writing = pin!(self.stream.write_chunks(&mut chunks));
            let written = match poll_fn(|task| Poll::Ready(writing.as_mut().poll(task))).await {
                Poll::Ready(written) => written,
                Poll::Pending => {
                    let written = patiently(&self.timer, self.patience, writing).await;
                    written.map_err(|_elapsed| Code::RequestCancelled)?
                }
            };
            written.map_err(|_| Code::RequestCancelled)?;
        }
        Ok(())
    }
}

/// Waits for a client as long as it is waited for.
async fn patiently<F: Future>(timer: &Timer, patience: Option<Duration>, waiting: F) -> Result<F::Output, Elapsed> {
    match patience {
        Some(patience) => timer.arm(patience),
        None => timer.disarm(),
    }
    let waited = timer.bound(waiting).await;
    timer.disarm();
    waited
}

/// Appends a head that answers, or does so in advance.
pub(super) fn put_head(bytes: &mut BytesMut, status: StatusCode, headers: &Fields) {
    let mut section = Vec::with_capacity(256);
    encode_response(status, headers, &mut section);
    put_section(bytes, &section);
}
