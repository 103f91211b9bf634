use std::time::Duration;

use super::client::Client;
use super::context::Context;
use super::flow::{Flow, Told};
use super::listener::Listener;
use super::relay::{Moved, Side};
use super::status::status_and_flag;
use crate::error::{Error, ErrorKind};
use crate::telemetry::{Carried, TunnelEnd};

/// The account of one TCP connection: what is known of it so far. It is closed exactly once, whatever happens, when it is
/// dropped: then it is counted and logged.
pub(super) struct TunnelRecord<'a> {
    pub(super) flow: Flow<'a>,
    client: &'a Client,
    pub(super) moved: Moved<'a>,
    pub(super) server_name: Option<Box<str>>,
    pub(super) connect: Option<Duration>,
    end: TunnelEnd,
}

impl<'a> TunnelRecord<'a> {
    pub(super) fn begin(context: &'a Context, listener: &'a Listener, client: &'a Client) -> Self {
        Self {
            flow: Flow::begin(context, listener),
            client,
            moved: Moved::new(&listener.shard),
            server_name: None,
            connect: None,
            // What holds if nobody comes to say otherwise.
            end: TunnelEnd::Drain,
        }
    }

    pub(super) fn ended(&mut self, ended: &Result<Side, Error>) {
        (self.end, self.flow.flag) = match ended {
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
        ErrorKind::Deregistered => TunnelEnd::Deregistered,
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
        let (shard, duration) = self.flow.counted();
        shard.tunnel(self.end, duration);
        let told = Told {
            carried: Carried::Tcp,
            client: self.client.address,
            server_name: self.server_name.as_deref(),
            request_bytes: self.moved.received(),
            response_bytes: self.moved.sent(),
            connect: self.connect,
            end: self.end.as_str(),
        };
        self.flow.log(duration, told);
    }
}
