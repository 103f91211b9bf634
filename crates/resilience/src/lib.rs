//! What a proxy decides about attempts, told once for HTTP, TCP and the simulation: [`claim()`] finds the endpoint at which
//! one begins, [`Attempts`] knows whether another may follow, [`OutcomeClass`] says what it tells of the endpoint.
//!
//! Nothing here has a socket, a clock or randomness of its own: whoever decides hands them in.

mod attempts;
mod claim;
mod outcome;

pub use attempts::{Attempts, Retry};
pub use claim::{By, Claim, Fleet, Open, Pick, claim};
pub use outcome::OutcomeClass;
