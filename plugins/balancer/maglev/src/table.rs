//! The lookup table of Maglev (Eisenbud et al., NSDI 2016, section 3.4). Each endpoint has a preference over all places,
//! drawn from the hash of its id; in turn each takes the best place that is still free, until none is. Weights work as in
//! Envoy: an endpoint takes its turn in as many rounds as its share of the largest weight.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_sdk::Ready;

/// Places, each with the slot of the endpoint that took it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: Vec<u32>,
    /// What the places were made of: id hashes, weights and slots.
    made_of: Vec<Ready>,
}

const FREE: u32 = u32::MAX;

/// The preference of one endpoint while the table is filled.
struct Preference {
    weight: u64,
    taken: u64,
    next: u32,
    skip: u32,
    slot: u32,
}

impl Table {
    /// Fills the places anew, unless nothing changed that matters for them.
    pub(crate) fn build(&mut self, size: u32, ready: &[Ready]) {
        if self.made_of == ready {
            return;
        }
        self.made_of = ready.to_vec();
        self.places.clear();
        let mut preferences = preferences(size, ready);
        let Some(largest) = preferences.iter().map(|p| p.weight).max() else { return };
        self.places.resize(size as usize, FREE);
        // Who has its turn in which round, the earliest first. Going round and round instead would visit an endpoint of
        // weight 1 beside one of 1000 a thousand times for each place it takes.
        let mut turns: BinaryHeap<Reverse<(u64, usize)>> =
            preferences.iter().enumerate().map(|(index, p)| Reverse((p.round(largest), index))).collect();
        for _ in 0..size {
            let Some(mut turn) = turns.peek_mut() else { return };
            let preference = &mut preferences[turn.0.1];
            while self.places[preference.next as usize] != FREE {
                preference.advance(size);
            }
            self.places[preference.next as usize] = preference.slot;
            preference.advance(size);
            preference.taken += 1;
            turn.0.0 = preference.round(largest);
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: u64) -> Option<u32> {
        let size = self.places.len() as u64;
        if size == 0 {
            return None;
        }
        Some(self.places[(key % size) as usize])
    }

    /// Where the key goes when these slots are out of the question: keys of one endpoint spread over the others, each
    /// to the same one again. Leads back to what was tried only when nothing else is left.
    pub(crate) fn get_another(&self, key: u64, tried: &[u32]) -> Option<u32> {
        let mut probe = key;
        for _ in 0..8 {
            let slot = self.get(probe)?;
            if !tried.contains(&slot) {
                return Some(slot);
            }
            probe = mix(probe);
        }
        // What is left has few places: look at the endpoints instead.
        let start = (probe % self.made_of.len().max(1) as u64) as usize;
        let (before, after) = self.made_of.split_at(start);
        let left = after.iter().chain(before).find(|e| !tried.contains(&e.slot));
        left.map(|e| e.slot).or_else(|| self.get(key))
    }
}

impl Preference {
    /// In which round it has its next turn: every round it gathers its weight, and a turn costs the largest.
    fn round(&self, largest: u64) -> u64 {
        ((self.taken + 1) * largest).div_ceil(self.weight)
    }

    #[inline]
    fn advance(&mut self, size: u32) {
        self.next += self.skip;
        if self.next >= size {
            self.next -= size;
        }
    }
}

/// In the order of the id hashes, so that the table does not depend on how slots were given.
fn preferences(size: u32, ready: &[Ready]) -> Vec<Preference> {
    let mut ordered: Vec<&Ready> = ready.iter().collect();
    ordered.sort_unstable_by_key(|e| (e.id_hash, e.slot));
    let preference = |e: &Ready| Preference {
        weight: e.weight.into(),
        taken: 0,
        next: (mix(e.id_hash) % u64::from(size)) as u32,
        skip: (mix(!e.id_hash) % u64::from(size - 1) + 1) as u32,
        slot: e.slot,
    };
    ordered.into_iter().map(preference).collect()
}

/// The finaliser of SplitMix64: a permutation of all numbers without visible pattern.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
