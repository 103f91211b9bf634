use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::resolver::{Resolver, Service};
use super::{Next, Source};
use crate::config::{Address, Endpoint};

/// The endpoints that SRV records name (RFC 2782), which are looked up again when their time is over.
#[derive(Debug)]
pub struct ServiceSource {
    resolver: Arc<Resolver>,
    name: String,
    max_connections: u32,
    due: Instant,
    failures: u32,
}

impl ServiceSource {
    pub fn new(resolver: Arc<Resolver>, name: &str, max_connections: u32) -> Self {
        Self { resolver, name: name.to_owned(), max_connections, due: Instant::now(), failures: 0 }
    }
}

impl Source for ServiceSource {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async move {
            tokio::time::sleep_until(self.due.into()).await;
            match self.resolver.services(&self.name).await {
                Ok(answer) => {
                    self.failures = 0;
                    self.due = answer.until;
                    Ok(endpoints(&answer.found, self.max_connections))
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    self.due = self.resolver.retry_at(self.failures);
                    Err(error)
                }
            }
        })
    }
}

/// Most levels of priority that a cluster has.
const LEVELS: u32 = 127;

/// An endpoint for each target. Priorities become levels in their order; a weight of 0, which gets "a very small chance"
/// beside others, counts as 1.
fn endpoints(services: &[Service], max_connections: u32) -> Vec<Endpoint> {
    let priorities: BTreeSet<u16> = services.iter().map(|service| service.priority).collect();
    let level = |service: &Service| priorities.range(..service.priority).count() as u32;
    let mut endpoints = BTreeMap::new();
    for service in services {
        let address = Address { host: service.target.clone(), port: service.port };
        if service.port == 0 || !address.is_valid() {
            tracing::warn!(target = service.target, port = service.port, "an SRV record leads nowhere, it is left out");
            continue;
        }
        let endpoint = Endpoint {
            weight: u32::from(service.weight).max(1),
            priority: level(service).min(LEVELS),
            max_connections,
            ..Endpoint::at(address)
        };
        // Of two records of one target the first counts.
        endpoints.entry(endpoint.id.clone()).or_insert(endpoint);
    }
    endpoints.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, target: &str) -> Service {
        Service { priority, weight, target: target.to_owned(), port: 80 }
    }

    #[test]
    fn priorities_become_levels_and_weights_stay() {
        let services =
            [service(20, 0, "c.test"), service(10, 60, "a.test"), service(10, 20, "b.test"), service(9, 1, "bad name")];
        let endpoints = endpoints(&services, 5);
        let seen: Vec<_> = endpoints.iter().map(|e| (e.id.as_str(), e.priority, e.weight, e.max_connections)).collect();
        assert_eq!(seen, [("a.test:80", 1, 60, 5), ("b.test:80", 1, 20, 5), ("c.test:80", 2, 1, 5)]);
    }
}
