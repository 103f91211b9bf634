//! Bytes: streams of them, whatever carries these, and files that are not too large.

mod buffers;
mod file;
mod prefixed;
mod replace;
mod stream;
mod write;

pub use buffers::Buffers;
pub use file::read_bounded;
pub use prefixed::Prefixed;
pub use replace::{put_aside, replace_file, replace_private_file};
pub use stream::Stream;
pub use write::poll_write_all;
