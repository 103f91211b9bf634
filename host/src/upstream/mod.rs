//! The side towards the endpoints: dial, keep connections, one attempt, and the body that comes back.

mod attempt;
mod endpoint;
mod http1;
mod pool;
mod request_body;

pub use attempt::{Answer, Attempt, AttemptError};
pub use endpoint::{InFlight, LocalEndpoint};
pub use http1::AnswerBody;
pub use pool::{Pool, PoolSettings, connect};
pub use request_body::{RequestBody, UploadState};
