//! What evaluators of health have in common: what probes in a row come to, and how long an endpoint is ejected that live
//! traffic speaks against.

mod ejections;
mod probing;

pub use ejections::{EjectionRules, Ejections};
pub use probing::{ProbeRules, Probing};

use plimsoll_sdk::{Endpoints, Sorted};

/// How long the return of an ejected endpoint may be late, in milliseconds.
pub const TICK_MS: u64 = 500;

/// Has an evaluator's records be those of these endpoints, by slot. A slot may come back as another endpoint: what was held
/// against the former one is not held against it. `id_hash` tells whose a record is, and `new` makes one.
pub fn follow<R>(
    records: &mut Sorted<u32, R>,
    endpoints: &Endpoints,
    id_hash: impl Fn(&R) -> u64,
    new: impl Fn(u64) -> R,
) {
    records.retain(|slot, record| endpoints.get(*slot).is_some_and(|e| e.id_hash == id_hash(record)));
    for e in endpoints {
        if records.get(&e.slot).is_none() {
            records.insert(e.slot, new(e.id_hash));
        }
    }
}

/// `5 requests in a row failed`, or `a request failed`.
pub fn in_a_row(count: u32, what: &str, ended: &str) -> String {
    match count {
        1 => format!("a {what} {ended}"),
        _ => format!("{count} {what}s in a row {ended}"),
    }
}
