use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::{REFERER, USER_AGENT};
use http::{HeaderValue, StatusCode};
use plimsoll_fields::{Fields, RequestHead, Response};

use super::attributes;
use super::client::Client;
use super::cluster::Cluster;
use super::context::Context;
use super::grpc;
use super::grpc_web::GrpcWeb;
use super::listener::Listener;
use super::picked::{Picked, PickedBy};
use super::source::Source;
use super::status::{bad_request, status_and_flag};
use crate::error::ErrorKind;
use crate::plugin::RouteSettings;
use crate::telemetry::{Direction, Entry, Flag, GrpcStatus};

/// The account of one request: what is known of it so far. It is closed exactly once, whatever happens, when it is
/// dropped: then it is counted and logged.
pub(super) struct Exchange {
    pub(super) context: Rc<Context>,
    pub(super) listener: Rc<Listener>,
    pub(super) client: Rc<Client>,
    pub(super) source: Rc<Source>,
    pub(super) cluster: Option<Rc<Cluster>>,
    started: Instant,
    /// Known when the end was seen.
    ended: Option<Instant>,
    attempts: u32,
    hedges: u32,
    status: StatusCode,
    flag: Option<Flag>,
    /// It was not tried again, since as many requests were as may be.
    retry_overflowed: bool,
    /// A call of gRPC, and how it ended.
    pub(super) is_call: bool,
    /// What its client speaks, where that is not gRPC itself.
    pub(super) web: Option<GrpcWeb>,
    grpc_status: Option<GrpcStatus>,
    /// Its endpoint is told that its client's handshake was not over, and its client knows nothing of that.
    pub(super) is_early: bool,
    log: Option<Box<LogRecord>>,
}

/// What only the access log wants; not gathered without one.
struct LogRecord {
    time: SystemTime,
    /// None when what came had none.
    method: Option<http::Method>,
    target: LoggedTarget,
    authority: Option<Vec<u8>>,
    version: http::Version,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    route: Option<Arc<RouteSettings>>,
    picked: Option<Picked>,
    request_bytes: u64,
    response_bytes: u64,
}

/// What came where a request was to come, and could not be read as one.
#[derive(Debug, Clone, Copy)]
pub enum Unread<'a> {
    /// These bytes, as far as they have come.
    Http1(&'a [u8]),
    /// A field section of this version.
    Section(http::Version),
}

enum LoggedTarget {
    Uri(http::Uri),
    /// Of what could not be read.
    Seen(Vec<u8>),
}

impl LogRecord {
    fn of_request(head: &RequestHead) -> Self {
        Self {
            method: Some(head.method.clone()),
            authority: attributes::authority(head).map(<[u8]>::to_vec),
            version: head.version,
            user_agent: head.headers.get(USER_AGENT).cloned(),
            referer: head.headers.get(REFERER).cloned(),
            ..Self::with_target(LoggedTarget::Uri(head.uri.clone()))
        }
    }

    /// Of what came where a request was to come: over HTTP/1.1, method and target are what stands in their places.
    fn of_unread(unread: Unread<'_>) -> Self {
        let seen = match unread {
            Unread::Http1(seen) => seen,
            Unread::Section(version) => {
                return Self { version, ..Self::with_target(LoggedTarget::Seen(Vec::new())) };
            }
        };
        let line = seen.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut words = line.splitn(2, |byte| *byte == b' ');
        let method = words.next().filter(|word| word.len() <= LOGGED_METHOD);
        let target = words.next().unwrap_or_default();
        // Without the version, where there is one.
        let end = target.windows(6).rposition(|part| part == b" HTTP/").unwrap_or(target.len()).min(LOGGED_TARGET);
        Self {
            method: method.and_then(|method| http::Method::from_bytes(method).ok()),
            ..Self::with_target(LoggedTarget::Seen(target[..end].to_vec()))
        }
    }

    fn with_target(target: LoggedTarget) -> Self {
        Self {
            time: SystemTime::now(),
            method: None,
            target,
            authority: None,
            version: http::Version::HTTP_11,
            user_agent: None,
            referer: None,
            route: None,
            picked: None,
            request_bytes: 0,
            response_bytes: 0,
        }
    }
}

/// How much is logged of what could not be read, in bytes.
const LOGGED_METHOD: usize = 32;
const LOGGED_TARGET: usize = 1024;

impl Exchange {
    pub(super) fn begin(context: Rc<Context>, listener: Rc<Listener>, client: Rc<Client>, head: &RequestHead) -> Self {
        let log = context.access_log.is_some().then(|| Box::new(LogRecord::of_request(head)));
        let source = client.source_of(listener.config.trusted.as_ref(), &head.headers);
        let mut account = Self::new(context, listener, client, source, log);
        account.is_call = grpc::is_call(head);
        account
    }

    /// The account of something that came where a request was to come.
    pub(super) fn of_unread(
        context: Rc<Context>,
        listener: Rc<Listener>,
        client: Rc<Client>,
        unread: Unread<'_>,
    ) -> Self {
        let log = context.access_log.is_some().then(|| Box::new(LogRecord::of_unread(unread)));
        let source = client.source.clone();
        Self::new(context, listener, client, source, log)
    }

