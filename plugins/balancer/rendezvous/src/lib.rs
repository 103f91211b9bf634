//! Consistent hashing without a table: every endpoint gets a score from the key and its id, and the highest wins. When an
//! endpoint goes, only its own keys move, and they spread over all others; when one comes, it takes its share and nothing
//! else moves. Each pick looks at every endpoint.

use plimsoll_sdk::BoundedLoad;
use plimsoll_sdk::prelude::*;

/// When to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// An endpoint gets no more than this percentage of the mean of attempts under way for its weight, 100 at the least; a
    /// key whose endpoint has as many goes on to the one of the next score. 0 for no bound.
    #[schemars(range(max = 10_000))]
    hash_balance_factor: u32,
}

/// Lets the highest score win.
#[derive(Debug)]
pub struct Rendezvous {
    bounded: BoundedLoad,
}

impl Balancer for Rendezvous {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { bounded: BoundedLoad::new(config.hash_balance_factor)? })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.bounded.update(endpoints);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let key = request.key.unwrap_or_else(host::random);
        let (ready, weights_equal) = (request.endpoints.ready(), request.endpoints.weights_equal());
        // Each further one is another look at all endpoints.
        let most = (MOST_LOOKS / ready.len().max(1)).max(request.tried.len() + 1);
        let mut last = None;
        let by_score = std::iter::from_fn(|| {
            let (score, endpoint) = highest(key, ready, weights_equal, last)?;
            last = Some(score);
            Some(endpoint.slot)
        });
        self.bounded.choose(request, by_score.take(most)).map(Choice::slot)
    }
}

/// What a pick may cost with a bound on the load, in looks at an endpoint: some 0.3 ms of the 2 that a call has.
const MOST_LOOKS: usize = 1 << 13;

/// What endpoints are ordered by: the score, then the id and the slot, so that no two are equal.
type Score = (u64, u64, u32);

/// The highest of all, or of those below `last`.
#[inline]
fn highest(key: u64, ready: &[Ready], weights_equal: bool, last: Option<Score>) -> Option<(Score, &Ready)> {
    let score = |e: &Ready| {
        let hash = hash(key, e.id_hash);
        // With equal weights the hashes are in the order of the scores. The bits of positive floats are in their order.
        (if weights_equal { hash } else { score(hash, e.weight).to_bits() }, e.id_hash, e.slot)
    };
    let scored = ready.iter().map(|endpoint| (score(endpoint), endpoint));
    let below = scored.filter(|(score, _)| last.is_none_or(|last| *score < last));
    below.max_by_key(|(score, _)| *score)
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
