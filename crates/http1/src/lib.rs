//! HTTP/1.0 and HTTP/1.1 (RFC 9112) as bytes: heads, bodies, chunks and trailers, of requests and of answers. There are no
//! sockets here and no clock: whoever has bytes hands them in, and takes what they mean.
//!
//! What two readers could read differently (lengths that differ, codings other than `chunked`, bare line feeds around
//! chunks) is refused and not repaired.

mod body_decoder;
mod body_encoder;
mod copied;
mod error;
mod field_reader;
#[doc(hidden)]
pub mod fuzzing;
mod name;
mod parsing;
mod request;
mod request_writer;
mod response;
mod response_writer;
mod trailers;

pub use body_decoder::{BodyDecoder, Framing};
pub use body_encoder::{BodyEncoder, EncodedFraming};
pub use error::Error;
pub use field_reader::HeadLimits;
pub use request::{Request, take_request};
pub use request_writer::{request_framing, write_request};
pub use response::{Response, take_response};
pub use response_writer::write_response;
pub use trailers::may_trail;
