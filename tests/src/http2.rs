use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A client of HTTP/2 with prior knowledge.
#[derive(Debug)]
pub struct Http2 {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// An HTTP/2 answer.
#[derive(Debug)]
pub struct Http2Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Answers in advance, before it.
    pub informational: Vec<(StatusCode, HeaderMap)>,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Http2 {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &Builder::new())
    }

    /// Connects with settings of its own.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn open_with(address: SocketAddr, builder: &Builder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (requests, connection) = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.expect("somebody listens");
            let (requests, connection) = builder.handshake(stream).await.expect("a handshake");
            (requests, tokio::spawn(connection))
        });
        Self { runtime, requests, connection }
    }

    /// One request without a body, and its whole answer.
    pub fn get(&self, uri: &str) -> Result<Http2Response, h2::Error> {
        self.send(Request::get(uri).body(()).expect("a request"), None)
    }

    /// One request and its whole answer.
    pub fn send(&self, request: Request<()>, body: Option<&[u8]>) -> Result<Http2Response, h2::Error> {
        let body = body.map(Bytes::copy_from_slice);
        self.runtime.block_on(async {
            let mut requests = self.requests.clone().ready().await?;
            let (mut response, mut sending) = requests.send_request(request, body.is_none())?;
            if let Some(body) = body {
                sending.send_data(body, true)?;
            }
            let mut informational = Vec::new();
            while let Some(head) = poll_fn(|task| response.poll_informational(task)).await {
                let (head, ()) = head?.into_parts();
                informational.push((head.status, head.headers));
            }
            let (head, mut body) = response.await?.into_parts();
            let content = read(&mut body).await?;
            let trailers = body.trailers().await?;
            let (status, headers) = (head.status, head.headers);
            Ok(Http2Response { status, headers, informational, body: content, trailers })
        })
    }

    /// Asks for another protocol (RFC 8441), and waits for the head of the answer.
    ///
    /// # Panics
    /// When the proxy does not allow it, or does not answer.
    pub fn connect(&self, uri: &str, protocol: &str) -> Tunnel<'_> {
        self.runtime.block_on(async {
            let mut requests = self.requests.clone().ready().await.expect("room for a request");
            wait_until(|| requests.is_extended_connect_protocol_enabled()).await;
            let request = Request::connect(uri).extension(Protocol::from(protocol)).body(()).expect("a request");
            let (response, sending) = requests.send_request(request, false).expect("a connection");
            let (head, receiving) = response.await.expect("an answer").into_parts();
            Tunnel { http2: self, status: head.status, headers: head.headers, sending, receiving }
        })
    }

    /// Begins requests without bodies, and reads nothing of their answers.
    ///
    /// # Panics
    /// When the connection takes no requests.
    pub fn begin(&self, uri: &str, count: usize) -> Vec<Begun> {
        self.runtime.block_on(async {
            let mut begun = Vec::new();
            for _ in 0..count {
                let mut requests = self.requests.clone().ready().await.expect("room for a request");
                let request = Request::get(uri).body(()).expect("a request");
                let (response, _) = requests.send_request(request, true).expect("a connection");
                begun.push(Begun(response));
            }
            begun
        })
    }

    /// Waits for the end of a request, and how its stream was reset, if it was. The window is not opened again.
    pub fn end_of(&self, begun: Begun) -> Option<Reason> {
        self.runtime.block_on(async {
            let ended = async {
                let mut body = begun.0.await?.into_body();
                while let Some(data) = body.data().await {
                    data?;
                }
                Ok(())
            };
            ended.await.err().and_then(|error: h2::Error| error.reason())
        })
    }

    /// Waits for the end of the connection; what GOAWAY said, if the proxy closed it so.
    pub fn closed(self) -> Option<Reason> {
        // Who may still ask does not close by itself, which would hide what the proxy says.
        let Self { runtime, requests: _may_ask, connection } = self;
        runtime.block_on(async {
            match connection.await.expect("no panic") {
                Ok(()) => Some(Reason::NO_ERROR),
                Err(error) if error.is_go_away() => error.reason(),
                Err(_) => None,
            }
        })
    }
}

/// A stream that another protocol may have.
#[derive(Debug)]
pub struct Tunnel<'a> {
    http2: &'a Http2,
    pub status: StatusCode,
    pub headers: HeaderMap,
    sending: SendStream<Bytes>,
    receiving: RecvStream,
}

impl Tunnel<'_> {
    /// # Panics
    /// When the stream is over.
    pub fn send(&mut self, bytes: &[u8], is_last: bool) {
        self.sending.send_data(Bytes::copy_from_slice(bytes), is_last).expect("an open stream");
    }

    /// So many bytes, or what came before the end.
    pub fn read(&mut self, wanted: usize) -> Vec<u8> {
        self.http2.runtime.block_on(async {
            let mut content = Vec::new();
            while content.len() < wanted
                && let Some(Ok(data)) = self.receiving.data().await
            {
                let _ = self.receiving.flow_control().release_capacity(data.len());
                content.extend_from_slice(&data);
            }
            content
        })
    }
}

/// The proxy's SETTINGS come by themselves.
async fn wait_until(condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed().as_secs() < 20, "waited too long");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// A request whose answer is not read.
#[derive(Debug)]
pub struct Begun(h2::client::ResponseFuture);

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut content = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        content.extend_from_slice(&data);
    }
    Ok(content)
}
