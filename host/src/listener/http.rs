use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::connection::{Connection, Timeout};
use super::stream::{ClientStream, Protocol};
use crate::error::Error;
use crate::net::LocalExecutor;
use crate::proxy::{self, Client, ListenerSlot, ResponseBody};
use crate::telemetry::{BadRequest, ListenerShard};

/// Serves one client's connection, HTTP/1.1 or HTTP/2 by its first bytes, until either side is done with it.
pub(super) async fn serve(
    context: Rc<proxy::Context>,
    slot: Rc<ListenerSlot>,
    client: Client,
    stream: TcpStream,
    connection: Rc<Connection>,
) {
    let Some(listener) = slot.current() else { return };
    let (config, shard) = (listener.config.clone(), listener.shard.clone());
    drop(listener);
    let mut stream = ClientStream::new(stream, connection.clone());
    let protocol = {
        let mut detecting = pin!(stream.detect());
        let detected = poll_fn(|task| {
            if let Poll::Ready(protocol) = detecting.as_mut().poll(task) {
                return Poll::Ready(protocol.ok());
            }
            if connection.poll_draining(task) || connection.poll_timeout(task).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        });
        detected.await
    };
    let client = Rc::new(client);
    let service = {
        let connection = connection.clone();
        service_fn(move |request: Request<Incoming>| {
            answer(context.clone(), slot.clone(), client.clone(), connection.clone(), request)
        })
    };
    match protocol {
        None => {}
        Some(Protocol::Http1) => {
            let mut builder = http1::Builder::new();
            builder
                .half_close(true)
                .max_headers(config.limits.header_count)
                .max_buf_size(config.limits.header_bytes)
                .pipeline_flush(true);
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            drive(serving, &connection, &shard, http1::Connection::graceful_shutdown).await;
        }
        Some(Protocol::Http2) => {
            let mut builder = http2::Builder::new(LocalExecutor);
            builder
                .max_concurrent_streams(config.limits.concurrent_streams)
                .max_header_list_size(u32::try_from(config.limits.header_bytes).unwrap_or(u32::MAX))
                .max_send_buf_size(64 * 1024);
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            drive(serving, &connection, &shard, http2::Connection::graceful_shutdown).await;
        }
    }
}

async fn answer(
    context: Rc<proxy::Context>,
    slot: Rc<ListenerSlot>,
    client: Rc<Client>,
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Counted>, std::convert::Infallible> {
    let counted = UnderWay::begin(connection);
    let Some(listener) = slot.current() else {
        // The listener has gone from the configuration while the connection was open.
        counted.0.drain();
        let mut response = Response::new(Counted { body: ResponseBody::default(), _under_way: counted });
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    };
    let response = proxy::serve(context, listener, client, request).await;
    Ok(response.map(|body| Counted { body, _under_way: counted }))
}

/// Runs a connection to its end: its own, a timeout of the client, or a drain.
async fn drive<C>(
    serving: C,
    connection: &Connection,
    shard: &ListenerShard,
    shut_down: impl Fn(Pin<&mut C>),
) where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut serving = pin!(serving);
    let mut shutting_down = false;
    let ended = poll_fn(|task| {
        if !shutting_down && connection.poll_draining(task) {
            shutting_down = true;
            shut_down(serving.as_mut());
        }
        if let Poll::Ready(result) = serving.as_mut().poll(task) {
            return Poll::Ready(Ended::Itself(result));
        }
        connection.poll_timeout(task).map(Ended::Timeout)
    })
    .await;
    match ended {
        Ended::Itself(Ok(())) => {}
        Ended::Itself(Err(error)) => count_failure(&error, shard),
        Ended::Timeout(Timeout::Head) => shard.bad_request(BadRequest::Timeout),
        Ended::Timeout(Timeout::Idle | Timeout::Write) => {}
    }
}

enum Ended {
    Itself(Result<(), hyper::Error>),
    Timeout(Timeout),
}

/// hyper has answered what it could not read with 400 or 431; it is counted here.
fn count_failure(error: &hyper::Error, shard: &ListenerShard) {
    if error.is_parse_too_large() {
        shard.bad_request(BadRequest::HeaderTooLarge);
    } else if error.is_parse() {
        shard.bad_request(BadRequest::Parse);
    }
}

/// A request under way on its connection, until its answer has been written.
#[derive(Debug)]
struct UnderWay(Rc<Connection>);

impl UnderWay {
    fn begin(connection: Rc<Connection>) -> Self {
        connection.request_began();
        Self(connection)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// A body that keeps its request under way.
#[derive(Debug)]
struct Counted {
    body: ResponseBody,
    _under_way: UnderWay,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
