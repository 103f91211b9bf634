//! The story of a session of UDP, which is that of a TCP connection in datagrams. `session` is what the listener's socket and the
//! session's own task share, `carry` is the task: it looks for an endpoint and brings back what that answers. `held` keeps what a
//! client has sent while there is no endpoint yet, or while it may have to go to another one; `quic` knows connections of QUIC by their
//! ids; `record` keeps account.

mod carry;
mod held;
mod quic;
mod record;
mod session;

pub use carry::carry_session;
pub use quic::{begins_quic, read_quic};
pub use session::{Sender, Session, Taken};
