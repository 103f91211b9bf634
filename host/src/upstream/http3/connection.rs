use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use plimsoll_http1::HeadLimits;
use plimsoll_http3::{Code, ControlFrame, MOST, Settings, Side, put_settings};
use quinn::{ConnectionError, RecvStream, SendStream, StreamId};
use tokio::sync::Notify;

use crate::io::{IntoQuic, PeerStreams, hear};
use crate::upstream::shared::{Carrier, Places};

/// A connection to an endpoint, for many requests at once.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    pub(super) quic: quinn::Connection,
    pub(super) head_limits: HeadLimits,
    state: Rc<State>,
    places: Places,
}

/// Both directions of a stream. In a box, since every lease has room for it, also those of HTTP/1.1.
pub(super) type Stream = Box<(SendStream, RecvStream)>;

/// What is known of a connection.
#[derive(Debug)]
struct State {
    /// A stream that the next request may have: that there is one says that the endpoint allows one more.
    next: RefCell<Option<Stream>>,
    /// Somebody waits for the endpoint to allow one.
    is_waiting: Cell<bool>,
    /// Requests that were under way when it allowed no more.
    limit: Cell<usize>,
    settings: Cell<Option<Settings>>,
    /// From which stream on the endpoint acts on nothing.
    refuses_from: Cell<u64>,
    is_closed: Cell<bool>,
    /// The endpoint has said something of the connection, or has gone.
    told: Notify,
}

impl State {
    /// Keeps a stream for the next request. One is enough: of another the endpoint has to hear that it is not used, to allow more.
    fn keep(&self, stream: Stream) {
        if let Some(spare) = self.next.replace(Some(stream)) {
            cancel(*spare);
        }
    }
}

/// Streams on one connection, whatever more the endpoint allows. The next request gets another connection.
const STREAMS: usize = 128;

impl Connection {
    /// Begins to speak. `changed` is called whenever there may be room that was not there, and at the end.
    pub(super) fn begin(quic: quinn::Connection, head_limits: HeadLimits, changed: impl Fn() + 'static) -> Rc<Self> {
        let state = Rc::new(State {
            next: RefCell::default(),
            is_waiting: Cell::new(false),
            limit: Cell::new(STREAMS),
            settings: Cell::default(),
            refuses_from: Cell::new(MOST),
            is_closed: Cell::new(false),
            told: Notify::new(),
        });
        let changed = Rc::new(changed);
        let connection = Rc::new(Self { quic: quic.clone(), head_limits, state: state.clone(), places: Places::new() });
        // They hold no more than what is below, so that dropping the connection ends it.
        tokio::task::spawn_local(listen(quic.clone(), state.clone(), changed.clone()));
        tokio::task::spawn_local(drive(quic, state, head_limits, changed));
        connection.look_for_next(0);
        connection
    }

    /// Has a stream ready for the request behind those that are under way, as soon as the endpoint allows one.
    fn look_for_next(&self, under_way: usize) {
        if self.state.next.borrow().is_some() || self.state.is_waiting.get() {
            return;
        }
        let mut nobody = Context::from_waker(Waker::noop());
        match pin!(self.quic.open_bi()).poll(&mut nobody) {
            Poll::Ready(Ok(stream)) => self.state.keep(Box::new(stream)),
            // Who drives the connection tells.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.state.limit.set(under_way.clamp(1, STREAMS));
                self.state.is_waiting.set(true);
                self.state.told.notify_waiters();
            }
        }
    }

    /// What the endpoint allows. It says so at the beginning; none when it has gone without.
    pub(super) async fn settings(&self) -> Option<Settings> {
        loop {
            let told = self.state.told.notified();
            if let Some(settings) = self.state.settings.get() {
                return Some(settings);
            }
            if self.state.is_closed.get() {
                return None;
            }
            told.await;
        }
    }

    /// Ready when the endpoint has said that it does not act on this stream.
    pub(super) async fn refuses(&self, stream: StreamId) {
        loop {
            let told = self.state.told.notified();
            if self.is_refused(stream) {
                return;
            }
            told.await;
        }
    }

    pub(super) fn is_refused(&self, stream: StreamId) -> bool {
        u64::from(stream) >= self.state.refuses_from.get()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Before its streams are dropped, which would end them as if their requests were whole.
        self.quic.close(Code::NoError.into_quic(), b"");
    }
}

impl Carrier for Connection {
    type Stream = Stream;

    fn stream(&self) -> Option<Stream> {
        let under_way = self.places.taken();
        if under_way >= STREAMS {
            return None;
        }
        let stream = self.state.next.take()?;
        self.look_for_next(under_way + 1);
        Some(stream)
    }

    fn give_back(&self, stream: Stream) {
        self.state.keep(stream);
    }

    fn limit(&self) -> usize {
        self.state.limit.get()
    }

    fn is_closed(&self) -> bool {
        // RFC 9114 section 5.2: whatever number a GOAWAY has.
        self.state.is_closed.get() || self.state.refuses_from.get() < MOST
    }

    fn heard(&self) -> u64 {
        self.quic.stats().udp_rx.datagrams
    }

    fn places(&self) -> &Places {
        &self.places
    }
}

/// Ends a stream on which nothing is to be sent.
fn cancel((mut send, mut recv): (SendStream, RecvStream)) {
    // They may be over.
    let _ = send.reset(Code::RequestCancelled.into_quic());
    let _ = recv.stop(Code::RequestCancelled.into_quic());
}

/// Says what we allow, and waits for room for streams where there is none, until the end of the connection.
async fn drive(quic: quinn::Connection, state: Rc<State>, head_limits: HeadLimits, changed: Rc<impl Fn()>) {
    let settings = Settings { max_field_section_size: Some(head_limits.bytes as u64), enable_connect_protocol: false };
    let mut greeting = Vec::new();
    put_settings(&mut greeting, &settings);
    let greeted = async {
        let mut control = quic.open_uni().await?;
        // It is open as long as the connection.
        Ok::<_, ConnectionError>(control.write_all(&greeting).await.is_ok().then_some(control))
    };
    let control = greeted.await;
    while let Ok(Some(_)) = &control {
        let told = state.told.notified();
        if !state.is_waiting.get() {
            tokio::select! {
                () = told => continue,
                _ = quic.closed() => break,
            }
        }
        match quic.open_bi().await {
            Ok(stream) => {
                state.keep(Box::new(stream));
                state.is_waiting.set(false);
                changed();
            }
            Err(_) => break,
        }
    }
    let error = quic.closed().await;
    tracing::debug!("connection to an endpoint ended: {error}");
    state.is_closed.set(true);
    state.told.notify_waiters();
    changed();
}

/// Hears what the endpoint says of the connection.
async fn listen(quic: quinn::Connection, state: Rc<State>, changed: Rc<impl Fn() + 'static>) {
    let streams = Rc::new(PeerStreams::of(Side::Server));
    while let Ok(mut stream) = quic.accept_uni().await {
        let (quic, state, streams, changed) = (quic.clone(), state.clone(), streams.clone(), changed.clone());
        tokio::task::spawn_local(async move {
            let heard = hear(&streams, &mut stream, |frame| {
                match frame {
                    ControlFrame::Settings(settings) => state.settings.set(Some(settings)),
                    ControlFrame::GoAway(from) => state.refuses_from.set(from),
                }
                state.told.notify_waiters();
                changed();
            });
            if let Err(code) = heard.await {
                quic.close(code.into_quic(), b"");
            }
        });
    }
}
