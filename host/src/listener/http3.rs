//! HTTP/3 with a client: a task drives the connection, and one of its own answers each request.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderName, Response, StatusCode, Version, response};
use http_body::Body;
use plimsoll_http3::{
    Code, Control, ControlFrame, MOST, QpackStream, Settings, StreamKind, encode_response, encode_trailers,
    put_data_header, put_goaway, put_section, put_settings, take_stream_kind,
};
use quinn::{RecvStream, SendStream, VarInt};

use super::session::Session;
use crate::downstream::{ClientBody, Http3Body, NoHead};
use crate::error::ErrorKind;
use crate::proxy::{self, Client, Link, ResponseBody};
use crate::telemetry::BadRequest;
use crate::timer::Timer;

/// How long a client that is told that the connection ends may still begin requests: it has heard of it by then.
const LEAST_NOTICE: Duration = Duration::from_millis(50);

/// A client's connection.
struct Connection {
    session: Session,
    quic: quinn::Connection,
    /// As the session has it, until its address changes.
    client: RefCell<Rc<Client>>,
    /// Bits of the streams that a client has one of.
    client_streams: Cell<u8>,
    /// From which stream on requests are refused.
    refuses_from: Cell<u64>,
}

/// Serves a connection until either side is done with it.
pub(super) async fn serve(session: Session, quic: quinn::Connection) {
    let client = RefCell::new(session.client.clone());
    let refuses_from = Cell::new(MOST);
    let connection = Rc::new(Connection { session, quic, client, client_streams: Cell::new(0), refuses_from });
    connection.session.connection.idle();
    let code = connection.run().await;
    connection.quic.close(code.into_quic(), b"");
}

trait IntoQuic {
    fn into_quic(self) -> VarInt;
}

impl IntoQuic for Code {
    fn into_quic(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

/// What happens on a connection beside its requests.
enum Event {
    Request(SendStream, RecvStream),
    Stream(RecvStream),
    /// The worker or the client's being idle ask for the end.
    ToEnd,
    /// The client has heard of it by now.
    Noticed,
    /// Nothing is under way any more.
    Quiet,
    Gone,
}

/// How far the end of a connection is (RFC 9114 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// The client has been told that it ends, and may not have heard of it.
    Noticed,
    /// Nothing new is taken.
    Refusing,
}

impl Connection {
    /// Answers with what the client is told at the end.
    async fn run(self: &Rc<Self>) -> Code {
        let Ok(mut control) = self.quic.open_uni().await else { return Code::NoError };
        let settings = Settings {
            max_field_section_size: Some(self.session.config.limits.header_bytes as u64),
            enable_connect_protocol: self.session.config.upgrades.allow("websocket"),
        };
        let mut greeting = Vec::new();
        put_settings(&mut greeting, &settings);
        if control.write_all(&greeting).await.is_err() {
            return Code::NoError;
        }
        let timer = self.session.context.timers.timer();
        let (mut ending, mut next) = (Ending::No, 0);
        loop {
            match self.event(ending, &timer).await {
                Event::Request(send, recv) => {
                    next = u64::from(recv.id()) + 4;
                    drop(tokio::task::spawn_local(self.clone().answer(send, recv)));
                }
                Event::Stream(stream) => drop(tokio::task::spawn_local(self.clone().listen(stream))),
                Event::ToEnd => {
                    ending = Ending::Noticed;
                    self.session.connection.drain();
                    self.say_goaway(&mut control, LAST_STREAM).await;
                    timer.arm((self.quic.rtt() * 3).max(LEAST_NOTICE));
                }
                Event::Noticed => {
                    ending = Ending::Refusing;
                    self.refuses_from.set(next);
                    self.say_goaway(&mut control, next).await;
                }
                // Whatever was answered, its client has.
                Event::Gone | Event::Quiet => return Code::NoError,
            }
        }
    }

    async fn event(&self, ending: Ending, timer: &Timer) -> Event {
        let connection = &self.session.connection;
        let (mut request, mut stream) = (pin!(self.quic.accept_bi()), pin!(self.quic.accept_uni()));
        poll_fn(|task| {
            if let Poll::Ready(accepted) = request.as_mut().poll(task) {
                return Poll::Ready(accepted.map_or(Event::Gone, |(send, recv)| Event::Request(send, recv)));
            }
            if let Poll::Ready(accepted) = stream.as_mut().poll(task) {
                return Poll::Ready(accepted.map_or(Event::Gone, Event::Stream));
            }
            match ending {
                Ending::No if connection.poll_draining(task) => Poll::Ready(Event::ToEnd),
                // Nothing but being idle takes its time: heads and answers have timers of their own.
                Ending::No => connection.poll_timeout(task).map(|_| Event::ToEnd),
                Ending::Noticed => timer.poll_fired(task).map(|()| Event::Noticed),
                Ending::Refusing if connection.poll_quiet(task) => Poll::Ready(Event::Quiet),
                Ending::Refusing => Poll::Pending,
            }
        })
        .await
    }

