//! Each turn every endpoint gains its weight, the one that holds most is chosen, and pays the sum of all weights; of
//! several that hold as much, the lowest slot is chosen. Weights 5, 1, 1 give `a a b a c a a`.
//!
//! Done literally that visits every endpoint on every turn. But endpoints of one weight gain alike, so their order does
//! not change until one is chosen, and the chosen one becomes the last of them. A turn therefore looks at the first of
//! each weight only, and what all have gained is kept as the number of turns.

use std::collections::VecDeque;

use plimsoll_sdk::{Ready, sort_by};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    groups: Vec<Group>,
    /// Turns since the endpoints were last set. Wraps, as all sums here do: only differences matter, and they are small.
    turns: i64,
    total: i64,
}

/// Endpoints of one weight.
#[derive(Debug)]
struct Group {
    weight: i64,
    /// Who holds most comes first, then the lowest slot.
    queue: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    /// What it holds, less what everybody of its weight has gained since the endpoints were set.
    base: i64,
}

impl Entry {
    fn precedes(&self, other: &Self) -> bool {
        let more = self.base.wrapping_sub(other.base);
        more > 0 || (more == 0 && self.slot < other.slot)
    }
}

impl Group {
    fn gained(&self, turns: i64) -> i64 {
        self.weight.wrapping_mul(turns)
    }

    fn insert(&mut self, entry: Entry) {
        match self.queue.back() {
            Some(last) if entry.precedes(last) => {
                let at = self.queue.partition_point(|other| other.precedes(&entry));
                self.queue.insert(at, entry);
            }
            _ => self.queue.push_back(entry),
        }
    }
}

impl Sequence {
    /// The endpoints are now these, in ascending order of slots. Those that stay keep what they hold.
    pub(crate) fn update(&mut self, ready: &[Ready]) {
        let mut held: Vec<(u32, i64)> = Vec::new();
        for group in self.groups.drain(..) {
            let gained = group.gained(self.turns);
            held.extend(group.queue.iter().map(|entry| (entry.slot, entry.base.wrapping_add(gained))));
        }
        sort_by(&mut held, |a, b| a.0.cmp(&b.0));

        self.turns = 0;
        self.total = ready.iter().map(|e| i64::from(e.weight)).sum();
        let mut entries: Vec<(u32, Entry)> = Vec::with_capacity(ready.len());
        for e in ready {
            let known = held.binary_search_by_key(&e.slot, |(slot, _)| *slot);
            // Weights may have shrunk: nobody holds or owes more than one round of the sequence.
            let base = known.map_or(0, |at| held[at].1.clamp(-self.total, self.total));
            entries.push((e.weight, Entry { slot: e.slot, base }));
        }
        sort_by(&mut entries, |(weight_of_a, a), (weight_of_b, b)| {
            weight_of_a.cmp(weight_of_b).then(b.base.cmp(&a.base)).then(a.slot.cmp(&b.slot))
        });
        self.groups = entries
            .chunk_by(|a, b| a.0 == b.0)
            .map(|group| Group {
                weight: i64::from(group[0].0),
                queue: group.iter().map(|(_, entry)| *entry).collect(),
            })
            .collect();
    }

    /// Number of different weights, which is what a turn costs.
    pub(crate) fn weights(&self) -> u64 {
        self.groups.len() as u64
    }

    /// After so many turns the sequence begins again.
    pub(crate) fn period(&self) -> u64 {
        let divisor = self.groups.iter().fold(0, |divisor, group| common_divisor(divisor, group.weight));
        (self.total / divisor.max(1)).unsigned_abs()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<u32> {
        self.turn(self.total)
    }

    /// A turn that these slots have no part in: they neither gain nor pay. None if there are no others.
    pub(crate) fn next_without(&mut self, slots: &[u32]) -> Option<u32> {
        let mut aside = Vec::with_capacity(slots.len());
        let mut total = self.total;
        for (index, group) in self.groups.iter_mut().enumerate() {
            let weight = group.weight;
            group.queue.retain(|entry| {
                let taken = slots.contains(&entry.slot);
                if taken {
                    aside.push((index, *entry));
                    total -= weight;
                }
                !taken
            });
        }
        let chosen = self.turn(total);
        for (index, mut entry) in aside {
            let group = &mut self.groups[index];
            if chosen.is_some() {
                entry.base = entry.base.wrapping_sub(group.weight);
            }
            group.insert(entry);
        }
        chosen
    }

    #[inline]
    fn turn(&mut self, price: i64) -> Option<u32> {
        let turns = self.turns.wrapping_add(1);
        let mut best: Option<(usize, u32, i64)> = None;
        for (index, group) in self.groups.iter().enumerate() {
            let Some(first) = group.queue.front() else { continue };
            let holds = first.base.wrapping_add(group.gained(turns));
            if best.is_none_or(|(_, slot, most)| holds > most || (holds == most && first.slot < slot)) {
                best = Some((index, first.slot, holds));
            }
        }
        let (index, slot, _) = best?;
        self.turns = turns;
        let group = &mut self.groups[index];
        let first = group.queue.pop_front()?;
        group.insert(Entry { slot, base: first.base.wrapping_sub(price) });
        Some(slot)
    }
}

fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
