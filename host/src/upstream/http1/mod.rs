//! HTTP/1.1 towards the endpoints (RFC 9112). A request's own task writes its head and reads the answer: there is no task
//! of the connection, and nothing is handed over between two. That is what makes it cheaper than a general client.

mod answer_body;
mod connection;
mod upload;

pub(super) use answer_body::AnswerBody;
pub(super) use connection::{Connection, Failure};