    /// Says from which stream on nothing is taken.
    async fn say_goaway(&self, control: &mut SendStream, stream: u64) {
        let mut frame = Vec::new();
        put_goaway(&mut frame, stream);
        // Whoever has gone needs none.
        let _ = control.write_all(&frame).await;
    }

    fn end(&self, code: Code) {
        self.quic.close(code.into_quic(), b"");
    }

    /// Reads a stream that the client has for itself, up to its end.
    async fn listen(self: Rc<Self>, mut stream: RecvStream) {
        if let Err(code) = self.hear(&mut stream).await {
            self.end(code);
        }
    }

    async fn hear(&self, stream: &mut RecvStream) -> Result<(), Code> {
        let mut begun = Vec::new();
        let (kind, mut bytes) = loop {
            let mut rest = &begun[..];
            if let Some(kind) = take_stream_kind(&mut rest) {
                break (kind, Bytes::copy_from_slice(rest));
            }
            match stream.read_chunk(KIND_BYTES - begun.len(), true).await {
                Ok(Some(chunk)) => begun.extend_from_slice(&chunk.bytes),
                // RFC 9114 section 6.2: one that ends before it says what it is for is no error.
                Ok(None) | Err(_) => return Ok(()),
            }
        };
        let mut listening = match kind {
            StreamKind::Control => Listening::Control(Control::default()),
            StreamKind::QpackEncoder => Listening::Qpack(QpackStream::encoder()),
            StreamKind::QpackDecoder => Listening::Qpack(QpackStream::decoder()),
            // Section 6.2.2: only servers push.
            StreamKind::Push => return Err(Code::StreamCreationError),
            StreamKind::Unknown => {
                let _ = stream.stop(Code::StreamCreationError.into_quic());
                return Ok(());
            }
        };
        let bit = 1 << kind as u8;
        if self.client_streams.get() & bit != 0 {
            return Err(Code::StreamCreationError);
        }
        self.client_streams.set(self.client_streams.get() | bit);
        loop {
            match &mut listening {
                Listening::Qpack(qpack) => qpack.read(&bytes)?,
                Listening::Control(control) => {
                    control.read(&bytes);
                    while let Some(frame) = control.take()? {
                        match frame {
                            // What it can take of fields is for answers that are larger than any; what else it says concerns
                            // those that push.
                            ControlFrame::Settings(_) | ControlFrame::GoAway => {}
                        }
                    }
                }
            }
            match stream.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => bytes = chunk.bytes,
                Ok(None) | Err(quinn::ReadError::Reset(_)) => return Err(Code::ClosedCriticalStream),
                Err(_) => return Ok(()),
            }
        }
    }
}

/// The largest number by which a client could begin a request.
const LAST_STREAM: u64 = MOST - 3;
/// What the kind of a stream takes at the most.
const KIND_BYTES: usize = 8;

enum Listening {
    Control(Control),
    Qpack(QpackStream),
}

impl Connection {
    /// Answers one request.
    async fn answer(self: Rc<Self>, mut send: SendStream, recv: RecvStream) {
        let under_way = self.session.connection.begin_request();
        if u64::from(recv.id()) >= self.refuses_from.get() {
            // RFC 9114 section 5.2: it may safely be sent again elsewhere.
            self.give_up(&mut send, recv, Code::RequestRejected);
            return;
        }
        let mut body = Http3Body::new(self.quic.clone(), recv, self.session.config.limits.header_bytes);
        let patience = self.session.connection.patience();
        let head = self.session.context.timers.bound(patience.head, body.read_head()).await;
        let link = Http3Link::new(send, &self);
        let response = match head {
            Ok(Ok(head)) => {
                let mut parts = head.parts;
                if let Some(protocol) = head.protocol {
                    parts.extensions.insert(h2::ext::Protocol::from(protocol.as_str()));
                }
                self.respond_to(parts, body, &link).await
            }
            Ok(Err(NoHead::TooLarge)) => self.session.refuse(ErrorKind::HeadTooLarge, Version::HTTP_3),
            Ok(Err(NoHead::Malformed(how))) => {
                self.session.refuse_stream(ErrorKind::BadRequest(how), Version::HTTP_3);
                body.stop(Code::MessageError);
                return link.reset(Code::MessageError);
            }
            Ok(Err(NoHead::Gone | NoHead::Broken)) => return link.reset(Code::RequestCancelled),
            Err(_elapsed) => {
                if let Some(listener) = self.session.slot.current() {
                    listener.shard.bad_request(BadRequest::Timeout);
                }
                body.stop(Code::RequestRejected);
                return link.reset(Code::RequestRejected);
            }
        };
        match response {
            Some(response) => {
                let mut sending = link.into_sending(self.session.context.timers.timer(), patience.write);
                sending.send(response).await;
            }
            None => link.reset(Code::RequestCancelled),
        }
        drop(under_way);
    }

