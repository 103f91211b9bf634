//! The PROXY protocol, versions 1 and 2 (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>), as bytes: whom a
//! proxy makes a connection for. Knows no sockets. What is read is bounded, and held against its own checksum.

mod checksum;
pub mod fuzzing;
mod header;
mod read;
mod tlv;
mod write;

pub use header::{Addresses, Details, Header, Ssl, Version};
pub use read::{Found, MOST_BYTES, read, read_datagram};
pub use write::{Tlvs, write};
