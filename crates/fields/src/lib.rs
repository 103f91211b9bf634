//! What every version of HTTP has: heads and their fields, trailers, and the pieces of a body. Beside that, what HTTP/2 (RFC 9113)
//! and HTTP/3 (RFC 9114) have in common below a request: which fields make it malformed, how heads and trailers come of fields, and
//! how numbers and texts are coded in field sections. Bytes in, bytes out.

mod field;
mod fields;
mod frame;
mod head;
pub mod huffman;
pub mod integer;
mod malformed;
mod name;
mod reader;
mod reason;
mod response;
mod section;

pub use field::Field;
pub use fields::{FieldName, Fields};
pub use frame::Frame;
pub use head::{RequestHead, ResponseHead};
pub use malformed::Malformed;
pub use name::Name;
pub use reader::{HeadError, HeadReader};
pub use reason::ReasonPhrase;
pub use response::Response;
pub use section::Part;