    fn give_up(&self, send: &mut SendStream, mut recv: RecvStream, code: Code) {
        // Either may be over.
        let _ = recv.stop(code.into_quic());
        let _ = send.reset(code.into_quic());
    }

    /// Has the request answered. None when its client has given it up.
    async fn respond_to(
        &self,
        mut head: http::request::Parts,
        body: Http3Body,
        link: &Http3Link,
    ) -> Option<Response<ResponseBody>> {
        let Some(listener) = self.session.listener() else {
            let mut response = Response::new(ResponseBody::default());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Some(response);
        };
        link.prioritise(&head.headers);
        let mut body = if body.is_ended() { ClientBody::Empty } else { ClientBody::Http3(Box::new(body)) };
        if head.extensions.get::<h2::ext::Protocol>().is_some() {
            // What comes is not the request's, but of the protocol that it asks for (RFC 9220).
            link.tunnel.replace(Some(std::mem::replace(&mut body, ClientBody::Empty)));
        }
        let (context, client) = (self.session.context.clone(), self.client());
        let mut serving = pin!(proxy::serve(context, listener, client, &mut head, body, link));
        let mut stopped = pin!(link.send.borrow().stopped());
        poll_fn(|task| {
            if let Poll::Ready(response) = serving.as_mut().poll(task) {
                return Poll::Ready(Some(response));
            }
            // Ready when the client does not want the answer, or is gone.
            stopped.as_mut().poll(task).map(|_| None)
        })
        .await
    }

    /// Who asks: the address may be another than at the beginning (RFC 9000 section 9).
    fn client(&self) -> Rc<Client> {
        let address = self.quic.remote_address();
        let mut client = self.client.borrow_mut();
        if client.address != address {
            *client = Rc::new(client.moved_to(address));
        }
        client.clone()
    }
}

/// What a request says to its client before its answer.
struct Http3Link {
    send: RefCell<SendStream>,
    /// What could not be sent yet.
    unsent: RefCell<BytesMut>,
    /// What comes in the protocol that the request asks for.
    tunnel: RefCell<Option<ClientBody>>,
    local_address: Option<SocketAddr>,
}

const PRIORITY: HeaderName = HeaderName::from_static("priority");
/// RFC 9218 section 4.1.
const DEFAULT_URGENCY: u8 = 3;

impl Http3Link {
    fn new(send: SendStream, connection: &Connection) -> Self {
        let port = connection.session.config.bind.port();
        let local_address = connection.quic.local_ip().map(|ip| SocketAddr::new(ip, port));
        let (send, unsent, tunnel) = (RefCell::new(send), RefCell::default(), RefCell::default());
        Self { send, unsent, tunnel, local_address }
    }

    /// What the client finds urgent goes before what it does not (RFC 9218).
    fn prioritise(&self, headers: &HeaderMap) {
        let Some(priority) = headers.get(PRIORITY) else { return };
        let mut members = priority.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let urgency = members.find_map(|member| match member {
            [b'u', b'=', urgency @ b'0'..=b'7'] => Some(urgency - b'0'),
            _ => None,
        });
        // The stream may be over.
        let _ =
            self.send.borrow().set_priority(i32::from(DEFAULT_URGENCY) - i32::from(urgency.unwrap_or(DEFAULT_URGENCY)));
    }

    fn reset(self, code: Code) {
        // It may be over.
        let _ = self.send.into_inner().reset(code.into_quic());
    }

    fn into_sending(self, timer: Timer, patience: Option<Duration>) -> Sending {
        Sending { stream: self.send.into_inner(), unsent: self.unsent.into_inner(), timer, patience }
    }
}

