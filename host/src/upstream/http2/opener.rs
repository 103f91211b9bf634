use std::rc::Rc;

use plimsoll_http1::HeadLimits;

use super::connection::Connection;
use crate::error::Error;
use crate::io::Stream;
use crate::timer::Timers;
use crate::tls::Carries;
use crate::upstream::dial::{Dialer, Introduction, PoolSettings};
use crate::upstream::shared::{self, Opened, Opener};

pub(in crate::upstream) type Lease = shared::Lease<Http2>;
pub(in crate::upstream) type Place = shared::Place<Http2>;
pub(in crate::upstream) type Pool = shared::Pool<Http2>;

/// Makes connections of HTTP/2.
#[derive(Debug)]
pub(in crate::upstream) struct Http2 {
    dialer: Rc<Dialer>,
    head_limits: HeadLimits,
}

impl Http2 {
    pub(in crate::upstream) fn new(dialer: Rc<Dialer>, settings: &PoolSettings) -> Self {
        Self { dialer, head_limits: settings.head_limits }
    }

    /// Begins to speak on a connection of which it is known that the endpoint does so, too.
    pub(in crate::upstream) async fn speak(
        &self,
        stream: Stream,
        changed: impl Fn() + 'static,
    ) -> Result<Rc<Connection>, Error> {
        Connection::open(stream, self.head_limits, changed).await
    }
}

impl Opener for Http2 {
    type Connection = Connection;
    /// A connection on which HTTP/1.1 was agreed on.
    type Other = Box<Stream>;

    async fn open(&self, _timers: &Timers, changed: impl Fn() + 'static) -> Result<Opened<Self>, Error> {
        let stream = self.dialer.dial(Carries::Http, &Introduction::NONE).await?;
        if stream.is_encrypted() && !stream.speaks_http2() {
            return Ok(Opened::Other(Some(Box::new(stream))));
        }
        self.speak(stream, changed).await.map(Opened::Connection)
    }
}
