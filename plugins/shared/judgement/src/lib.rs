//! What evaluators of health have in common: what probes in a row come to, and how long an endpoint is ejected that live
//! traffic speaks against.

mod ejections;
mod probing;

pub use ejections::{EjectionRules, Ejections};
pub use probing::{ProbeRules, Probing};

/// How long the return of an ejected endpoint may be late, in milliseconds.
pub const TICK_MS: u64 = 500;

/// `5 requests in a row failed`, or `a request failed`.
pub fn in_a_row(count: u32, what: &str, ended: &str) -> String {
    match count {
        1 => format!("a {what} {ended}"),
        _ => format!("{count} {what}s in a row {ended}"),
    }
}
