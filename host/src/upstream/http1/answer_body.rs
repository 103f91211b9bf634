use std::task::{Context, Poll, ready};

use bytes::Bytes;
use plimsoll_fields::Frame;
use plimsoll_http1::{BodyDecoder, Framing};

use super::connection::{AtEnd, Connection, Rest, broken};
use super::upload::Upload;
use crate::error::{Error, ErrorKind};
use crate::upstream::RequestBody;

/// The body of an answer, with the connection on which it comes. Dropped before its end, it closes the connection.
#[derive(Debug)]
pub(in crate::upstream) struct AnswerBody {
    connection: Box<Connection>,
    decoder: BodyDecoder,
    /// The endpoint keeps the connection.
    keeps: bool,
}

impl AnswerBody {
    pub(in crate::upstream) fn new(Rest { connection, framing, keeps }: Rest) -> Self {
        Self { connection, decoder: BodyDecoder::new(framing), keeps }
    }

    /// The endpoint has changed the protocol: sends what the client sends in it, while what comes is taken.
    pub(in crate::upstream) fn into_tunnel(self, body: RequestBody) -> Self {
        let connection = self.connection.send_aside(Upload::tunnel(body), AtEnd::CloseSide);
        Self { connection, decoder: BodyDecoder::new(Framing::Close), keeps: false }
    }

    /// True once everything has been taken.
    pub(in crate::upstream) fn is_ended(&self) -> bool {
        self.decoder.is_ended()
    }

    pub(in crate::upstream) fn remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    /// The body whole, when all of it has come together with the head. Nothing is taken otherwise.
    pub(in crate::upstream) fn take_whole(&mut self) -> Result<Option<Bytes>, Error> {
        let here = self.connection.read.len() as u64;
        if self.decoder.remaining().is_none_or(|length| length > here) {
            return Ok(None);
        }
        let frame = self.decoder.take(&mut self.connection.read).map_err(broken)?;
        Ok(Some(match frame {
            Some(Frame::Data(data)) => data,
            Some(Frame::Trailers(_)) | None => Bytes::new(),
        }))
    }

    /// The next piece; none at the end.
    pub(in crate::upstream) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            match self.decoder.take(&mut self.connection.read) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.decoder.is_ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(broken(error)))),
            }
            let read = ready!(self.connection.poll_read(self.decoder.remaining(), task));
            let ended = match read {
                Ok(0) => self.decoder.connection_ended().map_err(broken),
                Ok(_) => Ok(()),
                Err(error) => Err(Error::new(ErrorKind::UpstreamReset, error)),
            };
            if let Err(error) = ended {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// The connection, if it can take another request.
    pub(in crate::upstream) fn into_connection(mut self) -> Option<Box<Connection>> {
        if !(self.keeps && self.decoder.is_ended() && self.connection.is_clean()) {
            return None;
        }
        self.connection.settle();
        Some(self.connection)
    }
}
