/// A label with a fixed set of values: an enum whose variants index an array of cells.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// In the order of the variants, so that `self as usize` is an index into it.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

labels! {
    /// What went other than planned with a request, in the access log and in `plimsoll_request_flags_total`. A request
    /// has at most one: the one that decided its end.
    ///
    /// | code | meaning |
    /// |---|---|
    /// | `NR` | no route matched |
    /// | `UH` | the cluster had no endpoint that may take the request |
    /// | `UO` | every endpoint was full, and the request could not wait or had waited for too long |
    /// | `OM` | the proxy had as much memory in use as it may |
    /// | `UF` | no connection to an endpoint could be made |
    /// | `TF` | no TLS connection to an endpoint could be made: its certificate was not accepted, or it does not speak it |
    /// | `RX` | it was not tried again, since as many other requests were as the retry budget has room for |
    /// | `UT` | the endpoint did not answer in time |
    /// | `UC` | the endpoint closed or reset the connection in the middle of an exchange |
    /// | `ED` | the endpoint had been out of service for as long as its `deregistration_delay` lets what is under way go on |
    /// | `DC` | the client went away before it had its answer |
    /// | `RT` | the request took longer to arrive than it may |
    /// | `IT` | nothing came from either side of a TCP connection for as long as it may be silent |
    /// | `BL` | the request's body was longer than it may be |
    /// | `BR` | the request was malformed, or refused because two parties could read it differently |
    /// | `PP` | what a proxy in front of us was to say of its connection (PROXY protocol) was missing, late or wrong |
    /// | `DR` | the proxy is draining and takes nothing new |
    /// | `IE` | the proxy itself failed |
    /// | `PF` | a plugin failed and the host decided in its stead |
    /// | `PR` | a plugin answered the request itself |
    Flag {
        NoRoute = "NR",
        NoEndpoint = "UH",
        Overflow = "UO",
        Overloaded = "OM",
        ConnectFailure = "UF",
        TlsFailure = "TF",
        RetryOverflow = "RX",
        UpstreamTimeout = "UT",
        UpstreamReset = "UC",
        Deregistered = "ED",
        ClientAbort = "DC",
        RequestTimeout = "RT",
        IdleTimeout = "IT",
        BodyTooLarge = "BL",
        BadRequest = "BR",
        ProxyHeader = "PP",
        Draining = "DR",
        Internal = "IE",
        PluginFallback = "PF",
        PluginReply = "PR",
    }
}

labels! {
    /// Why a TCP connection ended.
    TunnelEnd {
        /// Both sides have ended theirs, the client first.
        ClientClosed = "client_closed",
        EndpointClosed = "endpoint_closed",
        ClientReset = "client_reset",
        EndpointReset = "endpoint_reset",
        /// Nothing came from either side for too long.
        IdleTimeout = "idle_timeout",
        /// Its endpoint had been out of service for as long as it might go on.
        Deregistered = "deregistered",
        /// What the PROXY protocol has before the first byte was missing, late or wrong.
        ProxyHeader = "proxy_header",
        NoRoute = "no_route",
        NoEndpoint = "no_endpoint",
        /// Every endpoint was full, and so was the queue, or the wait too long.
        Overflow = "overflow",
        ConnectFailure = "connect_failure",
        /// It was still open when the proxy had to end.
        Drain = "drain",
        /// A plugin failed, or the proxy itself.
        Internal = "internal",
    }
}

labels! {
    /// Why a session of UDP ended.
    SessionEnd {
        /// As many datagrams came back as were expected.
        Answered = "answered",
        /// Nothing came from either side for too long.
        IdleTimeout = "idle_timeout",
        /// What was expected to come back did not come in time.
        ResponseTimeout = "response_timeout",
        /// Nobody listens at the endpoint any more.
        EndpointReset = "endpoint_reset",
        /// Its endpoint may have no clients any more, or is gone.
        EndpointGone = "endpoint_gone",
        /// Its endpoint had been out of service for as long as it might go on.
        Deregistered = "deregistered",
        NoRoute = "no_route",
        NoEndpoint = "no_endpoint",
        /// Every endpoint was full, and so was the queue, or the wait too long.
        Overflow = "overflow",
        /// Nobody listened at any endpoint that was tried.
        ConnectFailure = "connect_failure",
        /// It was still there when the proxy had to end.
        Drain = "drain",
        /// A plugin failed, or the proxy itself.
        Internal = "internal",
    }
}

