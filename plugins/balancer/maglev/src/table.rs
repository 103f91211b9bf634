//! The lookup table of Maglev (Eisenbud et al., NSDI 2016, section 3.4). Each endpoint has a preference over all places,
//! drawn from the hash of its id; in turn each takes the best place that is still free, until none is. Weights work as in
//! Envoy: an endpoint takes its turn in as many rounds as its share of the largest weight.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_sdk::{Ready, sort_by};

/// Places, each with the slot of the endpoint that took it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    now: Filled,
    /// Made elsewhere for endpoints that are yet to come: the places, and last the fingerprint of what they were made of.
    prepared: Vec<u32>,
    /// What was there before: an endpoint that fails a probe and passes the next leads back to it.
    before: Filled,
}

#[derive(Debug, Default)]
struct Filled {
    places: Vec<u32>,
    /// What the places were made of: id hashes, weights and slots.
    made_of: Vec<Ready>,
}

/// A table that is being filled.
struct Filling<'a> {
    places: &'a mut [u32],
    /// Places that are free, a bit for each: it stays in the first-level cache, and most looks at a place find it taken.
    free: Vec<u64>,
    /// Number of them.
    left: usize,
    /// All of them, once they are few.
    last: Vec<u32>,
}

/// The preference of one endpoint while the table is filled.
struct Preference {
    turn: Turn,
    next: u32,
    skip: u32,
    slot: u32,
}

/// In which round an endpoint has its next turn: every round it gathers its weight, and a turn costs the largest.
struct Turn {
    round: u64,
    /// What is left over of the rounds before.
    rest: u64,
    weight: u64,
    rounds_for_each: u64,
    rest_of_each: u64,
}

impl Table {
    /// Fills the places anew, unless nothing changed that matters for them, or it is as it was before the last change.
    pub(crate) fn build(&mut self, size: u32, ready: &[Ready]) {
        let prepared = std::mem::take(&mut self.prepared);
        if self.now.is_for(ready) {
            return;
        }
        std::mem::swap(&mut self.now, &mut self.before);
        if !self.now.is_for(ready) && !self.now.take(prepared, size, ready) {
            self.now.fill(size, ready);
        }
        if size > LARGE {
            self.before = Filled::default();
        }
    }

    /// The places as another instance can take them, for the same endpoints.
    pub(crate) fn prepared(&self) -> Vec<u32> {
        // At once as large as it will be: a large table has no room to grow in.
        let mut prepared = Vec::with_capacity(self.now.places.len() + 2);
        prepared.extend_from_slice(&self.now.places);
        prepared.extend(fingerprint(&self.now.made_of));
        prepared
    }

    /// Places that another instance has made, for endpoints that are yet to come.
    pub(crate) fn adopt(&mut self, prepared: Vec<u32>) {
        self.prepared = prepared;
    }

    /// Slots in the order in which the key leads to them, some of them repeatedly. The first is where it goes; keys of one
    /// endpoint spread over the others, each to the same one again. Every endpoint is among them.
    #[inline]
    pub(crate) fn from(&self, key: u64) -> impl Iterator<Item = u32> {
        let probes = std::iter::successors(Some(key), |key| Some(mix(*key))).take(PROBES);
        let looked_up = probes.map_while(|key| self.now.get(key));
        // What is left has few places: look at the endpoints instead.
        let made_of = &self.now.made_of;
        let start = (key % made_of.len().max(1) as u64) as usize;
        let (before, after) = made_of.split_at(start);
        looked_up.chain(after.iter().chain(before).map(|e| e.slot))
    }
}

/// Tables of more places are not kept once they are out of date: they would be most of the memory that a plugin has.
const LARGE: u32 = 1 << 20;

/// Places that are looked at for a key, before the endpoints are.
const PROBES: usize = 32;

impl Filled {
    fn is_for(&self, ready: &[Ready]) -> bool {
        self.made_of == ready
    }

    /// Takes places made elsewhere, if they are for these endpoints.
    fn take(&mut self, mut prepared: Vec<u32>, size: u32, ready: &[Ready]) -> bool {
        let fits = prepared.len() == size as usize + 2 && prepared.ends_with(&fingerprint(ready));
        if fits {
            prepared.truncate(size as usize);
            self.places = prepared;
            self.made_of = ready.to_vec();
        }
        fits
    }

    fn fill(&mut self, size: u32, ready: &[Ready]) {
        self.made_of.clear();
        self.made_of.extend_from_slice(ready);
        self.places.clear();
        let Some(largest) = ready.iter().map(|e| u64::from(e.weight)).max() else { return };
        let total: u64 = ready.iter().map(|e| u64::from(e.weight)).sum();
        self.places.resize(size as usize, 0);
        let mut filling = Filling::new(&mut self.places);
        let preferences = preferences(size, largest, ready);
        // A round visits everybody, and most have a turn in it unless one weighs far more than the others.
        if largest * ready.len() as u64 <= 8 * total {
            filling.in_rounds(preferences);
        } else {
            filling.by_turns(preferences);
        }
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u32> {
        let size = self.places.len() as u64;
        if size == 0 {
            return None;
        }
        Some(self.places[(key % size) as usize])
    }
}

/// With so few places left, the best of them is found by looking at each, rather than at all those that are taken.
const FEW: usize = 128;

impl<'a> Filling<'a> {
    fn new(places: &'a mut [u32]) -> Self {
        let free = vec![u64::MAX; places.len() / 64 + 1];
        Self { left: places.len(), free, last: Vec::new(), places }
    }

