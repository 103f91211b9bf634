//! Why a request or connection failed. Decisions use the kind; the text is for people.

use std::fmt;

use plimsoll_model::OutcomeClass;
use plimsoll_resilience::Failure;

/// What went wrong with a request, and on whose side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request breaks the protocol. The text says how.
    BadRequest(&'static str),
    /// What a proxy in front of us was to say of its connection is missing, late or wrong. The text says how.
    ProxyHeader(&'static str),
    /// The request's head is larger than the listener allows, or has more fields.
    HeadTooLarge,
    /// The request's target is longer than a head may be.
    TargetTooLong,
    /// The request's body is coded in a way that is not undone here.
    UnknownCoding,
    /// The request is of a version of HTTP that is not served here.
    UnknownVersion,
    /// The request asks for a protocol that is not passed on here.
    UnknownProtocol,
    /// The request is for a host that the connection's certificate is not for (RFC 9110 section 15.5.20).
    Misdirected,
    /// The client did not send the whole head of its request in time.
    HeadTimeout,
    /// The method is not one that a proxy serves here.
    MethodNotAllowed,
    /// The request's body is larger than the listener allows.
    BodyTooLarge,
    /// The client did not send the rest of its request in time.
    ClientTimeout,
    /// The client went away.
    ClientAbort,
    /// No route takes the request.
    NoRoute,
    /// No endpoint can take the request.
    NoEndpoint,
    /// Every endpoint has as many attempts under way as it may, and as many requests wait as may.
    QueueFull,
    /// Every endpoint had as many attempts under way as it may, for as long as the request may wait.
    QueueTimeout,
    /// The process has as much in use as it may.
    Overloaded,
    /// No connection to the endpoint could be made.
    ConnectFailure,
    /// No connection to the endpoint could be made in time.
    ConnectTimeout,
    /// No TLS connection to the endpoint could be made: it does not speak it as we do, or is not who it should be.
    TlsFailure,
    /// The endpoint did not answer in time.
    FirstByteTimeout,
    /// The endpoint took no more of the request for too long.
    SendTimeout,
    /// The endpoint was found unhealthy while its answer was waited for.
    FoundUnhealthy,
    /// The endpoint was out of service for as long as what was under way there might go on.
    Deregistered,
    /// The endpoint stopped sending in the middle of a body.
    BodyTimeout,
    /// The endpoint closed or broke the connection.
    UpstreamReset,
    /// The endpoint answered with something that is not HTTP.
    UpstreamProtocol,
    /// The endpoint takes no other protocol in the way in which it would have to be asked.
    NoUpgrade,
    /// The whole request took too long.
    RequestTimeout,
    /// Nothing came from either side of a TCP connection, or of an upgraded one, for as long as it may be silent.
    IdleTimeout,
    /// The system has no more descriptors or memory.
    Exhausted,
    /// A plugin that must answer failed and nothing can stand in for it.
    Plugin,
}

/// Whose side something failed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Client,
    Endpoint,
    Plugin,
    /// The proxy itself: its configuration, its limits, its patience.
    Host,
}

impl ErrorKind {
    pub fn origin(self) -> Origin {
        match self {
            Self::BadRequest(_)
            | Self::ProxyHeader(_)
            | Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::UnknownCoding
            | Self::UnknownVersion
            | Self::UnknownProtocol
            | Self::Misdirected
            | Self::HeadTimeout
            | Self::MethodNotAllowed
            | Self::BodyTooLarge
            | Self::ClientTimeout
            | Self::ClientAbort => Origin::Client,
            Self::ConnectFailure
            | Self::ConnectTimeout
            | Self::TlsFailure
            | Self::FirstByteTimeout
            | Self::SendTimeout
            | Self::FoundUnhealthy
            | Self::BodyTimeout
            | Self::UpstreamReset
            | Self::UpstreamProtocol => Origin::Endpoint,
            Self::Plugin => Origin::Plugin,
            Self::NoRoute
            | Self::NoUpgrade
            | Self::NoEndpoint
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::Overloaded
            | Self::Deregistered
            | Self::RequestTimeout
            | Self::IdleTimeout
            | Self::Exhausted => Origin::Host,
        }
    }