    fn new(
        context: Rc<Context>,
        listener: Rc<Listener>,
        client: Rc<Client>,
        source: Rc<Source>,
        log: Option<Box<LogRecord>>,
    ) -> Self {
        Self {
            context,
            listener,
            client,
            source,
            cluster: None,
            started: Instant::now(),
            ended: None,
            attempts: 0,
            hedges: 0,
            // What holds if the client goes away before anything is known.
            status: status_and_flag(ErrorKind::ClientAbort).0,
            flag: Some(Flag::ClientAbort),
            retry_overflowed: false,
            is_call: false,
            web: None,
            grpc_status: None,
            is_early: false,
            log,
        }
    }

    pub(super) fn routed(&mut self, route: Option<&Arc<RouteSettings>>) {
        if let Some(log) = &mut self.log {
            log.route = route.cloned();
        }
    }

    pub(super) fn attempted(&mut self, picked: &Picked) {
        self.attempts += 1;
        if let Some(log) = &mut self.log {
            log.picked = Some(picked.clone());
        }
    }

    /// An attempt begins beside another.
    pub(super) fn hedged(&mut self, picked: &Picked) {
        self.hedges += 1;
        self.attempted(picked);
    }

    /// Of several attempts, it is this one that counts.
    pub(super) fn settled(&mut self, picked: &Picked) {
        if let Some(log) = &mut self.log {
            log.picked = Some(picked.clone());
        }
    }

    /// Another attempt would have followed, but for those of other requests.
    pub(super) fn retry_overflowed(&mut self) {
        self.retry_overflowed = true;
    }

    pub(super) fn answered(&mut self, status: StatusCode, flag: Option<Flag>) {
        self.status = status;
        self.flag = if self.retry_overflowed { Some(Flag::RetryOverflow) } else { flag };
    }

    pub(super) fn failed(&mut self, kind: ErrorKind) {
        let (status, flag) = status_and_flag(kind);
        self.answered(status, Some(flag));
        if let Some(bad) = bad_request(kind) {
            self.listener.shard.bad_request(bad);
        }
    }

    /// Takes note of how a call of gRPC has ended, if these are the fields that tell.
    pub(super) fn note_grpc(&mut self, fields: &Fields) {
        if self.is_call
            && let Some(status) = grpc::status(fields)
        {
            self.grpc_status = Some(status);
        }
    }

    /// The answer is ours: to a call of gRPC it is made one that its client understands.
    pub(super) fn answers_ourselves<B: Default>(&mut self, answer: &mut Response<B>, failure: Option<ErrorKind>) {
        if self.is_call {
            self.grpc_status = Some(grpc::translate(answer.head.status, &mut answer.head.headers, failure));
            if let Some(web) = self.web {
                web.retype(&mut answer.head.headers);
            }
            self.status = StatusCode::OK;
            answer.head.status = self.status;
            answer.body = B::default();
        }
    }

    /// Something went wrong after the head of the answer was on its way.
    pub(super) fn broken_off(&mut self, kind: ErrorKind) {
        self.flag = Some(status_and_flag(kind).1);
    }

    /// It is over; the caller has just looked at the clock.
    pub(super) fn end(mut self, now: Instant) {
        self.ended = Some(now);
    }

    pub(super) fn moved(&mut self, request_bytes: u64, response_bytes: u64) {
        self.listener.shard.bytes(Direction::In, request_bytes);
        self.listener.shard.bytes(Direction::Out, response_bytes);
        if let Some(log) = &mut self.log {
            log.request_bytes = request_bytes;
            log.response_bytes = response_bytes;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let duration = self.ended.unwrap_or_else(Instant::now).duration_since(self.started);
        let shard = match &self.cluster {
            Some(cluster) => &cluster.shard,
            None => &self.context.unrouted,
        };
        shard.request(self.status.as_u16(), duration, self.flag);
        if let Some(status) = self.grpc_status {
            shard.grpc(status);
        }
        let Some(record) = &self.log else { return };
        let Some(access_log) = &self.context.access_log else { return };
        let picked = record.picked.as_ref();
        let reason = picked.zip(self.cluster.as_ref()).and_then(|(picked, cluster)| picked.reason(cluster.balancing()));
        let fallback = picked.is_some_and(|picked| picked.by == PickedBy::Fallback).then_some(Flag::PluginFallback);
        access_log.record(&Entry {
            time: record.time,
            listener: &self.listener.name,
            client: self.source.address,
            peer: self.source.by_trusted_hop.then_some(self.client.address),
            method: record.method.as_ref().map_or("", http::Method::as_str),
            authority: record.authority.as_deref().unwrap_or_default(),
            path_and_query: match &record.target {
                LoggedTarget::Uri(uri) => uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes(),
                LoggedTarget::Seen(seen) => seen,
            },
            version: record.version,
            status: self.status.as_u16(),
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            duration,
            cluster: self.cluster.as_ref().map(|cluster| &*cluster.name),
            endpoint: picked.map(|picked| &*picked.endpoint.endpoint.id),
            attempts: self.attempts,
            hedges: self.hedges,
            flag: self.flag.or(fallback),
            reason: reason.as_deref().unwrap_or_default(),
            route: record.route.as_ref().map_or("", |route| &*route.label),
            user_agent: record.user_agent.as_ref().map(HeaderValue::as_bytes),
            referer: record.referer.as_ref().map(HeaderValue::as_bytes),
            request_id: None,
            grpc_status: self.grpc_status,
            tls: self.client.tls.as_deref().map(|tls| &tls.described),
        });
    }
}
