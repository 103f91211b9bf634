use std::collections::HashMap;
use std::sync::Arc;

use super::{Availability, Endpoint};

/// The endpoints of a cluster at one generation. Slots may have holes.
#[derive(Clone, Debug, Default)]
pub struct EndpointSet {
    generation: u64,
    slots: Vec<Option<Arc<Endpoint>>>,
    /// What the cluster's balancer has prepared for these endpoints, ahead of the workers.
    prepared: Option<Arc<[u32]>>,
}

/// One difference between two generations, as plugins are told it.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Arc<Endpoint>),
    Removed(u32),
    Availability(u32, Availability),
    Weight(u32, u32),
    Ramp(u32, u32),
}

impl EndpointSet {
    /// A set of `endpoints`, each at its own slot.
    pub fn new(generation: u64, endpoints: impl IntoIterator<Item = Arc<Endpoint>>) -> Self {
        let mut slots = Vec::new();
        for endpoint in endpoints {
            let index = endpoint.slot as usize;
            if slots.len() <= index {
                slots.resize(index + 1, None);
            }
            slots[index] = Some(endpoint);
        }
        Self { generation, slots, prepared: None }
    }

    /// The same with what the balancer has prepared for it.
    pub fn with_prepared(&self, prepared: Vec<u32>) -> Self {
        Self { prepared: Some(prepared.into()), ..self.clone() }
    }

    pub fn prepared(&self) -> Option<&[u32]> {
        self.prepared.as_deref()
    }

    /// The endpoints of these slots, at the same generation. Slots that are none are left out.
    pub fn part(&self, slots: &[u32]) -> Self {
        Self::new(self.generation, slots.iter().filter_map(|slot| self.get(*slot)).cloned())
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The endpoint of a slot; none for a hole or a number out of range, whatever a plugin made of it.
    pub fn get(&self, slot: u32) -> Option<&Arc<Endpoint>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// All endpoints by ascending slot.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.slots.iter().flatten()
    }

    /// One more than the highest slot.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// What a policy must be told to come from `older` to this set.
    pub fn changes_since(&self, older: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for slot in 0..self.slots.len().max(older.slots.len()) {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            match (older.get(slot), self.get(slot)) {
                (Some(_), None) => changes.push(Change::Removed(slot)),
                (None, Some(new)) => changes.push(Change::Put(new.clone())),
                (Some(old), Some(new)) if !Arc::ptr_eq(old, new) => push_differences(old, new, &mut changes),
                _ => {}
            }
        }
        changes
    }
}

fn push_differences(old: &Endpoint, new: &Arc<Endpoint>, changes: &mut Vec<Change>) {
    let same_place = old.id == new.id
        && old.address == new.address
        && old.priority == new.priority
        && old.max_connections == new.max_connections
        && old.zone == new.zone
        && old.metadata == new.metadata;
    if !same_place {
        changes.push(Change::Put(new.clone()));
        return;
    }
    if old.availability != new.availability {
        changes.push(Change::Availability(new.slot, new.availability));
    }
    if old.weight != new.weight {
        changes.push(Change::Weight(new.slot, new.weight));
    }
    if old.ramp != new.ramp {
        changes.push(Change::Ramp(new.slot, new.ramp));
    }
}

/// Gives every endpoint id of a cluster a slot that stays its own while it is a member. A freed slot rests until the
/// next assignment, so that no generation shows one slot with two meanings at once.
#[derive(Clone, Debug, Default)]
pub struct SlotMap {
    by_id: HashMap<Arc<str>, u32>,
    free: Vec<u32>,
    next: u32,
}

impl SlotMap {
    /// Slots for `ids` in order; ids that are not among them lose theirs.
    pub fn assign(&mut self, ids: &[Arc<str>]) -> Vec<u32> {
        let reusable = std::mem::take(&mut self.free);
        let wanted: std::collections::HashSet<&Arc<str>> = ids.iter().collect();
        let gone: Vec<Arc<str>> = self.by_id.keys().filter(|id| !wanted.contains(id)).cloned().collect();
        for id in gone {
            self.free.extend(self.by_id.remove(&id));
        }
        let mut reusable = reusable.into_iter();
        let slots = ids
            .iter()
            .map(|id| {
                if let Some(slot) = self.by_id.get(id) {
                    return *slot;
                }
                let slot = reusable.next().unwrap_or_else(|| {
                    self.next += 1;
                    self.next - 1
                });
                self.by_id.insert(id.clone(), slot);
                slot
            })
            .collect();
        self.free.extend(reusable);
        slots
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::snapshot::EndpointCounters;

    pub(crate) fn endpoint(slot: u32, id: &str) -> Endpoint {
        Endpoint {
            slot,
            id: id.into(),
            id_hash: Endpoint::id_hash(id),
            host: "".into(),
            address: ([127, 0, 0, 1], 80).into(),
            weight: 1,
            ramp: 1000,
            availability: Availability::Ready,
            is_unhealthy: false,
            priority: 0,
            max_connections: 0,
            zone: "".into(),
            metadata: Arc::new([]),
            counters: Arc::new(EndpointCounters::default()),
        }
    }

    fn ids(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn slots_stay_with_their_endpoint_and_rest_before_reuse() {
        let mut slots = SlotMap::default();
        assert_eq!(slots.assign(&ids(&["a", "b", "c"])), [0, 1, 2]);
        assert_eq!(slots.assign(&ids(&["c", "d"])), [2, 3], "freed slots are not reused in the same step");
        let later = slots.assign(&ids(&["c", "d", "e", "f"]));
        assert_eq!(&later[..2], [2, 3]);
        let mut reused = later[2..].to_vec();
        reused.sort_unstable();
        assert_eq!(reused, [0, 1]);
    }

    #[test]
    fn changes_name_what_differs() {
        let a = Arc::new(endpoint(0, "a"));
        let b = Arc::new(endpoint(1, "b"));
        let old = EndpointSet::new(1, [a.clone(), b.clone()]);
        let mut a2 = (*a).clone();
        a2.weight = 5;
        a2.availability = Availability::Draining;
        let new = EndpointSet::new(2, [Arc::new(a2), Arc::new(endpoint(2, "c"))]);
        let changes = new.changes_since(&old);
        assert!(matches!(
            changes[..],
            [Change::Availability(0, Availability::Draining), Change::Weight(0, 5), Change::Removed(1), Change::Put(_)]
        ));
        assert!(old.changes_since(&old).is_empty());
    }
}
