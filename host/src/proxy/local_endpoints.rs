use std::rc::Rc;
use std::sync::Arc;

use super::balancing::Within;
use crate::snapshot::{Endpoint, EndpointSet};
use crate::upstream::LocalEndpoint;

/// The endpoints of one generation with this worker's pools, by slot.
#[derive(Debug, Default)]
pub(super) struct LocalEndpoints {
    set: Arc<EndpointSet>,
    slots: Vec<Option<Rc<LocalEndpoint>>>,
}

impl LocalEndpoints {
    pub(super) fn new(set: Arc<EndpointSet>, make: impl Fn(&Arc<Endpoint>) -> LocalEndpoint) -> Self {
        let mut slots = Vec::new();
        slots.resize(set.slot_count(), None);
        for endpoint in set.iter() {
            if let Some(slot) = slots.get_mut(endpoint.slot as usize) {
                *slot = Some(Rc::new(make(endpoint)));
            }
        }
        Self { set, slots }
    }

    pub(super) fn set(&self) -> &Arc<EndpointSet> {
        &self.set
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<LocalEndpoint>> {
        self.slots.iter().flatten()
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&Rc<LocalEndpoint>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The endpoint of clients that are bound to it, if it can serve them.
    pub(super) fn bound(&self, slot: u32) -> Option<&Rc<LocalEndpoint>> {
        self.get(slot).filter(|local| local.endpoint.keeps_bound())
    }

    /// Those that may be chosen and have not failed the request.
    pub(super) fn untried<'a>(
        &'a self,
        within: &'a Within,
        tried: &'a [u32],
    ) -> impl Iterator<Item = &'a Rc<LocalEndpoint>> {
        self.iter().filter(move |local| {
            let slot = local.endpoint.slot;
            local.endpoint.takes_new() && !tried.contains(&slot) && within.has(slot)
        })
    }

    /// Whether any that serves has room.
    pub(super) fn has_room(&self) -> bool {
        self.iter().any(|local| local.endpoint.keeps_bound() && local.has_room())
    }

    /// Attempts under way, of all workers.
    pub(super) fn in_flight(&self) -> u32 {
        self.iter().map(|local| local.endpoint.counters.in_flight()).fold(0, u32::saturating_add)
    }
}
