//! Envoy's schedule for endpoints of different weights: earliest deadline first. Whoever is first on it is chosen, and comes
//! again after a time that is the reciprocal of its weight as it is at that moment: weight / (attempts under way + 1) ^ bias.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use plimsoll_sdk::prelude::*;

/// When whose turn is.
#[derive(Debug)]
pub(crate) struct Schedule {
    bias: f64,
    turns: BinaryHeap<Turn>,
    /// Deadline of the turn that was taken last.
    now: f64,
    /// Number of the next turn.
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    deadline: f64,
    /// Of several with the same deadline the one that was made first comes first.
    number: u64,
    slot: u32,
    weight: u32,
}

/// The first turn is the greatest.
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

impl Schedule {
    pub(crate) const fn new(bias: f64) -> Self {
        Self { bias, turns: BinaryHeap::new(), now: 0.0, number: 0 }
    }

    /// A schedule for these endpoints. Each begins somewhere within its first turn, so that workers and machines do not
    /// send in step.
    pub(crate) fn update(&mut self, endpoints: &Endpoints) {
        (self.now, self.number) = (0.0, 0);
        self.turns.clear();
        for endpoint in endpoints.ready() {
            // In (0, 1].
            let part = ((host::random() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            let turn = self.turn(endpoint.slot, endpoint.weight, part);
            self.turns.push(turn);
        }
    }

    /// The next that is not one of `tried`, which keep their turns. None if there is no other.
    pub(crate) fn next(&mut self, tried: &[u32]) -> Option<u32> {
        let mut passed = Vec::new();
        let next = loop {
            match self.turns.pop() {
                Some(turn) if tried.contains(&turn.slot) => passed.push(turn),
                next => break next,
            }
        };
        self.turns.extend(passed);
        let next = next?;
        self.now = next.deadline.max(self.now);
        let again = self.turn(next.slot, next.weight, 1.0);
        self.turns.push(again);
        Some(next.slot)
    }

    /// A turn after `part` of the time that the endpoint takes now.
    fn turn(&mut self, slot: u32, weight: u32, part: f64) -> Turn {
        self.number += 1;
        let slowed = match self.bias {
            0.0 => 1.0,
            1.0 => f64::from(host::in_flight(slot)) + 1.0,
            bias => (f64::from(host::in_flight(slot)) + 1.0).powf(bias).min(1e100),
        };
        Turn { deadline: self.now + part * slowed / f64::from(weight), number: self.number, slot, weight }
    }
}