    fn in_rounds(&mut self, mut preferences: Vec<Preference>) {
        for round in 1.. {
            for preference in &mut preferences {
                if preference.turn.round > round {
                    continue;
                }
                if self.left == 0 {
                    return;
                }
                self.give(preference);
            }
        }
    }

    /// Visits only those that have a turn, the earliest round first.
    fn by_turns(&mut self, mut preferences: Vec<Preference>) {
        let mut turns: BinaryHeap<Reverse<(u64, usize)>> =
            preferences.iter().enumerate().map(|(index, p)| Reverse((p.turn.round, index))).collect();
        while self.left > 0 {
            let Some(mut turn) = turns.peek_mut() else { return };
            let preference = &mut preferences[turn.0.1];
            self.give(preference);
            turn.0.0 = preference.turn.round;
        }
    }

    /// The best place that is free, of which there is one.
    #[inline]
    fn give(&mut self, preference: &mut Preference) {
        let place = if self.left > FEW { self.next_free(preference) } else { self.best_of_last(preference) };
        self.places[place as usize] = preference.slot;
        self.free[place as usize / 64] &= !(1 << (place % 64));
        self.left -= 1;
        preference.next = after(place, preference.skip, self.places.len() as u32);
        preference.turn.pass();
    }

    #[inline]
    fn next_free(&self, preference: &Preference) -> u32 {
        let size = self.places.len() as u32;
        let bit = |place: u32| self.free[place as usize / 64] >> (place % 64) & 1;
        let mut place = preference.next;
        if self.left > self.places.len() / 4 {
            while bit(place) == 0 {
                place = after(place, preference.skip, size);
            }
            return place;
        }
        // Most are taken: four at a time, which do not wait for each other.
        let twice = after(preference.skip, preference.skip, size);
        let four_times = after(twice, twice, size);
        loop {
            let second = after(place, preference.skip, size);
            let (third, fourth) = (after(place, twice, size), after(second, twice, size));
            let found = bit(place) | bit(second) << 1 | bit(third) << 2 | bit(fourth) << 3;
            if found != 0 {
                return [place, second, third, fourth][found.trailing_zeros() as usize];
            }
            place = after(place, four_times, size);
        }
    }

    /// The one that the fewest steps of the endpoint lead to.
    fn best_of_last(&mut self, preference: &Preference) -> u32 {
        let size = self.places.len() as u64;
        if self.last.is_empty() {
            let is_free = |place: &u32| self.free[*place as usize / 64] >> (place % 64) & 1 == 1;
            self.last = (0..size as u32).filter(is_free).collect();
        }
        let inverse = inverse(preference.skip.into(), size);
        let steps = |place: u32| (u64::from(place) + size - u64::from(preference.next)) % size * inverse % size;
        let mut best = (u64::MAX, 0);
        for (index, place) in self.last.iter().enumerate() {
            best = best.min((steps(*place), index));
        }
        self.last.swap_remove(best.1)
    }
}

/// So many places on, around the end.
#[inline]
fn after(place: u32, steps: u32, size: u32) -> u32 {
    let next = place + steps;
    if next >= size { next - size } else { next }
}

impl Turn {
    fn first(weight: u64, largest: u64) -> Self {
        let (rounds_for_each, rest_of_each) = (largest / weight, largest % weight);
        let mut turn = Self { round: 0, rest: 0, weight, rounds_for_each, rest_of_each };
        turn.pass();
        turn
    }

    /// On to the next: the n-th is in round n * largest / weight, rounded up.
    #[inline]
    fn pass(&mut self) {
        let before = self.round - u64::from(self.rest > 0);
        self.rest += self.rest_of_each;
        let carried = self.rest >= self.weight;
        if carried {
            self.rest -= self.weight;
        }
        self.round = before + self.rounds_for_each + u64::from(carried) + u64::from(self.rest > 0);
    }
}

/// What times `number` leaves 1, modulo a prime.
fn inverse(number: u64, prime: u64) -> u64 {
    let (mut power, mut exponent, mut product) = (number % prime, prime - 2, 1 % prime);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product * power % prime;
        }
        power = power * power % prime;
        exponent >>= 1;
    }
    product
}

/// In the order of the id hashes, so that the table does not depend on how slots were given.
fn preferences(size: u32, largest: u64, ready: &[Ready]) -> Vec<Preference> {
    let mut ordered: Vec<&Ready> = ready.iter().collect();
    sort_by(&mut ordered, |a, b| a.id_hash.cmp(&b.id_hash).then(a.slot.cmp(&b.slot)));
    let preference = |e: &Ready| Preference {
        turn: Turn::first(e.weight.into(), largest),
        next: (mix(e.id_hash) % u64::from(size)) as u32,
        skip: (mix(!e.id_hash) % u64::from(size - 1) + 1) as u32,
        slot: e.slot,
    };
    ordered.into_iter().map(preference).collect()
}

/// Of what a table is made of.
fn fingerprint(ready: &[Ready]) -> [u32; 2] {
    let add = |sum, e: &Ready| mix(sum ^ mix(e.id_hash ^ u64::from(e.slot) << 32 ^ u64::from(e.weight)));
    let sum: u64 = ready.iter().fold(ready.len() as u64, add);
    [sum as u32, (sum >> 32) as u32]
}

/// The finaliser of SplitMix64: a permutation of all numbers without visible pattern.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