labels! {
    /// Why a datagram was dropped.
    DatagramDrop {
        /// It would have begun a session, of which there are as many as may be.
        Limit = "limit",
        /// The same for those of its source.
        SourceLimit = "source_limit",
        /// It would have begun a session, and the process has as much in use as it may.
        Overload = "overload",
        /// It would have begun a session, and the proxy is draining, or the listener gone.
        Draining = "draining",
        /// It was larger than it may be.
        TooLarge = "too_large",
        /// It should have had a header of the PROXY protocol, and had none, or one that is wrong, or came from elsewhere.
        ProxyHeader = "proxy_header",
        /// It came while an endpoint was looked for, and more was kept than may be.
        Waiting = "waiting",
        /// The system had no room to send it.
        BufferFull = "buffer_full",
        /// The system could not send it.
        Error = "error",
    }
}

labels! {
    /// Why the admin API did not answer what it was asked.
    AdminRefusal {
        /// The token was missing or wrong.
        Token = "token",
        /// It was asked by a name that is not its own.
        Host = "host",
        /// The request came from a page of another origin.
        Origin = "origin",
        /// As many connections were open as may be.
        Connections = "connections",
        /// The head of a request did not come in time.
        Slow = "slow",
    }
}

labels! {
    /// Why a connection was not accepted.
    Refusal {
        /// As many were open as may be.
        Limit = "limit",
        /// As many were open from its source as may be.
        SourceLimit = "source_limit",
        /// The process had as much in use as it may.
        Overload = "overload",
        /// The system refused: no descriptors, no memory, or the peer was gone.
        Error = "error",
    }
}

labels! {
    /// What a connection began with where the PROXY protocol is spoken.
    ProxyHeader {
        V1 = "v1",
        V2 = "v2",
        /// The proxy in front of us speaks for itself, or does not say for whom.
        Local = "local",
        /// There was none.
        Absent = "absent",
        /// The other end is none of those that are trusted.
        Untrusted = "untrusted",
        /// It was closed before anything came.
        Closed = "closed",
        Malformed = "malformed",
        Timeout = "timeout",
    }
}

labels! {
    /// What came of a TLS handshake.
    TlsHandshake {
        Full = "full",
        /// An earlier session went on.
        Resumed = "resumed",
        /// An authority has seen the answer to its challenge (TLS-ALPN-01).
        AcmeChallenge = "acme_challenge",
        /// It was for a name that is passed through to endpoints.
        PassedThrough = "passed_through",
        /// The client did not speak TLS, but HTTP.
        PlainHttp = "plain_http",
        /// The client went away in the midst of it. An endpoint that does so fails.
        Closed = "closed",
        Failed = "failed",
        /// It was not done in time, or nobody waited any more.
        Timeout = "timeout",
    }
}

labels! {
    /// What came of an order for a certificate (ACME).
    AcmeOrder {
        Success = "success",
        Failure = "failure",
        /// The authority has had too many.
        RateLimited = "rate_limited",
    }
}

labels! {
    /// Why a request was refused before it was routed.
    BadRequest {
        Parse = "parse",
        /// It was for a host that the connection's certificate is not for.
        Misdirected = "misdirected",
        HeaderTooLarge = "header_too_large",
        BodyTooLarge = "body_too_large",
        Timeout = "timeout",
        /// Connections that ended since their clients had given up most of many requests.
        GivenUp = "given_up",
    }
}

labels! {
    /// As seen from the proxy.
    Direction {
        In = "in",
        Out = "out",
    }
}

labels! {
    /// First digit of an answer's status.
    Class {
        Informational = "1xx",
        Success = "2xx",
        Redirection = "3xx",
        ClientError = "4xx",
        ServerError = "5xx",
    }
}

