//! What the affinities have in common. A binding is to the hash of an endpoint's id, never to its slot: another endpoint
//! may get the slot later, and another proxy numbers differently.

mod memo;
pub mod names;
mod sessions;
pub mod set_cookie;
mod slots;
mod token;
mod tokens;

pub use sessions::Sessions;
pub use slots::Slots;
pub use token::{Dates, Signer, Token, split_prefix};
pub use tokens::Tokens;
