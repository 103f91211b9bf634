use std::task::{Context, Poll};

use bytes::BytesMut;
use plimsoll_fields::{Fields, Frame};

use super::body::Body;
use crate::error::Error;

/// A request's body of which the beginning was read before anybody wanted to send it on: who reads it gets all of it.
#[derive(Debug)]
pub struct ReadAhead<B> {
    /// In one piece, however small the pieces were in which it came: a client chooses those.
    read: BytesMut,
    /// How much of that was asked for.
    wanted: usize,
    /// Trailers that came behind it.
    trailers: Option<Fields>,
    rest: B,
}

impl<B: Body> ReadAhead<B> {
    pub(super) fn new(rest: B) -> Self {
        Self { read: BytesMut::new(), wanted: 0, trailers: None, rest }
    }

    pub fn beginning(&self) -> &[u8] {
        &self.read[..self.wanted.min(self.read.len())]
    }

    /// Reads on until so many bytes have come, or all. Nothing may have been handed on yet.
    pub(super) async fn read(&mut self, bytes: usize) -> Result<(), Error> {
        self.wanted = bytes;
        while self.read.len() < bytes && self.trailers.is_none() && !self.rest.is_ended() {
            let frame = std::future::poll_fn(|task| self.rest.poll_frame(task)).await;
            let Some(frame) = frame.transpose()? else { break };
            match frame {
                Frame::Data(data) => self.read.extend_from_slice(&data),
                Frame::Trailers(trailers) => self.trailers = Some(trailers),
            }
        }
        Ok(())
    }

    pub(super) fn is_ended(&self) -> bool {
        self.read.is_empty() && self.trailers.is_none() && self.rest.is_ended()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        Some(self.rest.remaining()? + self.read.len() as u64)
    }

    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        if !self.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::Data(self.read.split().freeze()))));
        }
        match self.trailers.take() {
            Some(trailers) => Poll::Ready(Some(Ok(Frame::Trailers(trailers)))),
            None => self.rest.poll_frame(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::*;

    /// Pieces of a body, and what it comes to at the end.
    struct Pieces(VecDeque<Frame>);

    impl Body for Pieces {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn is_ended(&self) -> bool {
            self.0.is_empty()
        }

        fn remaining(&self) -> Option<u64> {
            None
        }
    }

    /// With a trailer behind them.
    fn body(pieces: &[&'static str]) -> ReadAhead<Pieces> {
        let pieces = pieces.iter().map(|piece| Frame::Data(Bytes::from_static(piece.as_bytes())));
        let trailers = [(http::header::ETAG, http::HeaderValue::from_static("1"))].into_iter().collect();
        ReadAhead::new(Pieces(pieces.chain([Frame::Trailers(trailers)]).collect()))
    }

    /// The beginning of so many bytes, how many frames were left behind it, and all that comes in the end.
    fn read(pieces: &[&'static str], bytes: &[usize]) -> (String, usize, String) {
        let mut body = body(pieces);
        let mut task = Context::from_waker(std::task::Waker::noop());
        for bytes in bytes {
            let reading = std::pin::pin!(body.read(*bytes));
            assert!(matches!(reading.poll(&mut task), Poll::Ready(Ok(()))));
        }
        let (beginning, left) = (body.beginning().to_vec(), body.rest.0.len());
        let (mut all, mut trailers) = (Vec::new(), 0);
        while let Poll::Ready(Some(Ok(frame))) = body.poll_frame(&mut task) {
            match frame {
                Frame::Data(data) => all.extend_from_slice(&data),
                Frame::Trailers(_) => trailers += 1,
            }
        }
        assert!(body.is_ended() && trailers == 1);
        (String::from_utf8(beginning).expect("text"), left, String::from_utf8(all).expect("text"))
    }

    #[test]
    fn no_more_is_read_than_is_asked_for_and_nothing_is_lost() {
        let read = |pieces: &[&'static str], bytes: &[usize]| {
            let (beginning, left, all) = read(pieces, bytes);
            assert_eq!(all, pieces.concat());
            (beginning, left)
        };
        assert_eq!(read(&["abc", "def", "g"], &[2]), ("ab".into(), 3));
        assert_eq!(read(&["abc", "def", "g"], &[3]), ("abc".into(), 3));
        assert_eq!(read(&["abc", "def", "g"], &[4]), ("abcd".into(), 2));
        assert_eq!(read(&["abc", "def", "g"], &[2, 5]), ("abcde".into(), 2));
        assert_eq!(read(&["abc", "def", "g"], &[100]), ("abcdefg".into(), 0));
        assert_eq!(read(&["", "", "x"], &[1]), ("x".into(), 1));
        assert_eq!(read(&[], &[10]), (String::new(), 0));
    }
}
