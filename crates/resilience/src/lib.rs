//! What a proxy decides about attempts, told once for HTTP, TCP and the simulation: [`claim()`] finds the endpoint at which
//! one begins, [`Attempts`] knows whether and how another may follow, by a [`Policy`], [`Concurrency`] how many may be under way, [`EjectionBounds`] how many endpoints
//! live traffic may put out of service.
//!
//! Nothing here has a socket, a clock or randomness of its own: whoever decides hands them in.

mod claim;
mod concurrency;
mod ejection;
mod latencies;
mod retry;

pub use claim::{By, Claim, Fleet, Open, Pick, Unusable, claim};
pub use concurrency::{Concurrency, Heard, Terms};
pub use ejection::EjectionBounds;
pub use latencies::Latencies;
pub use retry::{Again, Attempts, Backoff, Budget, Conditions, Failed, Failure, Policy};
