use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::header::UPGRADE;
use http::{Method, StatusCode};
use plimsoll_fields::{RequestHead, ResponseHead};
use plimsoll_http1::{self as http1, Framing, HeadLimits};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::JoinHandle;

use super::upload::{Upload, UploadError};
use crate::error::{Error, ErrorKind};
use crate::io::{ReadBuffer, Stream};
use crate::upstream::RequestBody;

/// A connection to an endpoint, for one request at a time.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    socket: Socket,
    /// What was read and not used yet.
    pub(super) read: ReadBuffer,
    /// The buffer that heads are written to.
    out: Vec<u8>,
    /// Bounds of an answer's head.
    head_limits: HeadLimits,
}

#[derive(Debug)]
enum Socket {
    Whole(Stream),
    /// An upload goes on although the answer has begun.
    Shared {
        stream: Rc<RefCell<Stream>>,
        _upload: UploadTask,
    },
}

/// The side of an upload. Whoever reads and whoever writes are woken each by itself: TLS, too, writes nothing while it reads.
struct Writing(Rc<RefCell<Stream>>);

/// An upload in a task of its own, which ends when the answer has.
#[derive(Debug)]
struct UploadTask(JoinHandle<()>);

impl Drop for UploadTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What becomes of our side of a connection behind the last byte of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// It stays open: closing it would tell an endpoint that still answers that nobody waits.
    KeepSide,
    /// Its end is the end of what is sent.
    CloseSide,
}

/// What follows the head of an answer: its body comes on a connection.
#[derive(Debug)]
pub(in crate::upstream) struct Rest {
    pub(super) connection: Box<Connection>,
    pub(super) framing: Framing,
    /// The endpoint keeps the connection.
    pub(super) keeps: bool,
}

/// A request without an answer.
#[derive(Debug)]
pub(in crate::upstream) struct Failure {
    pub error: Error,
    /// No byte of the request was sent.
    pub unsent: bool,
}

const MOST_ROOM: usize = 64 * 1024;
/// Heads of 1xx before the answer proper.
const INFORMATIONAL: usize = 32;

impl Connection {
    pub(in crate::upstream) fn new(stream: Stream, head_limits: HeadLimits) -> Self {
        let out = Vec::with_capacity(1024);
        Self { socket: Socket::Whole(stream), read: ReadBuffer::new(BytesMut::new(), MOST_ROOM), out, head_limits }
    }

    /// False once the endpoint has closed the connection, or has sent something that nobody asked for.
    pub(in crate::upstream) fn is_idle(&mut self) -> bool {
        match &mut self.socket {
            Socket::Whole(stream) => stream.is_quiet(),
            Socket::Shared { .. } => false,
        }
    }

    /// Sends a request and waits for the head of its answer; heads of answers in advance go to `interim`.
    pub(in crate::upstream) async fn exchange(
        mut self: Box<Self>,
        head: &RequestHead,
        body: RequestBody,
        interim: &dyn Fn(ResponseHead),
    ) -> Result<(ResponseHead, Rest), Failure> {
        let mut upload = Upload::new(head, body, std::mem::take(&mut self.out));
        let to_head_request = head.method == Method::HEAD;
        let mut sending = Sending::UnderWay;
        let mut informational = 0;
        let asked = &head.headers;
        let answered = poll_fn(|task| {
            if let Sending::UnderWay = sending
                && let Socket::Whole(stream) = &mut self.socket
                && let Poll::Ready(result) = upload.poll(stream, task)
            {
                sending = match result {
                    Ok(()) => Sending::Done,
                    Err(UploadError::Socket(error)) => Sending::Refused(error),
                    Err(UploadError::Body(error)) => return Poll::Ready(Err(error)),
                };
            }
            loop {
                let answer = ready!(self.poll_head(to_head_request, task))?;
                let switches = answer.head.status == StatusCode::SWITCHING_PROTOCOLS;
                if !answer.head.status.is_informational() || switches && sending.is_done() && asked.contains(UPGRADE) {
                    return Poll::Ready(Ok(answer));
                }
                informational += 1;
                // Nobody asked for another protocol, or not to the end.
                if switches || informational > INFORMATIONAL {
                    return Poll::Ready(Err(Error::new(ErrorKind::UpstreamProtocol, "unexpected 1xx")));
                }
                // The proxy has told the client to go on by itself.
                if answer.head.status != StatusCode::CONTINUE {
                    interim(answer.head);
                }
            }
        })
        .await;
        let http1::Response { head, framing, mut keeps } = match (answered, &sending) {
            (Ok(answer), _) => answer,
            (Err(error), Sending::Refused(cause)) => {
                tracing::trace!("sending to the endpoint failed: {cause}");
                return Err(Failure { error, unsent: upload.is_unsent() });
            }
            (Err(error), _) => return Err(Failure { error, unsent: false }),
        };
        let connection = match sending {
            Sending::Done => {
                self.out = upload.into_buffer();
                self
            }
            Sending::UnderWay => self.send_aside(upload, AtEnd::KeepSide),
            Sending::Refused(_) => {
                keeps = false;
                self
            }
        };
        Ok((head, Rest { connection, framing, keeps }))
    }

