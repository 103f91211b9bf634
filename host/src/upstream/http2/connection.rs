use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::Scheme;
use plimsoll_http1::HeadLimits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Error, ErrorKind};
use crate::io::Stream;
use crate::upstream::shared::{Carrier, Places};

/// A connection to an endpoint, for many requests at once.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    pub(super) sender: SendRequest<Bytes>,
    /// Of requests that go over it.
    pub(super) scheme: Scheme,
    state: Rc<State>,
    /// Fields that the head of an answer may have.
    header_count: usize,
    places: Places,
}

/// What the task of a connection tells those who use it.
#[derive(Debug, Default)]
struct State {
    /// Streams that the endpoint allows at a time, by its last SETTINGS.
    limit: Cell<usize>,
    closed: Cell<bool>,
    /// How often something came from the endpoint.
    heard: Cell<u64>,
}

/// A socket that notes when something comes.
#[derive(Debug)]
struct Listening {
    stream: Stream,
    state: Rc<State>,
}

impl AsyncRead for Listening {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = ready!(Pin::new(&mut this.stream).poll_read(task, buffer));
        this.state.heard.set(this.state.heard.get() + 1);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Listening {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(task, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(task)
    }
}

/// Streams on one connection, whatever more the endpoint allows. The next request gets another connection.
const STREAMS: usize = 128;
/// What an endpoint may send of one answer ahead of its client. So much is kept of an answer that its client does not take.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Of all streams of a connection together: no bound beside those of the streams, since otherwise clients that do not read
/// would hold up the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Of one request's body, waiting until the connection takes it.
const SEND_BUFFER: usize = 64 * 1024;
type Driver = h2::client::Connection<Listening, Bytes>;

impl Connection {
    /// Begins to speak, and waits for the endpoint's SETTINGS: what it allows is not known before, and an endpoint that does
    /// not speak HTTP/2 shows itself. `changed` is called whenever there may be room that was not there, and at the end.
    pub(super) async fn open(
        stream: Stream,
        head_limits: HeadLimits,
        changed: impl Fn() + 'static,
    ) -> Result<Rc<Self>, Error> {
        let state = Rc::new(State::default());
        let scheme = if stream.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
        let (sender, mut driver) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            // As HPACK counts them (RFC 7541 section 4.1); of trailers, too.
            .max_header_list_size(u32::try_from(head_limits.bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            // None until the endpoint has told.
            .initial_max_send_streams(0)
            .handshake::<_, Bytes>(Listening { stream, state: state.clone() })
            .await
            .map_err(no_http2)?;
        poll_fn(|task| {
            let ended = Pin::new(&mut driver).poll(task);
            state.limit.set(driver.max_concurrent_send_streams());
            match ended {
                Poll::Ready(Err(error)) => Poll::Ready(Err(no_http2(error))),
                Poll::Ready(Ok(())) => Poll::Ready(Err(ErrorKind::ConnectFailure.into())),
                Poll::Pending if state.limit.get() > 0 => Poll::Ready(Ok(())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        // It holds no more than what is below, so that dropping the connection ends it.
        tokio::task::spawn_local(drive(driver, state.clone(), changed));
        Ok(Rc::new(Self { sender, scheme, state, header_count: head_limits.fields, places: Places::new() }))
    }

    pub(super) fn header_count(&self) -> usize {
        self.header_count
    }
}

impl Carrier for Connection {
    /// Its number comes with what is sent.
    type Stream = ();

    fn stream(&self) -> Option<()> {
        (self.places.taken() < self.limit()).then_some(())
    }

    fn give_back(&self, (): ()) {}

    fn limit(&self) -> usize {
        self.state.limit.get().min(STREAMS)
    }

    fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    fn heard(&self) -> u64 {
        self.state.heard.get()
    }

    fn places(&self) -> &Places {
        &self.places
    }
}

/// Reads and writes the frames of a connection until its end.
async fn drive(mut driver: Driver, state: Rc<State>, changed: impl Fn()) {
    let ended = poll_fn(|task| {
        let ended = Pin::new(&mut driver).poll(task);
        let limit = driver.max_concurrent_send_streams();
        if limit > state.limit.replace(limit) {
            changed();
        }
        ended
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!("connection to an endpoint ended: {error}");
    }
    state.closed.set(true);
    changed();
}

fn no_http2(error: h2::Error) -> Error {
    Error::new(ErrorKind::ConnectFailure, error)
}

/// What an error of a stream, or of the connection under it, says of the endpoint.
pub(super) fn broken(error: h2::Error) -> Error {
    // What is neither was found by our side.
    let kind = if error.is_remote() || error.is_io() { ErrorKind::UpstreamReset } else { ErrorKind::UpstreamProtocol };
    Error::new(kind, error)
}
