use std::fmt::Display;
use std::sync::Arc;

use plimsoll_conformance as suite;

use crate::snapshot::{Availability, Endpoint, EndpointCounters, EndpointSet};

/// Slots above it are not for a set, which has a place for each below the highest.
const LARGEST_SLOT: u32 = 1 << 12;

/// The host's endpoint, with these counters.
pub(super) fn endpoint(endpoint: &suite::Endpoint, counters: Arc<EndpointCounters>) -> Endpoint {
    Endpoint {
        slot: endpoint.slot,
        id: endpoint.id.as_str().into(),
        id_hash: Endpoint::id_hash(&endpoint.id),
        host: "".into(),
        address: endpoint.address,
        weight: endpoint.weight,
        ramp: endpoint.ramp,
        availability: endpoint.availability,
        is_unhealthy: endpoint.availability == Availability::Unavailable,
        max_connections: endpoint.max_connections,
        priority: endpoint.priority,
        zone: endpoint.zone.as_str().into(),
        metadata: endpoint.metadata.clone().into(),
        counters,
    }
}

/// The host's endpoints, for roles that read no counters.
pub(super) fn uncounted(endpoints: &[suite::Endpoint]) -> Vec<Endpoint> {
    endpoints.iter().map(|one| endpoint(one, Arc::default())).collect()
}

pub(super) fn set(generation: u64, endpoints: &[Endpoint]) -> Arc<EndpointSet> {
    let small = endpoints.iter().filter(|endpoint| endpoint.slot <= LARGEST_SLOT);
    Arc::new(EndpointSet::new(generation, small.cloned().map(Arc::new)))
}

pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}
