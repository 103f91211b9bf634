use std::rc::Rc;
use std::time::Duration;

use plimsoll_http1::HeadLimits;

use super::connection::Connection;
use crate::error::Error;
use crate::timer::Timers;
use crate::upstream::dial::{Dialer, PoolSettings};
use crate::upstream::shared::{self, Opened, Opener};

pub(in crate::upstream) type Lease = shared::Lease<Http3>;
pub(in crate::upstream) type Place = shared::Place<Http3>;
pub(in crate::upstream) type Pool = shared::Pool<Http3>;

/// How long a handshake is waited for where `timeouts.connect` says nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes connections of HTTP/3.
#[derive(Debug)]
pub(in crate::upstream) struct Http3 {
    dialer: Rc<Dialer>,
    head_limits: HeadLimits,
    /// For a handshake; as much again is left for what is done in its place.
    patience: Duration,
}

impl Http3 {
    pub(in crate::upstream) fn new(dialer: Rc<Dialer>, settings: &PoolSettings) -> Self {
        let patience = settings.connect_timeout.map_or(PATIENCE, |timeout| timeout / 2);
        Self { dialer, head_limits: settings.head_limits, patience }
    }

    /// How long an endpoint has to shake hands.
    pub(in crate::upstream) fn patience(&self) -> Duration {
        self.patience
    }
}

impl Opener for Http3 {
    type Connection = Connection;
    /// What it speaks instead is to be found out: nothing of QUIC is left.
    type Other = ();

    async fn open(&self, timers: &Timers, changed: impl Fn() + 'static) -> Result<Opened<Self>, Error> {
        match self.dialer.dial_quic(self.patience, timers).await? {
            Some(quic) => Ok(Opened::Connection(Connection::begin(quic, self.head_limits, changed))),
            None => Ok(Opened::Other(None)),
        }
    }
}
