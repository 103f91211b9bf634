//! A fake host and a test bench per role, for `cargo test` on the machine at hand. The benches run a policy through the
//! same code as the exported functions of the component do.
//!
//! Every test has a host of its own, since each runs on its own thread: with seeded randomness, a clock that stands
//! still until told otherwise, and counters that read 0 until they are set.

mod bench;
mod fake;
pub(crate) mod imports;

pub use bench::{
    AffinityBench, BalancerBench, DiscoveryBench, FilterBench, HealthBench, PartitionerBench, ProberBench, RouterBench,
};
pub use fake::{
    Level, advance, counted, gauge, logs, observed, random_draws, report_load, report_metric, reset, seed,
    set_failures, set_first_byte_us, set_in_flight, set_node, set_now_ms, set_requests, set_secret, set_unix_ms,
};

use crate::{Availability, Endpoint};

/// Endpoints of these weights in slots 0, 1, 2 and so on, named `a`, `b`, `c` … with addresses from 10.0.0.1 on, all
/// ready and warm.
pub fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
    (0..).zip(weights).map(|(slot, &weight)| Endpoint { weight, ..endpoint(slot) }).collect()
}

/// One such endpoint, of weight 1.
pub fn endpoint(slot: u32) -> Endpoint {
    let address = format!("10.{}.{}.{}:80", (slot + 1) >> 16 & 255, (slot + 1) >> 8 & 255, (slot + 1) & 255);
    let id = match u8::try_from(slot) {
        Ok(n) if n < 26 => char::from(b'a' + n).to_string(),
        _ => address.clone(),
    };
    with_id(slot, &id, &address)
}

/// An endpoint of that id, hashed as the host does it; ready, warm and of weight 1.
pub fn with_id(slot: u32, id: &str, address: &str) -> Endpoint {
    Endpoint {
        slot,
        id_hash: id_hash(id),
        id: id.to_owned(),
        address: address.to_owned(),
        weight: 1,
        ramp: 1000,
        max_connections: 0,
        availability: Availability::Ready,
        priority: 0,
        zone: String::new(),
        metadata: Vec::new(),
    }
}

/// XXH64 with seed 0, which the host uses for ids and keys.
pub fn id_hash(id: &str) -> u64 {
    xxhash_rust::xxh64::xxh64(id.as_bytes(), 0)
}
