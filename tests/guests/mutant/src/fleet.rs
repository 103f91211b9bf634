use plimsoll_conformance as suite;
use plimsoll_sdk::{Availability, Change, Endpoint};

/// The endpoints that a policy was told, in words of the suite.
#[derive(Clone, Default)]
pub struct Fleet(Vec<suite::Endpoint>);

impl Fleet {
    pub fn endpoints(&self) -> &[suite::Endpoint] {
        &self.0
    }

    pub fn replace(&mut self, endpoints: &[Endpoint]) {
        self.0 = endpoints.iter().map(endpoint).collect();
    }

    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(new) => match self.0.binary_search_by_key(&new.slot, |e| e.slot) {
                    Ok(at) => self.0[at] = endpoint(new),
                    Err(at) => self.0.insert(at, endpoint(new)),
                },
                Change::Removed(slot) => self.0.retain(|e| e.slot != *slot),
                Change::Availability((slot, to)) => self.edit(*slot, |e| e.availability = availability(*to)),
                Change::Weight((slot, weight)) => self.edit(*slot, |e| e.weight = *weight),
                Change::Ramp((slot, ramp)) => self.edit(*slot, |e| e.ramp = *ramp),
            }
        }
    }

    fn edit(&mut self, slot: u32, edit: impl FnOnce(&mut suite::Endpoint)) {
        if let Some(endpoint) = self.0.iter_mut().find(|endpoint| endpoint.slot == slot) {
            edit(endpoint);
        }
    }
}

fn endpoint(endpoint: &Endpoint) -> suite::Endpoint {
    suite::Endpoint {
        slot: endpoint.slot,
        id: endpoint.id.clone(),
        address: endpoint.address.parse().expect("an address"),
        weight: endpoint.weight,
        ramp: endpoint.ramp,
        availability: availability(endpoint.availability),
        priority: endpoint.priority,
        max_connections: endpoint.max_connections,
        zone: endpoint.zone.clone(),
        metadata: endpoint.metadata.clone(),
    }
}

fn availability(availability: Availability) -> suite::Availability {
    match availability {
        Availability::Ready => suite::Availability::Ready,
        Availability::Draining => suite::Availability::Draining,
        Availability::Unavailable => suite::Availability::Unavailable,
    }
}
