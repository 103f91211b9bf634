use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::detoured::Detoured;
use super::dial::{Dialer, Introduction, PoolSettings};
use super::exclusive::ExclusivePool;
use super::http2;
use super::lease::Lease;
use super::negotiated::Negotiated;
use crate::config::UpstreamProtocol;
use crate::error::Error;
use crate::snapshot::Endpoint;
use crate::telemetry::ClusterShard;
use crate::timer::Timers;

/// A worker's connections to one endpoint, which requests lease.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    host: Arc<str>,
    settings: PoolSettings,
    dialer: Rc<Dialer>,
    connections: Connections,
}

#[derive(Debug)]
enum Connections {
    Exclusive(Rc<ExclusivePool>),
    Http2(Rc<http2::Pool>),
    Http3(Box<Detoured>),
    Negotiated(Box<Negotiated>),
}

impl Pool {
    pub fn new(endpoint: &Endpoint, settings: &PoolSettings, shard: Arc<ClusterShard>) -> Self {
        let dialer = Rc::new(Dialer::new(endpoint, settings, shard));
        let connections = match settings.protocol {
            UpstreamProtocol::Http1 => Connections::Exclusive(Rc::new(ExclusivePool::new(dialer.clone(), settings))),
            UpstreamProtocol::Http2 => {
                Connections::Http2(http2::Pool::new(http2::Http2::new(dialer.clone(), settings), settings))
            }
            UpstreamProtocol::Http3 => Connections::Http3(Box::new(Detoured::new(dialer.clone(), settings))),
            UpstreamProtocol::Auto => Connections::Negotiated(Box::new(Negotiated::new(dialer.clone(), settings))),
        };
        let (address, host) = (endpoint.address, endpoint.host.clone());
        Self { address, host, settings: settings.clone(), dialer, connections }
    }

    /// True when connections kept under these terms can be kept under the new ones.
    pub fn serves(&self, endpoint: &Endpoint, settings: &PoolSettings) -> bool {
        self.address == endpoint.address
            && (settings.tls.is_none() || self.host == endpoint.host)
            && self.settings == *settings
    }

    /// What makes connections of which the pool knows nothing.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// What can be had without waiting: a connection that is there, as far as is known, or a place on one. `only_http1` counts
    /// where both could be had.
    pub(super) fn take(&self, only_http1: bool) -> Option<Lease> {
        match &self.connections {
            Connections::Exclusive(pool) => Lease::of_kept(pool),
            Connections::Http2(pool) => pool.take().map(Lease::Http2),
            Connections::Http3(pool) => pool.take(),
            Connections::Negotiated(pool) => pool.take(only_http1),
        }
    }

    /// A new connection, or a place on one as soon as there is one. One with an `introduction` is for one client, and
    /// of HTTP/1.1.
    pub(super) async fn connect(
        &self,
        only_http1: bool,
        introduction: &Introduction,
        timers: &Timers,
    ) -> Result<Lease, Error> {
        match &self.connections {
            Connections::Exclusive(pool) => Ok(Lease::of_new(pool.connect(introduction, timers).await?, pool)),
            Connections::Http2(pool) => Lease::of_http2(pool, timers).await,
            Connections::Http3(pool) => pool.connect(timers).await,
            Connections::Negotiated(pool) => pool.connect(only_http1, timers).await,
        }
    }

    /// Closes connections that have been idle for too long, or that the endpoint has closed.
    pub fn sweep(&self, now: Instant) {
        match &self.connections {
            Connections::Exclusive(pool) => pool.sweep(now),
            Connections::Http2(pool) => pool.sweep(now),
            Connections::Http3(pool) => pool.sweep(now),
            Connections::Negotiated(pool) => pool.sweep(now),
        }
    }
}
