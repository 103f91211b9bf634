//! What a request has of the connection on which it came: the body that its client sends, and what is read on an HTTP/1.1
//! connection. The connection itself is the listener's.

mod base64;
mod body;
mod client_body;
mod http1;
mod http2;
mod http3;
mod read_ahead;

pub use base64::Base64Body;
pub use body::Body;
pub use client_body::ClientBody;
pub use http1::Inbound;
pub use http2::Http2Body;
pub use http3::{Http3Body, NoHead};
