use std::sync::Arc;

use plimsoll::snapshot::{Availability, Endpoint, EndpointCounters, EndpointSet};

/// A generation of `count` endpoints that are called after `site`.
pub(super) fn endpoints(generation: u64, site: &str, count: u32) -> Arc<EndpointSet> {
    Arc::new(EndpointSet::new(generation, (0..count).map(|slot| Arc::new(endpoint(site, slot)))))
}

/// The next generation, in which one endpoint has another weight.
pub(super) fn with_other_weight(set: &EndpointSet) -> Arc<EndpointSet> {
    with_another(set, |endpoint| endpoint.weight = 2)
}

/// The next generation, in which one endpoint takes nothing.
pub(super) fn with_one_unavailable(set: &EndpointSet) -> Arc<EndpointSet> {
    with_another(set, |endpoint| endpoint.availability = Availability::Unavailable)
}

fn with_another(set: &EndpointSet, change: fn(&mut Endpoint)) -> Arc<EndpointSet> {
    let changed = |endpoint: &Arc<Endpoint>| {
        let mut endpoint = endpoint.clone();
        if endpoint.slot == 0 {
            change(Arc::make_mut(&mut endpoint));
        }
        endpoint
    };
    Arc::new(EndpointSet::new(set.generation() + 1, set.iter().map(changed)))
}

fn endpoint(site: &str, slot: u32) -> Endpoint {
    let address = ([10, 0, (slot >> 8) as u8, slot as u8], 8080).into();
    let id = format!("{site}-{slot}.example.com:8080");
    Endpoint {
        slot,
        id_hash: Endpoint::id_hash(&id),
        host: "".into(),
        id: id.into(),
        address,
        weight: 1,
        ramp: 1000,
        availability: Availability::Ready,
        is_unhealthy: false,
        max_connections: 0,
        priority: 0,
        zone: "".into(),
        metadata: Arc::new([]),
        counters: Arc::new(EndpointCounters::default()),
    }
}
