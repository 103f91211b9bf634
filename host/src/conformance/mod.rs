//! Components, run as the proxy runs them, as subjects of the conformance suite.

mod affinity;
mod attributes;
mod balancer;
mod component;
mod discovery;
mod endpoints;
mod health;
mod on_trial;
mod partitioner;
mod policy;
mod prober;
mod router;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_conformance::{self as suite, CreateFailure, Settings, Subject};

pub use component::Component;

use attributes::attributes;
use balancer::UnderTest;
use component::role;
use on_trial::{OnTrial, add_policy};

use crate::plugin::{Discovery, Partitioner, Prober, Role, Router, Services, describe};

impl Component {
    /// Holds it against the suite. Takes from parts of a second to a minute of processor time: not for a worker's thread.
    pub fn run(&self, settings: &Settings) -> suite::Report {
        let report = suite::run(&OnTrial { component: self, seed: settings.seed }, settings);
        // What it did on trial is not to be held against what it does in service.
        self.plugin.breaker.release();
        report
    }
}

impl Subject for OnTrial<'_> {
    fn ran_out(&self) -> bool {
        Services::for_trial(0).until(self.component.until).is_over()
    }

    fn roles(&self) -> Vec<String> {
        self.component.roles()
    }

    fn digest(&self) -> String {
        self.component.plugin.digest.clone()
    }

    fn describe(&self) -> Result<suite::Description, String> {
        let manifest = describe(&self.component.plugin, &Arc::new(Services::for_trial(self.seed)))?;
        Ok(suite::Description {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            config_schemas: manifest.config_schemas,
            profiles: [manifest.profiles, self.component.claims.clone()].concat(),
        })
    }

    fn imports(&self) -> Vec<String> {
        self.component.plugin.imports.clone()
    }

    fn config_in_use(&self, name: &str) -> Option<String> {
        let role = role(name)?;
        self.component.uses.iter().find(|of| of.role == role).map(|of| of.config.to_string())
    }

    fn create(&self, name: &str, config: &str) -> Result<(), CreateFailure> {
        match role(name) {
            // The host does not run filters yet.
            None | Some(Role::Filter) => Ok(()),
            Some(role) => {
                let (mut instance, _) = self.start(0)?;
                add_policy(&mut instance, self.policy_config(role, config, 0)?).map(drop)
            }
        }
    }

    fn balancers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Balancer>>, CreateFailure> {
        let (mut instance, services) = self.start(worker)?;
        let mut policies = Vec::new();
        for number in 0..count {
            policies.push(add_policy(&mut instance, self.policy_config(Role::Balancer, config, number)?)?);
        }
        let instance = Rc::new(RefCell::new(instance));
        let under_test = |policy| Box::new(UnderTest::new(&instance, policy, &services)) as Box<dyn suite::Balancer>;
        Ok(policies.into_iter().map(under_test).collect())
    }

    fn metered_balancer(&self, config: &str) -> Result<Option<Box<dyn suite::Balancer>>, CreateFailure> {
        let Some(component) = self.component.metered() else { return Ok(None) };
        Ok(OnTrial { component, seed: self.seed }.balancers(config, 0, 1)?.pop())
    }

    fn affinities(&self, config: &str, proxy: u32, count: u32) -> Result<Vec<Box<dyn suite::Affinity>>, CreateFailure> {
        affinity::several(self, config, proxy, count)
    }

    fn healths(&self, config: &str, count: u32) -> Result<Vec<Box<dyn suite::Health>>, CreateFailure> {
        health::several(self, config, count)
    }

    fn routers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Router>>, CreateFailure> {
        let clusters = self.clusters(config)?;
        self.policies(Role::Router, config, (worker, count), |trial, instance, policy, services| {
            let plan = Router::new(instance.clone(), policy).plan()?;
            let router = router::Router::new(&plan, clusters.clone());
            Some(Box::new(policy::UnderTest::new(trial, services, router)) as _)
        })
    }

    fn probers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Prober>>, CreateFailure> {
        self.policies(Role::Prober, config, (worker, count), |trial, instance, policy, services| {
            let transport = Prober::new(policy).plan(&instance.borrow())?.transport;
            Some(Box::new(policy::UnderTest::new(trial, services, prober::Prober(transport))) as _)
        })
    }

    fn discoveries(
        &self,
        config: &str,
        worker: u32,
        count: u32,
    ) -> Result<Vec<Box<dyn suite::Discovery>>, CreateFailure> {
        self.policies(Role::Discovery, config, (worker, count), |trial, instance, policy, services| {
            let plan = Discovery::new(policy).plan(&instance.borrow())?;
            Some(Box::new(policy::UnderTest::new(trial, services, plan)) as _)
        })
    }

    fn partitioners(
        &self,
        config: &str,
        worker: u32,
        count: u32,
    ) -> Result<Vec<Box<dyn suite::Partitioner>>, CreateFailure> {
        self.policies(Role::Partitioner, config, (worker, count), |trial, instance, policy, services| {
            let attributes = attributes(&Partitioner::new(instance.clone(), policy).attributes());
            let partitioner = partitioner::Partitioner(attributes);
            Some(Box::new(policy::UnderTest::new(trial, services, partitioner)) as _)
        })
    }
}