impl Link for Http3Link {
    fn informational(&self, head: response::Parts) {
        let mut unsent = self.unsent.borrow_mut();
        if !unsent.is_empty() {
            // The client takes nothing.
            return;
        }
        put_head(&mut unsent, head.status, &head.headers);
        let mut send = self.send.borrow_mut();
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        let mut chunk = [unsent.split().freeze()];
        // What finds no room goes before the answer.
        let _ = pin!(send.write_chunks(&mut chunk)).poll(&mut nobody);
        let [rest] = chunk;
        unsent.extend_from_slice(&rest);
    }

    fn queued(&self, _queued: bool) {
        // A client that goes stops its stream.
    }

    fn tunnel(&self) -> Option<ClientBody> {
        self.tunnel.take()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }
}

fn put_head(bytes: &mut BytesMut, status: StatusCode, headers: &HeaderMap) {
    let mut section = Vec::with_capacity(256);
    encode_response(status, headers, &mut section);
    put_section(bytes, &section);
}

/// Sends an answer at the pace of its client.
struct Sending {
    stream: SendStream,
    /// What goes before the next piece.
    unsent: BytesMut,
    timer: Timer,
    patience: Option<Duration>,
}

impl Sending {
    async fn send(&mut self, response: Response<ResponseBody>) {
        let (mut head, mut body) = response.into_parts();
        // Protocols are not asked for in a field.
        head.headers.remove(UPGRADE);
        if body.is_tunnel() {
            // RFC 9220: as over HTTP/2, the status is enough.
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        }
        put_head(&mut self.unsent, head.status, &head.headers);
        let mut stopped = pin!(self.stream.stopped());
        let sent = match body.is_end_stream() {
            true => self.write(Bytes::new()).await,
            false => self.send_body(&mut body, stopped.as_mut()).await,
        };
        match sent {
            Ok(()) => {
                // It may have been stopped. What is sent counts as under way until the client has it, so that nobody closes the
                // connection before.
                if self.stream.finish().is_ok() {
                    let _ = stopped.await;
                }
            }
            // It may be over.
            Err(code) => drop(self.stream.reset(code.into_quic())),
        }
    }

    async fn send_body(
        &mut self,
        body: &mut ResponseBody,
        mut stopped: Pin<&mut impl Future<Output: Sized>>,
    ) -> Result<(), Code> {
        loop {
            let frame = {
                let first = poll_fn(|task| Poll::Ready(Pin::new(&mut *body).poll_frame(task))).await;
                match first {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => {
                        // What there is goes to the client before the wait.
                        self.write(Bytes::new()).await?;
                        poll_fn(|task| {
                            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(task) {
                                return Poll::Ready(Ok(frame));
                            }
                            stopped.as_mut().poll(task).map(|_| Err(Code::RequestCancelled))
                        })
                        .await?
                    }
                }
            };
            match frame {
                None => return self.write(Bytes::new()).await,
                // An answer that breaks off must not look whole (RFC 9114 section 4.1).
                Some(Err(_)) => return Err(Code::InternalError),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        put_data_header(&mut self.unsent, data.len());
                        self.write(data).await?;
                        if body.is_end_stream() {
                            return Ok(());
                        }
                    }
                    Err(frame) => {
                        let mut section = Vec::new();
                        encode_trailers(&frame.into_trailers().unwrap_or_default(), &mut section);
                        put_section(&mut self.unsent, &section);
                        return self.write(Bytes::new()).await;
                    }
                },
            }
        }
    }

    /// Sends a piece behind what was not sent yet. A client that takes nothing for too long is let go: it would hold what the
    /// answer holds.
    async fn write(&mut self, data: Bytes) -> Result<(), Code> {
        let mut chunks = [self.unsent.split().freeze(), data];
        while chunks.iter().any(|chunk| !chunk.is_empty()) {
            let mut writing = pin!(self.stream.write_chunks(&mut chunks));
            let written = match poll_fn(|task| Poll::Ready(writing.as_mut().poll(task))).await {
                Poll::Ready(written) => written,
                Poll::Pending => {
                    match self.patience {
                        Some(patience) => self.timer.arm(patience),
                        None => self.timer.disarm(),
                    }
                    let written = self.timer.bound(writing).await;
                    self.timer.disarm();
                    written.map_err(|_elapsed| Code::RequestCancelled)?
                }
            };
            written.map_err(|_| Code::RequestCancelled)?;
        }
        Ok(())
    }
}
