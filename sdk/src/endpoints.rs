use crate::{Availability, Change, Endpoint};

/// The endpoints of the cluster that a policy works for, as the host last told them.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    generation: Option<u64>,
    /// In ascending order of slots.
    all: Vec<Endpoint>,
    ready: Vec<Ready>,
    weights_equal: bool,
}

/// An endpoint that may get new requests now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub slot: u32,
    pub id_hash: u64,
    /// What it weighs against the others of [`Endpoints::ready`], never 0: the configured weight, or that times the ramp
    /// in thousandths while any of them warms up. At most 65 535 000.
    pub weight: u32,
}

impl Endpoints {
    /// Number of the state, which the host counts up; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation.unwrap_or(0)
    }

    /// All endpoints in ascending order of slots, of whatever availability.
    pub fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn get(&self, slot: u32) -> Option<&Endpoint> {
        self.position(slot).ok().map(|at| &self.all[at])
    }

    /// The endpoints that may get new requests, in ascending order of slots: ready, with a weight above 0, and of the
    /// first priority level that has any.
    pub fn ready(&self) -> &[Ready] {
        &self.ready
    }

    /// Whether all of [`Self::ready`] weigh the same.
    pub fn weights_equal(&self) -> bool {
        self.weights_equal
    }

    /// Whether the slot may serve what is bound to it: ready, or draining.
    pub fn keeps_bound(&self, slot: u32) -> bool {
        self.get(slot).is_some_and(|e| e.availability != Availability::Unavailable)
    }

    pub(crate) fn replace(&mut self, generation: u64, endpoints: Vec<Endpoint>) {
        if endpoints.is_sorted_by(|a, b| a.slot < b.slot) {
            self.all = endpoints;
        } else {
            // Never from a host that keeps the contract: it may take its time, but not much code.
            self.all.clear();
            endpoints.into_iter().for_each(|endpoint| self.put(endpoint));
        }
        self.generation = Some(generation);
        self.find_ready();
    }

    /// Answers false and leaves everything as it is when `base` is not what is known.
    pub(crate) fn apply(&mut self, base: u64, generation: u64, changes: &[Change]) -> bool {
        if self.generation != Some(base) {
            return false;
        }
        for change in changes {
            match change {
                Change::Put(endpoint) => self.put(endpoint.clone()),
                Change::Removed(slot) => {
                    if let Ok(at) = self.position(*slot) {
                        self.all.remove(at);
                    }
                }
                Change::Availability((slot, availability)) => self.edit(*slot, |e| e.availability = *availability),
                Change::Weight((slot, weight)) => self.edit(*slot, |e| e.weight = *weight),
                Change::Ramp((slot, ramp)) => self.edit(*slot, |e| e.ramp = *ramp),
            }
        }
        self.generation = Some(generation);
        self.find_ready();
        true
    }

    fn put(&mut self, endpoint: Endpoint) {
        match self.position(endpoint.slot) {
            Ok(at) => self.all[at] = endpoint,
            Err(at) => self.all.insert(at, endpoint),
        }
    }

    fn edit(&mut self, slot: u32, edit: impl FnOnce(&mut Endpoint)) {
        if let Ok(at) = self.position(slot) {
            edit(&mut self.all[at]);
        }
    }

    fn position(&self, slot: u32) -> Result<usize, usize> {
        // Slots are mostly dense, so that the slot is the index until the first removal.
        if self.all.get(slot as usize).is_some_and(|e| e.slot == slot) {
            return Ok(slot as usize);
        }
        self.all.binary_search_by_key(&slot, |e| e.slot)
    }

    fn find_ready(&mut self) {
        let usable = |e: &&Endpoint| e.availability == Availability::Ready && e.weight > 0;
        let level = self.all.iter().filter(usable).map(|e| e.priority).min();
        let in_use = || self.all.iter().filter(usable).filter(|e| Some(e.priority) == level);
        let warming = in_use().any(|e| e.ramp < 1000);
        let ready = in_use().map(|e| {
            let weight = e.weight.min(65_535);
            // An endpoint that has only begun to warm up still gets a trickle: it could not warm up without.
            let weight = if warming { weight * e.ramp.clamp(1, 1000) } else { weight };
            Ready { slot: e.slot, id_hash: e.id_hash, weight }
        });
        self.ready = ready.collect();
        self.weights_equal = self.ready.windows(2).all(|pair| pair[0].weight == pair[1].weight);
    }
}

impl<'a> IntoIterator for &'a Endpoints {
    type Item = &'a Endpoint;
    type IntoIter = std::slice::Iter<'a, Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::endpoints;

    fn ready(endpoints: &Endpoints) -> Vec<(u32, u32)> {
        endpoints.ready().iter().map(|e| (e.slot, e.weight)).collect()
    }

    fn known(list: Vec<Endpoint>) -> Endpoints {
        let mut known = Endpoints::default();
        known.replace(7, list);
        known
    }

    #[test]
    fn only_what_may_get_traffic_is_ready() {
        let mut list = endpoints(&[1, 1, 0, 2]);
        list[1].availability = Availability::Draining;
        let known = known(list);
        assert_eq!(ready(&known), [(0, 1), (3, 2)]);
        assert!(known.keeps_bound(1));
        assert!(!known.weights_equal());
        assert_eq!(known.get(9), None);
    }

    #[test]
    fn the_next_priority_level_waits_until_the_first_is_empty() {
        let mut list = endpoints(&[1, 1]);
        list[1].priority = 3;
        let mut known = known(list);
        assert_eq!(ready(&known), [(0, 1)]);
        assert!(known.apply(7, 8, &[Change::Availability((0, Availability::Unavailable))]));
        assert_eq!(ready(&known), [(1, 1)]);
    }

    #[test]
    fn a_ramp_scales_all_weights() {
        let mut known = known(endpoints(&[2, 1]));
        assert!(known.apply(7, 8, &[Change::Ramp((0, 0))]));
        assert_eq!(ready(&known), [(0, 2), (1, 1000)]);
        assert!(known.apply(8, 9, &[Change::Ramp((0, 1000))]));
        assert_eq!(ready(&known), [(0, 2), (1, 1)]);
    }

    #[test]
    fn changes_to_another_generation_are_refused_whole() {
        let mut known = known(endpoints(&[1, 1]));
        assert!(!known.apply(6, 8, &[Change::Removed(0)]));
        assert_eq!((known.generation(), known.len()), (7, 2));
        assert!(!Endpoints::default().apply(0, 1, &[]));
    }

    #[test]
    fn slots_out_of_order_are_put_in_order() {
        let mut list = endpoints(&[1, 2, 3]);
        list.reverse();
        list.push(endpoints(&[9]).remove(0));
        assert_eq!(ready(&known(list)), [(0, 9), (1, 2), (2, 3)]);
    }

    #[test]
    fn sparse_slots_are_found() {
        let mut known = known(endpoints(&[1, 1, 1]));
        let mut far = known.get(0).unwrap().clone();
        far.slot = u32::MAX;
        assert!(known.apply(7, 8, &[Change::Removed(1), Change::Put(far), Change::Weight((2, 9))]));
        assert_eq!(ready(&known), [(0, 1), (2, 9), (u32::MAX, 1)]);
        assert_eq!(known.get(2).map(|e| e.weight), Some(9));
        assert_eq!(known.get(1), None);
    }
}
