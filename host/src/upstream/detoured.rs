use std::rc::Rc;
use std::time::{Duration, Instant};

use super::dial::{Dialer, PoolSettings};
use super::http2;
use super::http3;
use super::lease::Lease;
use crate::error::{Error, ErrorKind};
use crate::snapshot::DetourState;
use crate::timer::{Timers, now_ms};

/// A worker's connections to an address that speaks HTTP/3, and HTTP/2 over TCP while UDP does not come through.
#[derive(Debug)]
pub(super) struct Detoured {
    dialer: Rc<Dialer>,
    connect_timeout: Option<Duration>,
    direct: Rc<http3::Pool>,
    detour: Rc<http2::Pool>,
}

impl Detoured {
    pub(super) fn new(dialer: Rc<Dialer>, settings: &PoolSettings) -> Self {
        Self {
            direct: http3::Pool::new(http3::Http3::new(dialer.clone(), settings), settings),
            detour: http2::Pool::new(http2::Http2::new(dialer.clone(), settings), settings),
            connect_timeout: settings.connect_timeout,
            dialer,
        }
    }

    /// What can be had without waiting.
    pub(super) fn take(&self) -> Option<Lease> {
        match self.dialer.detour().state(now_ms()) {
            DetourState::None => self.direct.take().map(Lease::Http3),
            DetourState::Taken => self.detour.take().map(Lease::Http2),
            // Whoever asks for a connection sees whether it is still needed.
            DetourState::Due => None,
        }
    }

    pub(super) async fn connect(&self, timers: &Timers) -> Result<Lease, Error> {
        let connected = timers.bound(self.connect_timeout, self.connect_either_way(timers)).await;
        connected.unwrap_or_else(|_elapsed| Err(ErrorKind::ConnectTimeout.into()))
    }

    async fn connect_either_way(&self, timers: &Timers) -> Result<Lease, Error> {
        let (detour, now) = (self.dialer.detour(), now_ms());
        if detour.state(now) == DetourState::None {
            match self.direct.wait(timers).await? {
                http3::Place::On(lease) => return Ok(Lease::Http3(lease)),
                http3::Place::Other(_) => {}
            }
        } else if detour.is_mine_to_try(now, self.direct.opener().patience()) {
            // Beside the request, which nobody makes wait for it.
            self.direct.open_one(timers);
        }
        match self.detour.take() {
            Some(lease) => Ok(Lease::Http2(lease)),
            None => Lease::of_http2(&self.detour, timers).await,
        }
    }

    pub(super) fn sweep(&self, now: Instant) {
        self.direct.sweep(now);
        self.detour.sweep(now);
    }
}
