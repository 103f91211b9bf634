use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::dial::PoolSettings;
use super::exclusive::ExclusivePool;
use super::http2;
use super::lease::Lease;
use crate::config::UpstreamProtocol;
use crate::error::Error;
use crate::timer::Timers;

/// A worker's connections to one address, which requests lease.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    settings: PoolSettings,
    connections: Connections,
}

#[derive(Debug)]
enum Connections {
    Exclusive(Rc<ExclusivePool>),
    Shared(Rc<http2::Pool>),
}

impl Pool {
    pub fn new(address: SocketAddr, settings: PoolSettings) -> Self {
        let connections = match settings.protocol {
            UpstreamProtocol::Http1 => Connections::Exclusive(Rc::new(ExclusivePool::new(address, settings))),
            UpstreamProtocol::Http2 => Connections::Shared(http2::Pool::new(address, settings)),
        };
        Self { address, settings, connections }
    }

    /// True when connections kept under these terms can be kept under the new ones.
    pub fn serves(&self, address: SocketAddr, settings: &PoolSettings) -> bool {
        self.address == address && self.settings == *settings
    }

    /// What can be had without waiting: a connection that is there, as far as is known, or a place on one.
    pub(super) fn take(&self) -> Option<Lease> {
        match &self.connections {
            Connections::Exclusive(pool) => {
                pool.take().map(|connection| Lease::Exclusive { connection, pool: pool.clone(), reused: true })
            }
            Connections::Shared(pool) => pool.take().map(Lease::Shared),
        }
    }

    /// A new connection, or a place on one as soon as there is one.
    pub(super) async fn connect(&self, timers: &Timers) -> Result<Lease, Error> {
        match &self.connections {
            Connections::Exclusive(pool) => {
                let connection = pool.connect(timers).await?;
                Ok(Lease::Exclusive { connection, pool: pool.clone(), reused: false })
            }
            Connections::Shared(pool) => pool.wait(timers).await.map(Lease::Shared),
        }
    }

    /// Closes connections that have been idle for too long, or that the endpoint has closed.
    pub fn sweep(&self, now: Instant) {
        match &self.connections {
            Connections::Exclusive(pool) => pool.sweep(now),
            Connections::Shared(pool) => pool.sweep(now),
        }
    }
}
