use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::dial::{Dialer, Introduction, PoolSettings};
use super::exclusive::ExclusivePool;
use super::http2;
use super::lease::Lease;
use crate::error::{Error, ErrorKind};
use crate::io::Stream;
use crate::timer::Timers;
use crate::tls::Carries;

/// A worker's connections to an address where the handshake of TLS decides what is spoken on each (ALPN, RFC 7301).
#[derive(Debug)]
pub(super) struct Negotiated {
    dialer: Rc<Dialer>,
    exclusive: Rc<ExclusivePool>,
    shared: Rc<http2::Pool>,
    connect_timeout: Option<Duration>,
    /// By the last handshake, the endpoint speaks HTTP/1.1: each request gets a connection. Otherwise, and at first, those who
    /// want one wait for the same.
    speaks_http1: Cell<bool>,
}

impl Negotiated {
    pub(super) fn new(dialer: Rc<Dialer>, settings: &PoolSettings) -> Self {
        Self {
            exclusive: Rc::new(ExclusivePool::new(dialer.clone(), settings)),
            shared: http2::Pool::new(http2::Http2::new(dialer.clone(), settings), settings),
            connect_timeout: settings.connect_timeout,
            dialer,
            speaks_http1: Cell::new(false),
        }
    }

    /// What can be had without waiting. With `only_http1`, whatever the endpoint prefers: WebSocket over HTTP/2 (RFC 8441)
    /// is known to few.
    pub(super) fn take(&self, only_http1: bool) -> Option<Lease> {
        if only_http1 {
            return Lease::of_kept(&self.exclusive);
        }
        self.shared.take().map(Lease::Http2).or_else(|| Lease::of_kept(&self.exclusive))
    }

    pub(super) async fn connect(&self, only_http1: bool, timers: &Timers) -> Result<Lease, Error> {
        if only_http1 {
            return Ok(self.begin(self.dialer.connect(Carries::Http1, &Introduction::NONE, timers).await?));
        }
        if !self.speaks_http1.get() {
            match self.shared.wait(timers).await? {
                http2::Place::On(lease) => return Ok(Lease::Http2(lease)),
                http2::Place::Other(stream) => {
                    self.speaks_http1.set(true);
                    if let Some(stream) = stream {
                        return Ok(self.begin(*stream));
                    }
                }
            }
        }
        let stream = self.dialer.connect(Carries::Http, &Introduction::NONE, timers).await?;
        if stream.speaks_http2() { self.go_over(stream, timers).await } else { Ok(self.begin(stream)) }
    }

    fn begin(&self, stream: Stream) -> Lease {
        Lease::of_new(self.exclusive.begin(stream), &self.exclusive)
    }

    /// The endpoint has learned HTTP/2.
    async fn go_over(&self, stream: Stream, timers: &Timers) -> Result<Lease, Error> {
        self.speaks_http1.set(false);
        let speaking = self.shared.opener().speak(stream, self.shared.when_changed());
        let spoken = timers.bound(self.connect_timeout, speaking).await;
        self.shared.add(spoken.unwrap_or_else(|_elapsed| Err(ErrorKind::ConnectTimeout.into()))?, timers);
        self.shared.place().map(Lease::Http2).ok_or_else(|| ErrorKind::ConnectFailure.into())
    }

    pub(super) fn sweep(&self, now: Instant) {
        self.exclusive.sweep(now);
        self.shared.sweep(now);
    }
}
