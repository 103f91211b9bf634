//! Components, run as the proxy runs them, as subjects of the conformance suite.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_conformance::{self as suite, CreateFailure, Settings, Subject};

use crate::plugin::{
    Balancer, CreateError, Engine, Grants, Instance, Limits, PickRequest, Plugin, PolicyConfig, Role, Services, Source,
};
use crate::snapshot::{Availability, Endpoint, EndpointCounters, EndpointSet};

/// Holds a component against the suite, with every import granted.
pub fn run(bytes: &[u8], settings: &Settings) -> anyhow::Result<suite::Report> {
    let engine = Engine::new()?;
    let services = Arc::new(Services::new(b"conformance", Arc::default()));
    let plugin =
        Plugin::load(&engine, &services, None, bytes, Source::Upload, Grants::everything(), Limits::default())?;
    Ok(suite::run(&Component { plugin: Arc::new(plugin), services }, settings))
}

struct Component {
    plugin: Arc<Plugin>,
    services: Arc<Services>,
}

impl Component {
    /// An instance with one policy; each has its own, so that a fault in one check is none in the next.
    fn policy(&self, role: Role, config: &str) -> Result<(Instance, u32), CreateFailure> {
        self.plugin.breaker.release();
        let mut instance =
            Instance::start(self.plugin.clone(), self.services.clone(), 0).map_err(CreateFailure::Failed)?;
        let config = PolicyConfig {
            role,
            scope: "conformance".into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: Arc::default(),
        };
        let policy = instance.add_policy(config, Arc::default()).map_err(|error| match error {
            CreateError::Failed(_) => CreateFailure::Failed(error.to_string()),
            CreateError::MissingRole | CreateError::Refused(_) => CreateFailure::Refused(error.to_string()),
        })?;
        Ok((instance, policy))
    }
}

impl Subject for Component {
    fn roles(&self) -> Vec<String> {
        self.plugin.roles.iter().map(ToString::to_string).collect()
    }

    fn create(&self, role: &str, config: &str) -> Result<(), CreateFailure> {
        match Role::ALL.into_iter().find(|known| known.as_str() == role) {
            // The host does not run filters yet.
            None | Some(Role::Filter) => Ok(()),
            Some(role) => self.policy(role, config).map(drop),
        }
    }

    fn balancer(&self, config: &str) -> Result<Box<dyn suite::Balancer>, CreateFailure> {
        let (instance, policy) = self.policy(Role::Balancer, config)?;
        let balancer = Balancer::new(Rc::new(RefCell::new(instance)), policy);
        Ok(Box::new(BalancerUnderTest { balancer, generation: 0 }))
    }
}

struct BalancerUnderTest {
    balancer: Balancer,
    generation: u64,
}

impl suite::Balancer for BalancerUnderTest {
    fn set_endpoints(&mut self, endpoints: &[suite::Endpoint]) {
        self.generation += 1;
        let set = EndpointSet::new(self.generation, endpoints.iter().map(|endpoint| Arc::new(translate(endpoint))));
        self.balancer.set_endpoints(&Arc::new(set));
    }

    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String> {
        let choice = self.balancer.pick(PickRequest { key, tried }).map_err(|fault| fault.to_string())?;
        Ok(choice.map(|choice| choice.slot))
    }
}

fn translate(endpoint: &suite::Endpoint) -> Endpoint {
    Endpoint {
        slot: endpoint.slot,
        id: endpoint.id.as_str().into(),
        id_hash: Endpoint::id_hash(&endpoint.id),
        address: ([127, 0, 0, 1], 80).into(),
        weight: endpoint.weight,
        ramp: 1000,
        availability: match endpoint.availability {
            suite::Availability::Ready => Availability::Ready,
            suite::Availability::Draining => Availability::Draining,
            suite::Availability::Unavailable => Availability::Unavailable,
        },
        max_connections: 0,
        priority: 0,
        zone: "".into(),
        metadata: Arc::new([]),
        counters: Arc::new(EndpointCounters::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn every_built_in_plugin_conforms() {
        for (name, bytes) in builtin::PLUGINS {
            // Less than a release build would do: guests run at full speed here, what calls them does not.
            let config = if *name == "rules" { "{\"routes\":[{\"respond\":{\"status\":200}}]}" } else { "{}" };
            let settings = Settings { steps: 2000, config: config.into(), ..Settings::default() };
            let report = run(bytes, &settings).expect("built-in plugins load");
            assert!(report.passed(), "{name}:\n{report}");
        }
    }
}
