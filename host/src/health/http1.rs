//! Exchanges of HTTP/1.1, each on a connection of its own, or one after the other on one that is kept.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::message::{Answer, Request};
use crate::io::Stream;

/// The most that is read of a body.
const MAX_BYTES: usize = 2 << 20;

/// Connections that may be kept at once: a quarter of what the process may have open, as much as checks under way may have. Further
/// ones are not kept.
static KEPT: LazyLock<Semaphore> = LazyLock::new(|| {
    let quarter = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |most| most / 4);
    Semaphore::new(usize::try_from(quarter).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))
});

/// Where a connection waits for the next exchange of a check with its endpoint.
#[derive(Debug)]
pub struct Keep {
    reuses: bool,
    connection: Mutex<Option<(Box<Connection>, SemaphorePermit<'static>)>>,
}

impl Keep {
    /// `reuses` is whether anything is kept there.
    pub fn new(reuses: bool) -> Self {
        Self { reuses, connection: Mutex::default() }
    }

    /// A connection for a request; none for one that may not be sent twice, since the endpoint may be about to close it.
    pub(super) fn take(&self, request: &Request) -> Option<Box<Connection>> {
        let method = Method::try_from(request.method.as_str()).ok()?;
        self.lock().take().filter(|_| method.is_idempotent()).map(|(connection, _)| connection)
    }

    fn put(&self, connection: Box<Connection>) {
        *self.lock() = KEPT.try_acquire().ok().map(|room| (connection, room));
    }

    /// Whoever has failed is asked on a new connection.
    pub(super) fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Box<Connection>, SemaphorePermit<'static>)>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// A connection, and what moves its bytes: it is polled by whoever waits for an answer, and by nobody meanwhile.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// None when it has come to its end.
    driver: Option<Driver>,
}

impl Connection {
    pub(super) async fn over(stream: Stream) -> Result<Box<Self>, String> {
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed("speaking HTTP", &error))?;
        Ok(Box::new(Self { sender, driver: Some(driver) }))
    }

    /// Asks on a connection that was kept. None when the endpoint has closed it meanwhile.
    pub(super) async fn exchange_again(
        mut self: Box<Self>,
        address: SocketAddr,
        request: &Request,
        keep: &Keep,
    ) -> Option<Result<Answer, String>> {
        let head = match head(request, address, keep) {
            Ok(head) => head,
            Err(error) => return Some(Err(error)),
        };
        drive(&mut self.driver, self.sender.ready()).await.ok()?;
        match self.ask(head).await {
            Ok(response) => Some(self.read(response, request.most, keep).await),
            Err(error) if error.is_parse() => Some(Err(failed("the exchange", &error))),
            Err(_) => None,
        }
    }

    pub(super) async fn exchange(
        mut self: Box<Self>,
        address: SocketAddr,
        request: &Request,
        keep: &Keep,
    ) -> Result<Answer, String> {
        let response = self.ask(head(request, address, keep)?).await;
        self.read(response.map_err(|error| failed("the exchange", &error))?, request.most, keep).await
    }

    async fn ask(&mut self, head: http::Request<Full<Bytes>>) -> Result<http::Response<Incoming>, hyper::Error> {
        let answered = self.sender.send_request(head);
        drive(&mut self.driver, answered).await
    }

    async fn read(
        mut self: Box<Self>,
        response: http::Response<Incoming>,
        most: usize,
        keep: &Keep,
    ) -> Result<Answer, String> {
        let (head, body) = response.into_parts();
        let mut body = Limited::new(body, MAX_BYTES);
        let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
        let is_whole = loop {
            if bytes.len() >= most {
                break false;
            }
            let Some(frame) = drive(&mut self.driver, body.frame()).await else { break true };
            let frame = frame.map_err(|error| format!("reading the answer failed: {error}"))?;
            match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        };
        if keep.reuses && is_whole && self.driver.is_some() {
            keep.put(self);
        }
        Ok(Answer::new(&head.into(), (bytes, most), is_whole.then(|| trailers.into()).as_ref()))
    }
}

fn head(request: &Request, address: SocketAddr, keep: &Keep) -> Result<http::Request<Full<Bytes>>, String> {
    let mut head = request.head(&request.path, |_| true)?;
    let fields = head.headers_mut();
    if !fields.contains_key(HOST) {
        fields.insert(HOST, HeaderValue::try_from(address.to_string()).map_err(|error| error.to_string())?);
    }
    if !keep.reuses {
        fields.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(head.map(|()| Full::new(request.body.clone())))
}

/// Moves the bytes of a connection until what is waited for is there: in a task of its own, it would be woken for each of
/// them, and wake in turn who waits.
async fn drive<T>(driver: &mut Option<Driver>, awaited: impl Future<Output = T>) -> T {
    let mut awaited = pin!(awaited);
    poll_fn(|task| {
        // Its errors reach whoever waits.
        if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(task).is_ready()) {
            *driver = None;
        }
        awaited.as_mut().poll(task)
    })
    .await
}

fn failed(doing: &str, error: &dyn std::error::Error) -> String {
    format!("{doing} failed: {error}")
}
