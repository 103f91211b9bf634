//! Consistent hashing without a table: every endpoint gets a score from the key and its id, and the highest wins. When an
//! endpoint goes, only its own keys move, and they spread over all others; when one comes, it takes its share and nothing
//! else moves. Each pick looks at every endpoint.

use plimsoll_sdk::prelude::*;

/// Lets the highest score win.
#[derive(Debug)]
pub struct Rendezvous;

impl Balancer for Rendezvous {
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let key = request.key.unwrap_or_else(host::random);
        let endpoints = request.endpoints;
        let all = endpoints.ready().iter();
        let mut untried = all.clone().filter(|endpoint| !request.is_tried(endpoint.slot)).peekable();
        let winner = if untried.peek().is_none() {
            highest(key, all, endpoints.weights_equal())
        } else {
            highest(key, untried, endpoints.weights_equal())
        };
        winner.map(|endpoint| Choice::slot(endpoint.slot))
    }
}

fn highest<'a>(key: u64, endpoints: impl Iterator<Item = &'a Ready>, weights_equal: bool) -> Option<&'a Ready> {
    if weights_equal {
        return endpoints.max_by_key(|endpoint| (hash(key, endpoint.id_hash), endpoint.id_hash));
    }
    let score = |endpoint: &Ready| score(hash(key, endpoint.id_hash), endpoint.weight);
    endpoints.map(|endpoint| (score(endpoint), endpoint)).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, best)| best)
}

/// The logarithmic method: with u uniform in (0, 1), the largest of -weight / ln(u) is each endpoint's with a probability
/// in proportion to its weight, and a change of one weight only moves keys to or from that endpoint.
fn score(hash: u64, weight: u32) -> f64 {
    // 53 bits fill a float; the half keeps it off 0 and 1.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}

/// Finalizer of SplitMix64 over both.
fn hash(key: u64, id_hash: u64) -> u64 {
    let mut z = key ^ id_hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

plimsoll_sdk::plugin! { summary: "sends the same key to the same endpoint, by the highest score", balancer: Rendezvous }

#[cfg(test)]
mod tests;
