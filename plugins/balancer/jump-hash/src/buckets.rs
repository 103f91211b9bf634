//! Endpoints by number. Those that are not available keep their number, and so do light ones: a key that jumps to an
//! endpoint is accepted with the probability that its weight is of the largest, and else jumps again. So a changed
//! weight or availability moves keys to or from that endpoint only.

use std::cmp::Ordering;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::sort_by;

use crate::Order;

#[derive(Debug, Default)]
pub(crate) struct Buckets {
    numbered: Vec<Bucket>,
    /// Of all, whatever their availability.
    largest: u64,
    /// The ready ones, with the sum of the weights up to and including each.
    sums: Vec<(u64, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    slot: u32,
    /// In thousandths; 0 when it is not ready.
    weight: u64,
}

/// Jumps before the endpoint is found by the sums of the weights: with very different weights most jumps are not accepted.
const JUMPS: u64 = 32;

impl Buckets {
    pub(crate) fn new(endpoints: &Endpoints, order: Order) -> Self {
        let ready = endpoints.ready();
        let level = ready.first().and_then(|ready| endpoints.get(ready.slot)).map(|e| e.priority);
        let mut members: Vec<&Endpoint> = endpoints.iter().filter(|e| Some(e.priority) == level).collect();
        if order == Order::Id {
            sort_by(&mut members, |a, b| by_name(a.id.as_bytes(), b.id.as_bytes()).then(a.slot.cmp(&b.slot)));
        }
        let weight = |e: &Endpoint| u64::from(e.weight.min(65_535));
        let bucket = |e: &&Endpoint| {
            let is_ready = ready.binary_search_by_key(&e.slot, |ready| ready.slot).is_ok();
            Bucket { slot: e.slot, weight: if is_ready { weight(e) * u64::from(e.ramp.clamp(1, 1000)) } else { 0 } }
        };
        let numbered: Vec<Bucket> = members.iter().map(bucket).collect();
        let mut sum = 0;
        let sums = numbered.iter().filter(|bucket| bucket.weight > 0).map(|bucket| {
            sum += bucket.weight;
            (sum, bucket.slot)
        });
        Self { sums: sums.collect(), largest: members.iter().map(|e| weight(e) * 1000).max().unwrap_or(0), numbered }
    }

    /// Slots in the order in which the key leads to them, some of them repeatedly. Every ready one is among them.
    #[inline]
    pub(crate) fn from(&self, key: u64) -> impl Iterator<Item = u32> {
        let jumps = (0..JUMPS).filter_map(move |attempt| self.accepted(again(key, attempt)));
        let found = std::iter::once_with(move || self.by_weight(again(key, JUMPS))).flatten();
        let start = (key % self.sums.len().max(1) as u64) as usize;
        let (before, after) = self.sums.split_at(start);
        jumps.chain(found).chain(after.iter().chain(before).map(|(_, slot)| *slot))
    }

    #[inline]
    fn accepted(&self, key: u64) -> Option<u32> {
        let bucket = self.numbered.get(jump(key, self.numbered.len()))?;
        // Without a look at another hash where all weigh the same and are ready.
        let accepted = bucket.weight == self.largest || below(mix(!key), self.largest) < bucket.weight;
        accepted.then_some(bucket.slot)
    }

    fn by_weight(&self, key: u64) -> Option<u32> {
        let (total, _) = self.sums.last()?;
        let at = below(key, *total);
        let found = self.sums.partition_point(|(sum, _)| *sum <= at);
        self.sums.get(found).map(|(_, slot)| *slot)
    }
}

/// The key of a further jump. The first is that of the key itself.
fn again(key: u64, attempt: u64) -> u64 {
    if attempt == 0 { key } else { mix(key.wrapping_add(attempt)) }
}

/// A number below `len`, of which 1 in `len` keys gets another when `len` grows by one, and that is always the new one.
#[inline]
fn jump(mut key: u64, len: usize) -> usize {
    let (mut number, mut next) = (0, 0_u64);
    while next < len as u64 {
        number = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((number + 1) as f64 * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as u64;
    }
    number as usize
}

/// A number below `bound`, which is below 2^47, of a hash.
fn below(hash: u64, bound: u64) -> u64 {
    ((u128::from(hash) * u128::from(bound)) >> 64) as u64
}

/// Finalizer of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Runs of digits by their value, everything else byte by byte.
fn by_name(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let order = match (digits(a), digits(b)) {
            (0, _) | (_, 0) => match (a.split_first(), b.split_first()) {
                (Some((first_of_a, rest_of_a)), Some((first_of_b, rest_of_b))) => {
                    (a, b) = (rest_of_a, rest_of_b);
                    first_of_a.cmp(first_of_b)
                }
                (None, None) => return Ordering::Equal,
                (left, _) => return if left.is_none() { Ordering::Less } else { Ordering::Greater },
            },
            (of_a, of_b) => {
                let value =
                    |digits: &[u8]| digits.iter().position(|digit| *digit != b'0').map_or(0..0, |at| at..digits.len());
                let (value_of_a, value_of_b) = (&a[value(&a[..of_a])], &b[value(&b[..of_b])]);
                (a, b) = (&a[of_a..], &b[of_b..]);
                value_of_a.len().cmp(&value_of_b.len()).then(value_of_a.cmp(value_of_b)).then(of_a.cmp(&of_b))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_those_of_the_paper() {
        let known = [(1, 1, 0), (42, 57, 43), (0xdead_10cc, 1, 0), (0xdead_10cc, 666, 361), (256, 1024, 520)];
        for (key, len, number) in known {
            assert_eq!(jump(key, len), number, "{key} {len}");
        }
    }

    #[test]
    fn names_are_ordered_by_the_numbers_in_them() {
        let sorted = ["", "a", "a-2", "a-02", "a-10", "a-10b2", "a-10b10", "b", "b:1"];
        for (at, a) in sorted.iter().enumerate() {
            for (to, b) in sorted.iter().enumerate() {
                assert_eq!(by_name(a.as_bytes(), b.as_bytes()), at.cmp(&to), "{a} {b}");
            }
        }
    }
}
