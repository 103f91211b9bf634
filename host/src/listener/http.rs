use std::future::poll_fn;
use std::task::Poll;

use bytes::BytesMut;

use super::session::Session;
use super::{http1, http2};
use crate::downstream::Inbound;
use crate::io::Stream;

/// The first bytes of an HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves one client's connection, HTTP/1.1 or HTTP/2 by its first bytes, until either side is done with it.
pub(super) async fn serve(session: Session, stream: Stream) {
    let inbound = Inbound::new(stream, BytesMut::new(), session.context.buffers.clone());
    // Each in a box, so that a connection keeps room for the one that it has.
    match detect(&session, &inbound).await {
        None => {}
        Some(Protocol::Http1) => Box::pin(http1::serve(session, inbound)).await,
        Some(Protocol::Http2) => {
            if let Some((stream, read)) = Inbound::into_stream(inbound) {
                Box::pin(http2::serve(session, stream, read)).await;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Reads until it is clear which protocol the client speaks. None when it does not come to that.
async fn detect(session: &Session, inbound: &Inbound) -> Option<Protocol> {
    let connection = &session.connection;
    poll_fn(|task| {
        loop {
            {
                let seen = inbound.unused();
                let compared = seen.len().min(PREFACE.len());
                if seen[..compared] != PREFACE[..compared] {
                    return Poll::Ready(Some(Protocol::Http1));
                }
                if compared == PREFACE.len() {
                    return Poll::Ready(Some(Protocol::Http2));
                }
            }
            match inbound.poll_fill(task) {
                // What there is of a head is for HTTP/1.1 to judge.
                Poll::Ready(Ok(0)) if !inbound.is_empty() => return Poll::Ready(Some(Protocol::Http1)),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    if inbound.is_empty() && connection.poll_draining(task) {
                        connection.hurry();
                    }
                    // Half a head is answered with 408, in HTTP/1.1.
                    let begun = (!inbound.is_empty()).then_some(Protocol::Http1);
                    return connection.poll_timeout(task).map(|_| begun);
                }
            }
        }
    })
    .await
}
