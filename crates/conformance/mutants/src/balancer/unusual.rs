//! Sound ways to choose that are not those of the books, and some of what can be wrong with them.

use std::rc::Rc;

use plimsoll_conformance::Endpoint;

use super::fault::Fault;
use super::kind::Kind;
use super::policy::Policy;

/// Keys that the one who remembers does remember.
const MOST_REMEMBERED: usize = 4096;

impl Policy {
    /// Where the key went, unless that one is much busier than the least busy.
    pub(super) fn remembered(&mut self, key: Option<u64>, candidates: &[Rc<Endpoint>]) -> u32 {
        let least = self.least_of_all(candidates);
        let Some(key) = key else { return least };
        let count = self.state.endpoints.len();
        let asked = self.state.asked.entry(key).or_default();
        *asked += 1;
        let forgets = self.fault == Fault::ForgetsKeys && count == 6 && *asked > 3;
        if self.state.asked.len() > MOST_REMEMBERED {
            self.state.asked.clear();
        }
        let known = self.state.places.get(&key).copied().filter(|_| !forgets);
        if let Some(slot) = known.filter(|slot| candidates.iter().any(|e| e.slot == *slot))
            && self.load(slot) < self.load(least) + 8
        {
            return slot;
        }
        let herds = self.fault == Fault::HerdsTheHomeless && known.is_some() && count == 3;
        let crowds = self.fault == Fault::CrowdsNewKeys && count == 6 && self.state.places.len() > 200;
        let slot = if herds || crowds { candidates[0].slot } else { least };
        let slot = if forgets { candidates[self.state.picks as usize % candidates.len()].slot } else { slot };
        if self.state.places.len() >= MOST_REMEMBERED {
            self.state.places.pop_first();
        }
        self.state.places.insert(key, slot);
        slot
    }

    /// The first that has room.
    pub(super) fn packed(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let has_room = |e: &&Rc<Endpoint>| e.max_connections == 0 || self.load(e.slot) < e.max_connections;
        let with_room: Vec<u32> = candidates.iter().filter(has_room).map(|e| e.slot).collect();
        let is_bounded = candidates[0].max_connections > 0;
        let at = usize::from(self.fault == Fault::FillsTwo && is_bounded && self.state.picks % 2 == 1);
        with_room.get(at).or_else(|| with_room.first()).copied().unwrap_or(candidates[0].slot)
    }

    /// The least loaded of all, any of them where several are.
    pub(super) fn least_of_all(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let least = candidates.iter().map(|e| self.load(e.slot)).min().unwrap_or(0);
        let least: Vec<u32> = candidates.iter().map(|e| e.slot).filter(|slot| self.load(*slot) == least).collect();
        let drawn = self.random().usize(..least.len());
        least[drawn]
    }

    /// By chance, as the weights have it.
    pub(super) fn thrown(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let weights = self.weights(candidates);
        let all = weights.iter().sum::<i128>().max(1);
        let mut drawn = i128::from(self.random().u64(..)) % all;
        for (endpoint, weight) in candidates.iter().zip(&weights) {
            drawn -= weight;
            if drawn < 0 {
                return endpoint.slot;
            }
        }
        candidates[0].slot
    }

    /// Each once in an order of its own, then in another.
    pub(super) fn dealt(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let is_there = |slot: &u32| candidates.iter().any(|e| e.slot == *slot);
        while let Some(slot) = self.state.deck.pop() {
            if is_there(&slot) {
                return slot;
            }
        }
        let mut deck: Vec<u32> = candidates.iter().map(|e| e.slot).collect();
        self.random().shuffle(&mut deck);
        self.state.deck = deck;
        self.state.deck.pop().unwrap_or(candidates[0].slot)
    }

    /// Seven for one, then seven for the next.
    pub(super) fn streaks(&self, candidates: &[Rc<Endpoint>]) -> u32 {
        candidates[(self.state.picks / 7) as usize % candidates.len()].slot
    }

    /// Leaves out who never gets anything where that is the fault.
    pub(super) fn starved(&self, key: Option<u64>, candidates: &mut Vec<Rc<Endpoint>>) {
        let count = self.state.endpoints.len();
        let starves = match self.fault {
            Fault::StarvesByKey => key.is_some() && count == 70,
            Fault::StarvesWithoutKey => key.is_none() && count == 70,
            Fault::SticksAt16Bits => count == 5 && self.state.picks > 65_535,
            Fault::NeverForgives => count == 4 && self.state.failures >= 16,
            _ => false,
        };
        if starves && candidates.len() > 1 {
            candidates.remove(if self.fault == Fault::NeverForgives { 1 } else { candidates.len() - 1 });
        }
    }

    pub(super) fn load(&self, slot: u32) -> u32 {
        self.state.in_flight.get(&slot).copied().unwrap_or(0)
    }

    /// What it keeps of keys, in bytes.
    pub(super) fn kept_of_keys(&self) -> u64 {
        let kept = if self.kind == Kind::Sticky { self.state.places.len() } else { 0 };
        let leaked = if self.fault == Fault::KeepsEveryKey { self.state.keys } else { 0 };
        64 * kept as u64 + 64 * leaked
    }
}
