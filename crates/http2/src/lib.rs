//! What of HTTP/2 (RFC 9113) has to be known below the `h2` crate: bytes in, bytes out, no sockets of its own and no clock.
//!
//! A malformed request ends its stream (RFC 9113 section 8.1.1). `h2` ends the whole connection for many of them, and with it
//! the good streams beside, since it takes a field with forbidden bytes for an error of compression; others it does not see.
//! The [`Guard`] stands between a socket and `h2`: it reads every header block, and passes a malformed one on in a form
//! that `h2` answers with a stream error, while the state of compression stays in step.

mod block;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod representation;
mod table;

pub use guard::Guard;
pub use plimsoll_fields::Malformed;
