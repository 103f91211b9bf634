//! HTTP/3 with a client: a task drives the connection, and one of its own answers each request.

mod connection;
mod outbound;
mod request;
mod sending;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use plimsoll_http3::{Code, MOST, Settings, put_goaway, put_settings};
use quinn::{RecvStream, SendStream};

use self::connection::Connection;
use super::session::Session;
use crate::io::hear;
use crate::timer::Timer;

/// The largest number by which a client could begin a request.
const LAST_STREAM: u64 = MOST - 3;
/// How long a client that is told that the connection ends may still begin requests: it has heard of it by then.
const LEAST_NOTICE: Duration = Duration::from_millis(50);
/// How long a client is waited for to make room for the few bytes of our own stream.
const CONTROL_PATIENCE: Duration = Duration::from_secs(5);

/// Serves a connection until either side is done with it.
pub(super) async fn serve(session: Session, quic: quinn::Connection) {
    session.connection.idle();
    let driver = Driver(Rc::new(Connection::new(session, quic)));
    let code = driver.run().await;
    driver.0.end(code);
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

/// What runs a connection beside its requests.
struct Driver(Rc<Connection>);

impl Driver {
    /// Answers with what the client is told at the end.
    async fn run(&self) -> Code {
        let settings = Settings {
            max_field_section_size: Some(self.0.session.config.limits.header_bytes as u64),
            enable_connect_protocol: self.0.session.config.upgrades.allow("websocket"),
        };
        let mut greeting = Vec::new();
        put_settings(&mut greeting, &settings);
        let Some(mut control) = self.open_control(&greeting).await else { return Code::ClosedCriticalStream };
        let timer = self.0.session.context.timers.timer();
        let (mut ending, mut next) = (Ending::No, 0);
        loop {
            match self.event(ending, &timer).await {
                Event::Request(send, recv) => {
                    next = u64::from(recv.id()) + 4;
                    drop(tokio::task::spawn_local(request::answer(self.0.clone(), send, recv)));
                }
                Event::Stream(stream) => drop(tokio::task::spawn_local(listen(self.0.clone(), stream))),
                Event::ToEnd => {
                    ending = Ending::Noticed;
                    self.0.session.connection.drain();
                    self.say_goaway(&mut control, LAST_STREAM).await;
                    timer.arm((self.0.quic.rtt() * 3).max(LEAST_NOTICE));
                }
                Event::Noticed => {
                    ending = Ending::Refusing;
                    self.0.refuses_from.set(next);
                    self.say_goaway(&mut control, next).await;
                }
                // Whatever was answered, its client has.
                Event::Gone | Event::Quiet => return Code::NoError,
            }
        }
    }

    async fn event(&self, ending: Ending, timer: &Timer) -> Event {
        let connection = &self.0.session.connection;
        let (mut request, mut stream) = (pin!(self.0.quic.accept_bi()), pin!(self.0.quic.accept_uni()));
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

    /// Begins the stream of our own (RFC 9114 section 6.2.1). None when the client has gone, or has no room for it.
    async fn open_control(&self, greeting: &[u8]) -> Option<SendStream> {
        let opening = async {
            let mut control = self.0.quic.open_uni().await.ok()?;
            control.write_all(greeting).await.ok()?;
            Some(control)
        };
        self.0.session.context.timers.bound(Some(CONTROL_PATIENCE), opening).await.ok().flatten()
    }

    /// Says from which stream on nothing is taken.
    async fn say_goaway(&self, control: &mut SendStream, stream: u64) {
        let mut frame = Vec::new();
        put_goaway(&mut frame, stream);
        // Whoever has gone needs none, and whoever has no room for it has had its time.
        let _ = self.0.session.context.timers.bound(Some(CONTROL_PATIENCE), control.write_all(&frame)).await;
    }
}

/// Reads a stream that the client has for itself. What it can take of fields is for answers that are larger than any; what else
/// it says concerns those that push.
async fn listen(connection: Rc<Connection>, mut stream: RecvStream) {
    if let Err(code) = hear(&connection.client_streams, &mut stream, |_| ()).await {
        connection.end(code);
    }
}
