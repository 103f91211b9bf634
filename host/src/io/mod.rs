//! Streams of bytes, whatever carries them.

mod buffers;
mod prefixed;
mod stream;
mod write;

pub use buffers::Buffers;
pub use prefixed::Prefixed;
pub use stream::Stream;
pub use write::poll_write_all;
