//! HTTP/3 towards the endpoints (RFC 9114), on QUIC: few connections, many requests on each. A connection has tasks that hear
//! what its endpoint says of it; a request's own task sends its head and body on a stream, and reads the answer from it. Where UDP
//! does not come through, HTTP/2 stands in (`detoured`).

mod answer_body;
mod connection;
mod exchange;
mod fault;
mod opener;
mod upload;

pub(super) use answer_body::AnswerBody;
pub(super) use exchange::exchange;
pub(super) use opener::{Http3, Lease, Place, Pool};
