//! The side towards the endpoints: dial, lease connections, one attempt, and the body that comes back. `pool` has the
//! connections of a worker to an endpoint; a `lease` of one speaks its protocol, of which `http1`, `http2` and `http3` know one
//! each; what the last two have in common, since many requests go over one connection, is in `shared`.
//! What a client sends is read through its `upload_state`, by one attempt after the other if need be.

mod answer_body;
mod attempt;
mod detoured;
mod dial;
mod endpoint;
mod exclusive;
mod http1;
mod http2;
mod http3;
mod kept;
mod lease;
mod negotiated;
mod pool;
mod request_body;
mod shared;
mod upload_state;

pub use answer_body::AnswerBody;
pub use attempt::{Answer, Attempt, AttemptError};
pub use dial::{Dialer, Introduction, PoolSettings};
pub use endpoint::{InFlight, LocalEndpoint, subject};
pub use pool::Pool;
pub use request_body::RequestBody;
pub use upload_state::{Patience, UploadState};
