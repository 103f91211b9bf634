use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;

use crate::error::{Error, ErrorKind};

/// The body of a request on a stream of HTTP/2. The client may send as much as was taken.
#[derive(Debug)]
pub struct Http2Body {
    stream: RecvStream,
    /// Bytes still to come, where the client has said how many.
    remaining: Option<u64>,
    data_ended: bool,
}

impl Http2Body {
    /// The body behind a head with these fields.
    pub fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { stream, remaining: length, data_ended: false }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        if self.is_ended() { Some(0) } else { self.remaining }
    }

    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(task)) {
                Some(Ok(data)) => {
                    // The stream may be gone by now, and then there is nothing to allow.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if let Some(remaining) = &mut self.remaining {
                        // h2 has counted, too, and ends the stream if they differ (RFC 9113 section 8.1.1).
                        *remaining = remaining.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => self.data_ended = true,
            }
        }
        match ready!(self.stream.poll_trailers(task)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(broken(error)))),
        }
    }
}

fn broken(error: h2::Error) -> Error {
    Error::new(ErrorKind::ClientAbort, error)
}
