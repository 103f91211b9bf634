use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::client::Client;
use super::cluster::{Cluster, Picked};
use super::context::Context;
use super::listener::Listener;
use super::relay::{Moved, Side};
use super::reply::status_and_flag;
use crate::error::{Error, ErrorKind};
use crate::telemetry::{Carried, Flag, TunnelEnd, TunnelEntry};

/// The account of one TCP connection: what is known of it so far. It is closed exactly once, whatever happens, when it is
/// dropped: then it is counted and logged.
pub(super) struct TunnelRecord<'a> {
    context: &'a Context,
    listener: &'a Listener,
    client: &'a Client,
    time: SystemTime,
    began: Instant,
    pub(super) moved: Moved<'a>,
    pub(super) server_name: Option<Box<str>>,
    pub(super) route: Option<Arc<str>>,
    pub(super) cluster: Option<Rc<Cluster>>,
    pub(super) connect: Option<Duration>,
    picked: Option<Picked>,
    attempts: u32,
    end: TunnelEnd,
    flag: Option<Flag>,
}

impl<'a> TunnelRecord<'a> {
    pub(super) fn begin(context: &'a Context, listener: &'a Listener, client: &'a Client) -> Self {
        Self {
            context,
            listener,
            client,
            time: SystemTime::now(),
            began: Instant::now(),
            moved: Moved::new(&listener.shard),
            server_name: None,
            route: None,
            cluster: None,
            connect: None,
            picked: None,
            attempts: 0,
            // What holds if nobody comes to say otherwise.
            end: TunnelEnd::Drain,
            flag: Some(Flag::Draining),
        }
    }

    pub(super) fn attempted(&mut self, picked: &Picked) {
        self.attempts += 1;
        self.picked = Some(picked.clone());
    }

    pub(super) fn ended(&mut self, ended: &Result<Side, Error>) {
        (self.end, self.flag) = match ended {
            Ok(Side::Client) => (TunnelEnd::ClientClosed, None),
            Ok(Side::Endpoint) => (TunnelEnd::EndpointClosed, None),
            Err(error) => (end_by(error.kind), Some(status_and_flag(error.kind).1)),
        };
    }
}

fn end_by(error: ErrorKind) -> TunnelEnd {
    match error {
        ErrorKind::ClientAbort => TunnelEnd::ClientReset,
        ErrorKind::UpstreamReset => TunnelEnd::EndpointReset,
        ErrorKind::IdleTimeout => TunnelEnd::IdleTimeout,
        ErrorKind::ProxyHeader(_) => TunnelEnd::ProxyHeader,
        ErrorKind::NoRoute => TunnelEnd::NoRoute,
        ErrorKind::NoEndpoint => TunnelEnd::NoEndpoint,
        ErrorKind::QueueFull | ErrorKind::QueueTimeout => TunnelEnd::Overflow,
        ErrorKind::ConnectFailure | ErrorKind::ConnectTimeout | ErrorKind::TlsFailure => TunnelEnd::ConnectFailure,
        _ => TunnelEnd::Internal,
    }
}

impl Drop for TunnelRecord<'_> {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        let shard = self.cluster.as_ref().map_or(&self.context.unrouted, |cluster| &cluster.shard);
        shard.tunnel(self.end, duration);
        let Some(access_log) = &self.context.access_log else { return };
        let picked = self.picked.as_ref();
        let reason = picked.zip(self.cluster.as_ref()).and_then(|(picked, cluster)| picked.reason(cluster));
        access_log.record_tunnel(&TunnelEntry {
            carried: Carried::Tcp,
            time: self.time,
            listener: &self.listener.name,
            client: self.client.address,
            server_name: self.server_name.as_deref(),
            request_bytes: self.moved.received(),
            response_bytes: self.moved.sent(),
            duration,
            connect: self.connect,
            cluster: self.cluster.as_ref().map(|cluster| &*cluster.name),
            endpoint: picked.map(|picked| &*picked.endpoint.endpoint.id),
            attempts: self.attempts,
            end: self.end.as_str(),
            flag: self.flag,
            reason: reason.as_deref().unwrap_or_default(),
            route: self.route.as_deref().unwrap_or_default(),
        });
    }
}
