//! The order that HAProxy makes of weights (`recalc_server_map` in `lb_map.c`). With W the sum of the weights there are W
//! turns. In each turn every endpoint gains its weight; of those that hold the most, counted in whole W, the first is
//! chosen, and pays W.
//!
//! Done literally that visits every endpoint in every turn. But what an endpoint holds in whole W grows at turns that are
//! known beforehand, and else only changes when it is chosen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest order, unless there are more endpoints. Weights that would make a longer one are scaled down, as far as 1.
const LONGEST: u64 = 1 << 14;

/// Slots, in the order in which they have their turns, of slots with weights above 0.
pub(crate) fn order(weights: &[(u32, u32)]) -> Vec<u32> {
    let weights = shortened(weights);
    let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
    if total == weights.len() as u64 {
        return weights.iter().map(|(slot, _)| *slot).collect();
    }
    // The k-th time that an endpoint holds one W more, in turns.
    let grows = |index: usize, k: u64| (k * total).div_ceil(weights[index].1);
    let mut growth: BinaryHeap<Reverse<(u64, usize, u64)>> =
        (0..weights.len()).map(|index| Reverse((grows(index, 1), index, 1))).collect();
    // Who holds so many W, and one: nobody falls below 0 then. What has moved on since is passed over.
    let mut levels: Vec<BinaryHeap<Reverse<usize>>> =
        vec![BinaryHeap::new(), (0..weights.len()).map(Reverse).collect()];
    let mut level = vec![1_usize; weights.len()];
    let mut order = Vec::with_capacity(total as usize);
    for turn in 1..=total {
        while let Some(mut next) = growth.peek_mut().filter(|next| next.0.0 <= turn) {
            let (_, index, k) = next.0;
            next.0 = (grows(index, k + 1), index, k + 1);
            level[index] += 1;
            if levels.len() == level[index] {
                levels.push(BinaryHeap::new());
            }
            levels[level[index]].push(Reverse(index));
        }
        let first = levels.iter_mut().enumerate().rev().find_map(|(at, heap)| {
            while let Some(Reverse(index)) = heap.pop() {
                if level[index] == at {
                    return Some(index);
                }
            }
            None
        });
        let Some(first) = first else { break };
        level[first] = level[first].saturating_sub(1);
        levels[level[first]].push(Reverse(first));
        order.push(weights[first].0);
    }
    order
}

/// The same proportions in the smallest whole numbers, or nearly the same where those are too large.
fn shortened(weights: &[(u32, u32)]) -> Vec<(u32, u64)> {
    let divisor = weights.iter().fold(0, |divisor, (_, weight)| common_divisor(divisor, *weight)).max(1);
    let total: u64 = weights.iter().map(|(_, weight)| u64::from(weight / divisor)).sum();
    let shorten = |weight: u32| match u64::from(weight / divisor) {
        weight if total > LONGEST => (weight * LONGEST / total).max(1),
        weight => weight,
    };
    weights.iter().map(|(slot, weight)| (*slot, shorten(*weight))).collect()
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
