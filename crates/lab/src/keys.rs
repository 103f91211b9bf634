use std::collections::HashMap;

use serde::Serialize;

use crate::balancer::{Asked, Balancer, Member};
use crate::numbers::mix;

/// Where keys lead, and how many of them lead elsewhere when endpoints come and go. Asked of a balancer beside the one
/// that serves, which nothing else happens to.
pub(crate) struct KeyProbe {
    beside: Box<dyn Balancer>,
    members: Vec<Member>,
    leads_to: Vec<Option<u32>>,
    /// Until a key led to two places without anything having changed.
    is_keyed: bool,
    changes: Vec<KeysMoved>,
}

/// What a change of the endpoints did to the keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeysMoved {
    pub at_us: u64,
    pub what: String,
    /// Share of the keys that lead elsewhere.
    pub moved: f64,
    /// Share that had to: those of endpoints that have gone, and the due share of those that have come.
    pub had_to: f64,
}

/// Keys that are asked for. A prime number: who takes turns comes to another place with the next round.
const PROBES: u64 = 4093;

impl KeyProbe {
    pub(crate) fn new(beside: Box<dyn Balancer>) -> Self {
        Self { beside, members: Vec::new(), leads_to: Vec::new(), is_keyed: true, changes: Vec::new() }
    }

    pub(crate) fn set_endpoints(&mut self, now_us: u64, now_ms: u64, members: &[Member], what: Option<&str>) {
        if !self.is_keyed {
            return;
        }
        self.beside.set_now_ms(now_ms);
        self.beside.set_endpoints(members);
        let before = std::mem::take(&mut self.leads_to);
        self.leads_to = self.ask();
        let first = self.leads_to.first().copied().flatten();
        self.is_keyed =
            self.ask() == self.leads_to && (members.len() < 2 || self.leads_to.iter().any(|to| *to != first));
        let members_before = std::mem::replace(&mut self.members, members.to_vec());
        let Some(what) = what else { return };
        let moved = before.iter().zip(&self.leads_to).filter(|(before, after)| before != after).count();
        self.changes.push(KeysMoved {
            at_us: now_us,
            what: what.to_owned(),
            moved: moved as f64 / PROBES as f64,
            had_to: self.had_to_move(&before, &members_before),
        });
    }

    fn ask(&mut self) -> Vec<Option<u32>> {
        (0..PROBES)
            .map(|number| self.beside.pick(0, Asked { key: Some(mix(number)), kind: 0 }, &[]).unwrap_or(None))
            .collect()
    }

    fn had_to_move(&self, before: &[Option<u32>], members_before: &[Member]) -> f64 {
        let takes = |members: &[Member], slot: u32| members.iter().any(|of| of.slot == slot && of.takes_new());
        let lost = before.iter().filter(|to| to.is_none_or(|slot| !takes(&self.members, slot))).count();
        let weight = |of: &Member| f64::from(of.weight);
        let total: f64 = self.members.iter().filter(|of| of.takes_new()).map(weight).sum();
        let come = self.members.iter().filter(|of| of.takes_new() && !takes(members_before, of.slot));
        lost as f64 / PROBES as f64 + come.map(weight).sum::<f64>() / total.max(1.0)
    }

    /// None if keys mean nothing to the balancer.
    pub(crate) fn changes(self) -> Option<Vec<KeysMoved>> {
        self.is_keyed.then_some(self.changes)
    }
}

/// Whether requests come to the endpoint that the last one of the same key came to, where what they need may be in memory.
#[derive(Debug, Default)]
pub(crate) struct Revisits {
    last: HashMap<u64, u32>,
    again: u64,
    same: u64,
}

/// Keys that are remembered; others are not counted.
const MOST_KEYS: usize = 1 << 20;

impl Revisits {
    pub(crate) fn visit(&mut self, key: u64, slot: u32, is_counted: bool) {
        if self.last.len() >= MOST_KEYS && !self.last.contains_key(&key) {
            return;
        }
        let before = self.last.insert(key, slot);
        if let Some(before) = before
            && is_counted
        {
            self.again += 1;
            self.same += u64::from(before == slot);
        }
    }

    /// Share of the requests whose key was seen before that came to the same endpoint again.
    pub(crate) fn share(&self) -> Option<f64> {
        (self.again > 0).then(|| self.same as f64 / self.again as f64)
    }
}
