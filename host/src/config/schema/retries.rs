use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::quantity::{Size, Span, SpanOrOff};

/// When a request that an endpoint has failed is tried again, up to `max_attempts`. It goes to another endpoint where there
/// is one; a client that is bound to the failed one, too. What an endpoint may have acted on is sent again only by
/// methods that are idempotent (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), and with a body only while all of it that was read is
/// kept (`body_bytes`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Retries {
    /// After which failures. `connect_failure`: no connection in time, or none by TLS; TCP connections know this one alone.
    /// `refused_stream`: the endpoint has acted on nothing of it (REFUSED_STREAM, a GOAWAY, a connection that was closed before
    /// anything was sent). These two hold for all methods. `reset`: the connection was lost before there was an answer.
    /// `timeout`: no answer within `timeouts.first_byte`, nothing taken within `timeouts.send`, or the endpoint was found
    /// unhealthy while it was waited for, and there is another to go to. `malformed`: what came is not HTTP. `gateway_error`:
    /// 502, 503 or 504. `5xx`: any status from 500 on. Default: connect_failure, refused_stream, reset, timeout.
    #[schemars(length(max = 16))]
    pub(in crate::config) on: Vec<RetryOn>,
    /// Further statuses of answers, from 400 to 599. Default: none.
    #[schemars(length(max = 200), inner(range(min = 400, max = 599)))]
    pub(in crate::config) statuses: Vec<u16>,
    /// Statuses of gRPC, in answers that are nothing but a status. Calls are tried again whatever `non_idempotent` says.
    /// Default: none.
    #[schemars(length(max = 16))]
    pub(in crate::config) grpc_statuses: Vec<GrpcStatus>,
    /// Sends other methods again, too, such as POST. What they ask for may then be done twice. Default: false.
    pub(in crate::config) non_idempotent: bool,
    /// How much of a body is kept until the answer begins, so that it can be sent again; up to 1MiB. Default: 64KiB.
    pub(in crate::config) body_bytes: Size,
    /// Pauses before further attempts. Who was refused or waited in vain goes on at once the first time.
    pub(in crate::config) backoff: Backoff,
    /// Hedging: an attempt that has not begun to be answered after this time goes on, while another begins at another endpoint; the
    /// first answer counts, and the others are given up. Only for what may be sent twice, as after `timeout`, with a body once all
    /// of it has come; within `max_attempts` and `budget`, and not where there is no other endpoint with room. Such as the time within
    /// which 95 % are answered. Default: off.
    pub(in crate::config) hedge_after: SpanOrOff,
    /// An answer that asks for a pause by `Retry-After`, and after which a request is tried again, gets it, but is passed on
    /// to the client if it asks for a longer one. Default: 1s.
    pub(in crate::config) max_retry_after: Span,
    /// How many repetitions may be under way.
    pub(in crate::config) budget: RetryBudget,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            on: vec![RetryOn::ConnectFailure, RetryOn::RefusedStream, RetryOn::Reset, RetryOn::Timeout],
            statuses: Vec::new(),
            grpc_statuses: Vec::new(),
            non_idempotent: false,
            body_bytes: Size(64 << 10),
            backoff: Backoff::default(),
            hedge_after: SpanOrOff(None),
            max_retry_after: Span(Duration::from_secs(1)),
            budget: RetryBudget::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::config) enum RetryOn {
    ConnectFailure,
    RefusedStream,
    Reset,
    Timeout,
    Malformed,
    GatewayError,
    #[serde(rename = "5xx")]
    ServerError,
}

/// Codes as gRPC numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::config) enum GrpcStatus {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// Pauses before further attempts, of any length up to a bound that doubles with each, so that those who failed together do not
/// come again together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Backoff {
    /// The first bound. Default: 25ms.
    pub(in crate::config) base: Span,
    /// The last. Default: 250ms.
    pub(in crate::config) max: Span,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Span(Duration::from_millis(25)), max: Span(Duration::from_millis(250)) }
    }
}

/// How many repetitions may be under way, counted over all workers, so that endpoints that fail for want of capacity are not
/// asked still more. After `connect_failure` and `refused_stream` nothing is repeated, and they do not count. One that finds the
/// budget used up waits for as long as a request may wait for room (`queue.timeout`), then its request fails with the flag
/// `RX`, or gets the answer that there is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RetryBudget {
    /// Of the attempts that are under way at the cluster. Default: 20.
    #[schemars(range(min = 0, max = 100))]
    pub(in crate::config) percent: u32,
    /// However few are under way. Default: 3.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::config) min: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, min: 3 }
    }
}
