//! HTTP/2 towards the endpoints (RFC 9113), on the `h2` crate: few connections, many requests on each. A connection has a
//! task that reads and writes frames; a request's own task forms its head, hands its body on as the endpoint takes it, and
//! reads the answer.

mod answer_body;
mod connection;
mod exchange;
mod opener;
mod upload;

pub(super) use answer_body::AnswerBody;
pub(super) use exchange::exchange;
pub(super) use opener::{Http2, Lease, Place, Pool};