impl Class {
    /// A status outside 100 to 599 is the proxy's or a plugin's mistake, and counts as a server error.
    #[inline]
    pub fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

labels! {
    /// How a call of gRPC ended; the place in this list is the code. Named as by gRPC's libraries for Go and Java.
    GrpcStatus {
        Ok = "OK",
        Canceled = "Canceled",
        Unknown = "Unknown",
        InvalidArgument = "InvalidArgument",
        DeadlineExceeded = "DeadlineExceeded",
        NotFound = "NotFound",
        AlreadyExists = "AlreadyExists",
        PermissionDenied = "PermissionDenied",
        ResourceExhausted = "ResourceExhausted",
        FailedPrecondition = "FailedPrecondition",
        Aborted = "Aborted",
        OutOfRange = "OutOfRange",
        Unimplemented = "Unimplemented",
        Internal = "Internal",
        Unavailable = "Unavailable",
        DataLoss = "DataLoss",
        Unauthenticated = "Unauthenticated",
    }
}

labels! {
    /// How one try against one endpoint ended.
    AttemptOutcome {
        /// Answered, with any status below 500.
        Success = "success",
        ServerError = "server_error",
        ConnectFailure = "connect_failure",
        Timeout = "timeout",
        Reset = "reset",
        ClientAbort = "client_abort",
    }
}

labels! {
    /// Where an attempt got its connection from.
    ConnectResult {
        New = "new",
        Reused = "reused",
        Failed = "failed",
    }
}

labels! {
    /// After what a request was tried again.
    RetryReason {
        /// No connection was made.
        ConnectFailure = "connect_failure",
        /// The endpoint had acted on nothing of it.
        RefusedStream = "refused_stream",
        Reset = "reset",
        /// No answer in time, or an endpoint that was found unhealthy meanwhile.
        Timeout = "timeout",
        /// What came was no answer.
        Malformed = "malformed",
        Status = "status",
        GrpcStatus = "grpc_status",
    }
}

labels! {
    /// What came of an attempt that was to begin beside another.
    HedgeResult {
        /// Its answer was the first.
        Won = "won",
        /// Another answered before it, or it failed.
        Lost = "lost",
        /// It did not begin, for want of retry budget, or of another endpoint with room.
        Refused = "refused",
    }
}

labels! {
    /// How a wait for room at an endpoint ended.
    QueueResult {
        /// An attempt began.
        Served = "served",
        Timeout = "timeout",
        /// It did not begin: as many waited as may.
        Full = "full",
        /// The client went away, or there was no endpoint left to wait for.
        Other = "other",
    }
}

labels! {
    /// What became of what an endpoint said of its load.
    LoadReportResult {
        Taken = "taken",
        /// It was no report.
        Malformed = "malformed",
    }
}

labels! {
    ReloadResult {
        Success = "success",
        Failure = "failure",
    }
}

labels! {
    /// What ended a call into a plugin.
    TrapKind {
        Trap = "trap",
        Deadline = "deadline",
        Memory = "memory",
        Other = "other",
    }
}

labels! {
    /// Why the host decided in a plugin's stead.
    FallbackReason {
        Trap = "trap",
        InvalidAnswer = "invalid_answer",
        Quarantined = "quarantined",
        Rebuilding = "rebuilding",
        Other = "other",
    }
}

labels! {
    /// How a candidate's decision stands to that of the live version.
    ShadowResult {
        Same = "same",
        Different = "different",
        /// The candidate gave no usable answer.
        CandidateFault = "candidate_fault",
        /// The live version gave none, so that there was nothing to compare.
        LiveFault = "live_fault",
    }
}

labels! {
    /// What came of a request that was made for a plugin.
    OutwardResult {
        Answered = "answered",
        Unavailable = "unavailable",
        Timeout = "timeout",
        Broken = "broken",
        TooLarge = "too_large",
    }
}

labels! {
    /// How the shadow of a candidate ended.
    ShadowEnd {
        Promoted = "promoted",
        Deleted = "deleted",
        Faulty = "faulty",
        Aborted = "aborted",
        Superseded = "superseded",
        Unfit = "unfit",
    }
}

impl TrapKind {
    pub(super) fn from_label(label: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == label).unwrap_or(Self::Other)
    }
}

impl FallbackReason {
    pub(super) fn from_label(label: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == label).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_their_index_and_are_distinct() {
        for (index, flag) in Flag::ALL.into_iter().enumerate() {
            assert_eq!(flag as usize, index);
            assert_eq!(Flag::ALL.iter().filter(|other| other.as_str() == flag.as_str()).count(), 1);
        }
    }

    #[test]
    fn every_status_has_a_class() {
        let classes = [100, 204, 301, 499, 599, 0, 999].map(|status| Class::of(status).as_str());
        assert_eq!(classes, ["1xx", "2xx", "3xx", "4xx", "5xx", "5xx", "5xx"]);
    }
}
