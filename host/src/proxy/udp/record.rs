use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::proxy::cluster::{Cluster, Picked};
use crate::proxy::context::Context;
use crate::proxy::listener::Listener;
use crate::proxy::reply::status_and_flag;
use crate::telemetry::{Carried, Flag, SessionEnd, TunnelEntry};

/// The account of one session: what is known of it so far. It is closed exactly once, whatever happens, when it is dropped:
/// then it is counted and logged.
pub(super) struct Record<'a> {
    context: &'a Context,
    listener: &'a Listener,
    session: &'a Session,
    time: SystemTime,
    began: Instant,
    pub(super) route: Option<Arc<str>>,
    pub(super) cluster: Option<Rc<Cluster>>,
    picked: Option<Picked>,
    attempts: u32,
    end: SessionEnd,
    flag: Option<Flag>,
}

impl<'a> Record<'a> {
    pub(super) fn begin(context: &'a Context, listener: &'a Listener, session: &'a Session) -> Self {
        Self {
            context,
            listener,
            session,
            time: SystemTime::now(),
            began: Instant::now(),
            route: None,
            cluster: None,
            picked: None,
            attempts: 0,
            // What holds if nobody comes to say otherwise.
            end: SessionEnd::Drain,
            flag: Some(Flag::Draining),
        }
    }

    pub(super) fn attempted(&mut self, picked: &Picked) {
        self.attempts += 1;
        self.picked = Some(picked.clone());
    }

    pub(super) fn ended(&mut self, ended: &Result<SessionEnd, Error>) {
        (self.end, self.flag) = match ended {
            Ok(end) => (*end, None),
            Err(error) => (end_by(error.kind), Some(status_and_flag(error.kind).1)),
        };
    }
}

fn end_by(error: ErrorKind) -> SessionEnd {
    match error {
        ErrorKind::FirstByteTimeout => SessionEnd::ResponseTimeout,
        ErrorKind::UpstreamReset => SessionEnd::EndpointReset,
        ErrorKind::NoRoute => SessionEnd::NoRoute,
        ErrorKind::NoEndpoint => SessionEnd::NoEndpoint,
        ErrorKind::QueueFull | ErrorKind::QueueTimeout => SessionEnd::Overflow,
        ErrorKind::ConnectFailure => SessionEnd::ConnectFailure,
        _ => SessionEnd::Internal,
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        let shard = self.cluster.as_ref().map_or(&self.context.unrouted, |cluster| &cluster.shard);
        shard.session(self.end, duration);
        let Some(access_log) = &self.context.access_log else { return };
        let (from_client, to_client) = (self.session.received(), self.session.answered());
        let picked = self.picked.as_ref();
        let reason = picked.zip(self.cluster.as_ref()).and_then(|(picked, cluster)| picked.reason(cluster));
        access_log.record_tunnel(&TunnelEntry {
            carried: Carried::Udp {
                request_datagrams: from_client.datagrams(),
                response_datagrams: to_client.datagrams(),
            },
            time: self.time,
            listener: &self.listener.name,
            client: self.session.client(),
            server_name: None,
            request_bytes: from_client.bytes(),
            response_bytes: to_client.bytes(),
            duration,
            connect: None,
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
