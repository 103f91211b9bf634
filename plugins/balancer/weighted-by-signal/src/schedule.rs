//! Earliest deadline first: every endpoint has a deadline, the earliest has the turn, and its next deadline is later by
//! one over its weight. First deadlines are random, so that workers and machines do not send in step.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use plimsoll_sdk::{host, sort_by};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    entries: BinaryHeap<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    deadline: f64,
    period: f64,
}

impl Schedule {
    /// The endpoints and their weights are now these. Who was there keeps its place between its last turn and its next.
    pub(crate) fn set(&mut self, weights: impl Iterator<Item = (u32, f64)>) {
        let mut before = std::mem::take(&mut self.entries).into_vec();
        sort_by(&mut before, |a, b| a.slot.cmp(&b.slot));
        let now = before.iter().map(|entry| entry.deadline).fold(f64::INFINITY, f64::min);
        self.entries = weights
            .filter(|(_, weight)| *weight > 0.0)
            .map(|(slot, weight)| {
                let period = weight.recip();
                let left = match before.binary_search_by_key(&slot, |entry| entry.slot) {
                    Ok(at) => (before[at].deadline - now) / before[at].period,
                    Err(_) => (host::random() >> 11) as f64 / (1_u64 << 53) as f64,
                };
                Entry { slot, deadline: left * period, period }
            })
            .collect();
    }

    pub(crate) fn next(&mut self) -> Option<u32> {
        let mut first = self.entries.peek_mut()?;
        first.deadline += first.period;
        Some(first.slot)
    }

    /// The earliest but for these; none when there are no others.
    pub(crate) fn next_without(&mut self, slots: &[u32]) -> Option<u32> {
        let mut aside = Vec::with_capacity(slots.len());
        while let Some(entry) = self.entries.peek().filter(|entry| slots.contains(&entry.slot)) {
            aside.push(*entry);
            self.entries.pop();
        }
        let chosen = self.next();
        self.entries.extend(aside);
        chosen
    }
}

impl Ord for Entry {
    /// The heap gives the greatest first, which is the earliest here; of equals the lowest slot.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.slot.cmp(&self.slot))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
