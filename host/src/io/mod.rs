//! Bytes: streams of them, whatever carries these, files that are not too large, and where they may be.

mod buffers;
mod completion;
mod directories;
mod early_tls;
mod file;
mod http3;
mod pipe;
mod read_buffer;
mod replace;
mod stream;
mod write;

pub use buffers::Buffers;
pub use completion::Completion;
pub use directories::{cache_directory, data_directory};
pub use early_tls::EarlyTls;
pub use file::read_bounded;
pub use http3::{Http3Message, IntoQuic, PeerStreams, Unread, hear};
pub use pipe::{LentPipe, Pipes};
pub use read_buffer::ReadBuffer;
pub use replace::{put_aside, replace_file, replace_private_file};
pub use stream::Stream;
pub use write::poll_write_all;