    /// What it means for another attempt, when nothing more is known of this one; none when no other may follow.
    pub fn failure(self) -> Option<Failure> {
        Some(match self {
            Self::ConnectFailure | Self::ConnectTimeout | Self::TlsFailure => Failure::Connect,
            Self::UpstreamReset => Failure::Reset,
            Self::FirstByteTimeout | Self::SendTimeout | Self::FoundUnhealthy | Self::Deregistered => Failure::Timeout,
            Self::UpstreamProtocol => Failure::Malformed,
            _ => return None,
        })
    }

    /// What it says of the endpoint at which it happened.
    pub fn outcome(self) -> OutcomeClass {
        match self {
            Self::ConnectFailure | Self::ConnectTimeout | Self::TlsFailure => OutcomeClass::ConnectFailure,
            Self::FirstByteTimeout | Self::SendTimeout | Self::FoundUnhealthy | Self::BodyTimeout => {
                OutcomeClass::Timeout
            }
            error if error.origin() == Origin::Endpoint => OutcomeClass::Reset,
            _ => OutcomeClass::ClientAbort,
        }
    }
}

/// An error with its cause.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, cause: Some(cause.into()) }
    }

    /// The same event seen as another kind.
    pub(crate) fn blamed(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// The chain of causes in one line, for the log.
    pub(crate) fn cause_text(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, cause: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            ErrorKind::BadRequest(how) => return write!(f, "bad request: {how}"),
            ErrorKind::ProxyHeader(how) => return write!(f, "PROXY protocol: {how}"),
            ErrorKind::Misdirected => "the connection's certificate is not for this host",
            ErrorKind::HeadTooLarge => "request head is larger than allowed",
            ErrorKind::TargetTooLong => "request target is longer than allowed",
            ErrorKind::UnknownCoding => "request has a transfer coding other than chunked",
            ErrorKind::UnknownVersion => "request is of an unknown version of HTTP",
            ErrorKind::UnknownProtocol => "request asks for a protocol that is not passed on here",
            ErrorKind::HeadTimeout => "client did not send the head of its request in time",
            ErrorKind::MethodNotAllowed => "method is not served here",
            ErrorKind::BodyTooLarge => "request body is larger than allowed",
            ErrorKind::ClientTimeout => "client did not send its request in time",
            ErrorKind::ClientAbort => "client went away",
            ErrorKind::NoRoute => "no route takes the request",
            ErrorKind::NoEndpoint => "no endpoint can take the request",
            ErrorKind::QueueFull => "every endpoint is full, and so is the queue",
            ErrorKind::QueueTimeout => "every endpoint was full for as long as a request may wait",
            ErrorKind::Overloaded => "the proxy has as much in use as it may",
            ErrorKind::ConnectFailure => "connecting to the endpoint failed",
            ErrorKind::ConnectTimeout => "connecting to the endpoint took too long",
            ErrorKind::TlsFailure => "TLS handshake with the endpoint failed",
            ErrorKind::FirstByteTimeout => "endpoint did not answer in time",
            ErrorKind::SendTimeout => "endpoint took no more of the request in time",
            ErrorKind::FoundUnhealthy => "endpoint was found unhealthy while its answer was waited for",
            ErrorKind::Deregistered => "endpoint was deregistered",
            ErrorKind::BodyTimeout => "endpoint stopped sending its answer",
            ErrorKind::UpstreamReset => "endpoint closed the connection",
            ErrorKind::UpstreamProtocol => "endpoint broke the protocol",
            ErrorKind::NoUpgrade => "endpoint takes no extended CONNECT (RFC 8441, RFC 9220)",
            ErrorKind::RequestTimeout => "request took too long",
            ErrorKind::IdleTimeout => "nothing came from either side for too long",
            ErrorKind::Exhausted => "the system has no more descriptors or memory",
            ErrorKind::Plugin => "a plugin failed",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
