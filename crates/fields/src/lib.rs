//! What HTTP/2 (RFC 9113) and HTTP/3 (RFC 9114) have in common below a request: which fields make it malformed, how heads and
//! trailers come of fields, and how numbers and texts are coded in field sections. Bytes in, bytes out.

mod field;
mod head;
pub mod huffman;
pub mod integer;
mod malformed;
mod name;
mod section;

pub use field::Field;
pub use head::{HeadError, HeadReader, RequestHead};
pub use malformed::Malformed;
pub use name::Name;
pub use section::Part;
