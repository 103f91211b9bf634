//! The side towards the endpoints: dial, keep connections, one attempt, and the body that comes back.

mod attempt;
mod endpoint;
mod pool;
mod request_body;

pub use attempt::{Answer, Attempt, AttemptError};
pub use endpoint::{InFlight, LocalEndpoint};
pub use pool::{Pool, PoolSettings, Sender, connect};
pub use request_body::{RequestBody, UploadState};
