//! HTTP/2 with clients (RFC 9113) as bytes: frames, header blocks with HPACK (RFC 7541), streams and their flow control. No sockets
//! and no clock: whoever has them hands in what came and sends what is to go.
//!
//! A [`Server`] is one connection. Its owner runs it, and hands each [`Request`] to somebody who answers it through the
//! [`Responder`] and reads what comes with it from the [`Body`]. All of them are on one thread.
//!
//! A malformed request ends its stream and not its connection (RFC 9113 section 8.1.1).

mod body;
mod code;
mod connection;
mod decoder;
mod encoder;
mod flow;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod output;
mod responder;
mod server;
mod settings;
mod stream;
mod table;

pub use body::Body;
pub use code::Code;
pub use connection::Limits;
pub use output::Output;
pub use plimsoll_fields::Malformed;
pub use responder::Responder;
pub use server::{Event, Request, Server};
