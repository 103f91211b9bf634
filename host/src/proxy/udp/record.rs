use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::proxy::context::Context;
use crate::proxy::flow::{Flow, Told};
use crate::proxy::listener::Listener;
use crate::proxy::status::status_and_flag;
use crate::telemetry::{Carried, SessionEnd};

/// The account of one session: what is known of it so far. It is closed exactly once, whatever happens, when it is dropped:
/// then it is counted and logged.
pub(super) struct Record<'a> {
    pub(super) flow: Flow<'a>,
    session: &'a Session,
    end: SessionEnd,
}

impl<'a> Record<'a> {
    pub(super) fn begin(context: &'a Context, listener: &'a Listener, session: &'a Session) -> Self {
        // What holds if nobody comes to say otherwise.
        Self { flow: Flow::begin(context, listener), session, end: SessionEnd::Drain }
    }

    pub(super) fn ended(&mut self, ended: &Result<SessionEnd, Error>) {
        (self.end, self.flow.flag) = match ended {
            Ok(end) => (*end, None),
            Err(error) => (end_by(error.kind), Some(status_and_flag(error.kind).1)),
        };
    }
}

fn end_by(error: ErrorKind) -> SessionEnd {
    match error {
        ErrorKind::FirstByteTimeout => SessionEnd::ResponseTimeout,
        ErrorKind::UpstreamReset => SessionEnd::EndpointReset,
        ErrorKind::Deregistered => SessionEnd::Deregistered,
        ErrorKind::NoRoute => SessionEnd::NoRoute,
        ErrorKind::NoEndpoint => SessionEnd::NoEndpoint,
        ErrorKind::QueueFull | ErrorKind::QueueTimeout => SessionEnd::Overflow,
        ErrorKind::ConnectFailure => SessionEnd::ConnectFailure,
        _ => SessionEnd::Internal,
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let (shard, duration) = self.flow.counted();
        shard.session(self.end, duration);
        let (from_client, to_client) = (self.session.received(), self.session.answered());
        let told = Told {
            carried: Carried::Udp {
                request_datagrams: from_client.datagrams(),
                response_datagrams: to_client.datagrams(),
            },
            client: self.session.client(),
            server_name: None,
            request_bytes: from_client.bytes(),
            response_bytes: to_client.bytes(),
            connect: None,
            end: self.end.as_str(),
        };
        self.flow.log(duration, told);
    }
}
