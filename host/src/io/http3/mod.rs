//! What both sides of an HTTP/3 connection do alike: read a message on a stream, and hear what the other side says on streams of
//! its own.

mod code;
mod message;
mod streams;

pub use code::IntoQuic;
pub use message::{Http3Message, Unread};
pub use streams::{PeerStreams, hear};
