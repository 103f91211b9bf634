//! Bytes: streams of them, whatever carries these, files that are not too large, and where they may be.

mod buffers;
mod directories;
mod file;
mod http3;
mod prefixed;
mod replace;
mod stream;
mod write;

pub use buffers::Buffers;
pub use directories::{cache_directory, data_directory};
pub use file::read_bounded;
pub use http3::{Http3Message, IntoQuic, PeerStreams, Unread, hear};
pub use prefixed::Prefixed;
pub use replace::{put_aside, replace_file, replace_private_file};
pub use stream::Stream;
pub use write::poll_write_all;