    /// True when another request can follow: the last one was sent whole, and nothing is left of its answer.
    pub(super) fn is_clean(&self) -> bool {
        matches!(self.socket, Socket::Whole(_)) && self.read.is_empty()
    }

    /// Forgets what large answers made it grow to, before it waits for another request.
    pub(super) fn settle(&mut self) {
        self.read.shrink();
    }

    /// Reads more, up to `wanted` bytes if that is known; 0 is the end of the connection.
    pub(super) fn poll_read(&mut self, wanted: Option<u64>, task: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(wanted) = wanted.and_then(|wanted| usize::try_from(wanted).ok()) {
            self.read.expect(wanted);
        }
        self.read.poll_fill(&mut self.socket, task)
    }

    fn poll_head(&mut self, to_head_request: bool, task: &mut Context<'_>) -> Poll<Result<http1::Response, Error>> {
        loop {
            if !self.read.is_empty()
                && let Some(answer) =
                    http1::take_response(&mut self.read, to_head_request, &self.head_limits).map_err(broken)?
            {
                return Poll::Ready(Ok(answer));
            }
            match ready!(self.poll_read(None, task)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::UpstreamReset.into())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Error::new(ErrorKind::UpstreamReset, error))),
            }
        }
    }

    /// Lets an upload go on by itself while the answer streams: the endpoint may need the rest to go on with its answer,
    /// and the client may read nothing until it has sent all.
    pub(super) fn send_aside(self: Box<Self>, mut upload: Upload, at_end: AtEnd) -> Box<Self> {
        let Self { socket: Socket::Whole(stream), read, out, head_limits } = *self else { return self };
        let stream = Rc::new(RefCell::new(stream));
        let mut writing = Writing(stream.clone());
        let task = tokio::task::spawn_local(async move {
            let sent = poll_fn(|task| upload.poll(&mut writing, task)).await;
            if sent.is_err() || at_end == AtEnd::CloseSide {
                // The endpoint learns that nothing more comes, and may still answer.
                drop(writing.shutdown().await);
            }
        });
        Box::new(Self { socket: Socket::Shared { stream, _upload: UploadTask(task) }, read, out, head_limits })
    }
}

/// What an endpoint sends breaks the protocol, or breaks off.
pub(super) fn broken(error: http1::Error) -> Error {
    let kind = match error {
        http1::Error::Truncated => ErrorKind::UpstreamReset,
        _ => ErrorKind::UpstreamProtocol,
    };
    Error::new(kind, error)
}

/// How far the request has come.
enum Sending {
    UnderWay,
    Done,
    /// The endpoint takes no more of it.
    Refused(io::Error),
}

impl Sending {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Shared { stream, .. } => Pin::new(&mut *stream.borrow_mut()).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Writing {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(task, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(task)
    }
}
