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
use super::linger;
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
    let client = Rc::new(client);
    let mut stream = ClientStream::new(stream, client.clone(), connection.clone());
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
    let timers = context.timers.clone();
    let service = {
        let connection = connection.clone();
        service_fn(move |request: Request<Incoming>| {
            // In a box, since hyper moves it several times, and for HTTP/2 into a task of its own.
            Box::pin(answer(context.clone(), slot.clone(), client.clone(), connection.clone(), request))
        })
    };
    match protocol {
        None => {}
        Some(Protocol::Http1) => {
            // Without `pipeline_flush`: it keeps hyper's answer to a broken head from being sent (hyper 1.12).
            let mut builder = http1::Builder::new();
            builder.max_headers(config.limits.header_count).max_buf_size(config.limits.header_bytes);
            let mut serving = builder.serve_connection(TokioIo::new(stream), service);
            let timeout =
                drive(Pin::new(&mut serving), &connection, &shard, http1::Connection::graceful_shutdown).await;
            if timeout.is_none()
                && let Some(stream) = serving.into_parts().io.into_inner().unfinished()
            {
                linger::close(stream, &timers).await;
            }
        }
        Some(Protocol::Http2) => {
            let mut builder = http2::Builder::new(LocalExecutor);
            builder
                .max_concurrent_streams(config.limits.concurrent_streams)
                .max_header_list_size(u32::try_from(config.limits.header_bytes).unwrap_or(u32::MAX))
                .max_send_buf_size(64 * 1024);
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            drive(pin!(serving), &connection, &shard, http2::Connection::graceful_shutdown).await;
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

/// Runs a connection to its end: its own, or a timeout of the client, which is answered.
async fn drive<C>(
    mut serving: Pin<&mut C>,
    connection: &Connection,
    shard: &ListenerShard,
    shut_down: impl Fn(Pin<&mut C>),
) -> Option<Timeout>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut shutting_down = false;
    let ended = poll_fn(|task| {
        if !shutting_down && connection.poll_draining(task) {
            shutting_down = true;
            shut_down(serving.as_mut());
        }
        if let Poll::Ready(result) = serving.as_mut().poll(task) {
            return Poll::Ready(Ok(result));
        }
        connection.poll_timeout(task).map(Err)
    })
    .await;
    match &ended {
        Ok(Ok(())) | Err(Timeout::Idle | Timeout::Write) => {}
        Ok(Err(error)) => count_failure(error, shard),
        Err(Timeout::Head) => shard.bad_request(BadRequest::Timeout),
    }
    ended.err()
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
