//! Components, run as the proxy runs them, as subjects of the conformance suite.

mod balancer;
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

use balancer::UnderTest;

use crate::plugin::{
    CreateError, Engine, Grants, Instance, Limits, Partitioner, Plugin, PolicyConfig, PolicyOnTrial, Prober, Role,
    Router, Services, Source, describe, named_clusters,
};

/// A plugin that is to be held against the suite, as the proxy has loaded it. Its instances share nothing with those that
/// serve.
#[derive(Debug)]
pub struct Component {
    plugin: Arc<Plugin>,
    /// Without it nobody ends a call that does not end by itself.
    _engine: Engine,
    /// What the configuration uses it for.
    uses: Vec<PolicyConfig>,
}

impl Component {
    /// With every import granted.
    pub fn load(bytes: &[u8]) -> anyhow::Result<Self> {
        let (engine, services) = (Engine::new()?, Arc::new(Services::for_trial(0)));
        let plugin =
            Plugin::load(&engine, &services, None, bytes, Source::Upload, Grants::everything(), Limits::default())?;
        Ok(Self::new(engine, Arc::new(plugin), Vec::new()))
    }

    /// As loaded by this engine, with what the configuration uses it for.
    pub fn new(engine: Engine, plugin: Arc<Plugin>, uses: Vec<PolicyConfig>) -> Self {
        Self { plugin, _engine: engine, uses }
    }

    /// Holds it against the suite. Takes from parts of a second to a minute of processor time: not for a worker's thread.
    pub fn run(&self, settings: &Settings) -> suite::Report {
        let report = suite::run(&OnTrial { component: self, seed: settings.seed }, settings);
        // What it did on trial is not to be held against what it does in service.
        self.plugin.breaker.release();
        report
    }

    pub fn roles(&self) -> Vec<String> {
        self.plugin.roles.iter().map(ToString::to_string).collect()
    }
}

struct OnTrial<'a> {
    component: &'a Component,
    seed: u64,
}

impl OnTrial<'_> {
    fn start(&self, worker: u32) -> Result<(Instance, Arc<Services>), CreateFailure> {
        // A fault in one check is none in the next.
        self.component.plugin.breaker.release();
        let services = Arc::new(Services::for_trial(self.seed));
        let instance = Instance::start(self.component.plugin.clone(), services.clone(), worker);
        instance.map(|instance| (instance, services)).map_err(CreateFailure::Failed)
    }

    /// A use of these clusters, which all exist.
    fn policy_config(role: Role, config: &str, clusters: &[String]) -> PolicyConfig {
        PolicyConfig {
            role,
            scope: "conformance".into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: Arc::new(clusters.iter().map(|name| name.as_str().into()).zip(0..).collect()),
        }
    }

    /// The clusters that a router names.
    fn clusters(&self, config: &str) -> Result<Vec<String>, CreateFailure> {
        let services = Arc::new(Services::for_trial(self.seed));
        named_clusters(&self.component.plugin, &services, config).map_err(failure)
    }

    fn add_policy(&self, instance: &mut Instance, role: Role, config: &str) -> Result<u32, CreateFailure> {
        let clusters = if role == Role::Router { self.clusters(config)? } else { Vec::new() };
        instance.add_policy(Self::policy_config(role, config, &clusters), Arc::default()).map_err(failure)
    }

    /// So many policies in a fresh instance, each with what `make` makes of it.
    fn policies<T>(
        &self,
        config: &PolicyConfig,
        worker: u32,
        count: u32,
        make: impl Fn(PolicyOnTrial, &Rc<RefCell<Instance>>, u32, &Arc<Services>) -> Option<T>,
    ) -> Result<Vec<T>, CreateFailure> {
        let (mut instance, services) = self.start(worker)?;
        let mut policies = Vec::new();
        for _ in 0..count {
            policies.push(instance.add_policy(config.clone(), Arc::default()).map_err(failure)?);
        }
        let instance = Rc::new(RefCell::new(instance));
        let made = policies.into_iter().filter_map(|policy| {
            let trial = PolicyOnTrial::new(instance.clone(), policy, config.clone());
            make(trial, &instance, policy, &services)
        });
        Ok(made.collect())
    }
}

fn failure(error: CreateError) -> CreateFailure {
    match error {
        CreateError::Failed(_) => CreateFailure::Failed(error.to_string()),
        CreateError::MissingRole | CreateError::Refused(_) => CreateFailure::Refused(error.to_string()),
    }
}

fn role(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|known| known.as_str() == name)
}

impl Subject for OnTrial<'_> {
    fn roles(&self) -> Vec<String> {
        self.component.roles()
    }

    fn digest(&self) -> String {
        self.component.plugin.digest.clone()
    }

    fn describe(&self) -> Result<suite::Description, String> {
        let manifest = describe(&self.component.plugin, &Arc::new(Services::for_trial(self.seed)))?;
        let schemas = manifest.config_schemas.into_iter().map(|(role, schema)| (role.to_string(), schema));
        Ok(suite::Description {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            config_schemas: schemas.collect(),
        })
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
                self.add_policy(&mut instance, role, config).map(drop)
            }
        }
    }

    fn balancers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Balancer>>, CreateFailure> {
        let (mut instance, services) = self.start(worker)?;
        let mut policies = Vec::new();
        for _ in 0..count {
            policies.push(self.add_policy(&mut instance, Role::Balancer, config)?);
        }
        let instance = Rc::new(RefCell::new(instance));
        let under_test =
            |policy| Box::new(UnderTest::new(&instance, policy, &services, config)) as Box<dyn suite::Balancer>;
        Ok(policies.into_iter().map(under_test).collect())
    }

    fn routers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Router>>, CreateFailure> {
        let clusters = self.clusters(config)?;
        let config = Self::policy_config(Role::Router, config, &clusters);
        self.policies(&config, worker, count, |trial, instance, policy, services| {
            let plan = Router::new(instance.clone(), policy).plan()?;
            let router = router::Router::new(&plan, clusters.clone());
            Some(Box::new(policy::UnderTest::new(trial, services, router)) as _)
        })
    }

    fn probers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Prober>>, CreateFailure> {
        let config = Self::policy_config(Role::Prober, config, &[]);
        self.policies(&config, worker, count, |trial, instance, policy, services| {
            let transport = Prober::new(policy).transport(&instance.borrow())?;
            Some(Box::new(policy::UnderTest::new(trial, services, prober::Prober(transport))) as _)
        })
    }

    fn partitioners(
        &self,
        config: &str,
        worker: u32,
        count: u32,
    ) -> Result<Vec<Box<dyn suite::Partitioner>>, CreateFailure> {
        let config = Self::policy_config(Role::Partitioner, config, &[]);
        self.policies(&config, worker, count, |trial, instance, policy, services| {
            let attributes = router::attributes(&Partitioner::new(instance.clone(), policy).attributes());
            let partitioner = partitioner::Partitioner(attributes);
            Some(Box::new(policy::UnderTest::new(trial, services, partitioner)) as _)
        })
    }
}
