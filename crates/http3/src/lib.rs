//! HTTP/3 (RFC 9114) as bytes: frames, settings, and field sections with QPACK (RFC 9204). No sockets, no clock: streams of QUIC
//! are the proxy's, and what is here reads what came on one, in whatever pieces, and makes what is to be sent.
//!
//! QPACK's dynamic table is not used in either direction: we offer room for none, so that a client may not refer to one. A
//! section then says all by itself, nothing waits for another stream, and a connection keeps no memory for it. What answers
//! get larger by is small, since the names of most fields are in the static table.

mod code;
mod control;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod qpack_stream;
mod section;
mod settings;
mod static_table;
mod stream;
mod varint;

pub use code::Code;
pub use control::{Control, ControlFrame, Side};
pub use frame::{put_data_header, put_goaway, put_section, put_settings};
pub use head::{
    HeadError, encode_request, encode_response, encode_trailers, read_request, read_response, read_trailers,
};
pub use qpack_stream::QpackStream;
pub use settings::Settings;
pub use stream::{Piece, RequestStream};
pub use varint::{MOST, StreamKind, take_stream_kind};
