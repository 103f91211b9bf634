//! What HTTP/2 (RFC 9113) and HTTP/3 (RFC 9114) have in common below a request: which fields make it malformed, and how numbers
//! and texts are coded in field sections. Bytes in, bytes out.

mod fields;
pub mod huffman;
pub mod integer;
mod malformed;
mod name;

pub use fields::{Fields, Part};
pub use malformed::Malformed;
pub use name::Name;
