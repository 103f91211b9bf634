//! Components, run as the proxy runs them, as subjects of the conformance suite.

mod affinity;
mod attributes;
mod balancer;
mod endpoints;
mod health;
mod partitioner;
mod policy;
mod prober;
mod router;
#[cfg(test)]
mod tests;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use plimsoll_conformance::{self as suite, CreateFailure, Settings, Subject};

use attributes::attributes;
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
    /// Profiles that it is held to beside those that it claims itself.
    claims: Vec<String>,
    /// What it was made of, if that is at hand.
    bytes: Option<Box<[u8]>>,
    /// The same, compiled so that what it executes is counted.
    metered: OnceCell<Option<Box<Self>>>,
    /// When there is no time left: from then on every call fails.
    until: Option<Instant>,
}

impl Component {
    /// With every import granted.
    pub fn load(bytes: &[u8]) -> anyhow::Result<Self> {
        Self::load_with(bytes, Grants::everything(), Limits::default())
    }

    pub fn load_with(bytes: &[u8], grants: Grants, limits: Limits) -> anyhow::Result<Self> {
        Ok(Self { bytes: Some(bytes.into()), ..Self::compiled(Engine::new()?, bytes, grants, limits)? })
    }

    fn compiled(engine: Engine, bytes: &[u8], grants: Grants, limits: Limits) -> anyhow::Result<Self> {
        let services = Arc::new(Services::for_trial(0));
        let plugin = Plugin::load(&engine, &services, None, bytes, Source::Upload, grants, limits)?;
        Ok(Self::new(engine, Arc::new(plugin), Vec::new()))
    }

    /// With what each of its roles is configured with, by the names of the roles.
    pub fn configured(self, configuration: &BTreeMap<String, serde_json::Value>) -> Self {
        let uses = configuration.iter().filter_map(|(name, config)| {
            Some(PolicyConfig {
                role: role(name)?,
                scope: "conformance".into(),
                config: config.to_string().into(),
                pointer: String::new(),
                known_clusters: Arc::default(),
                of_connections: false,
            })
        });
        Self { uses: uses.collect(), ..self }
    }

    /// With further profiles that it is held to.
    pub fn claiming(self, profiles: &[String]) -> Self {
        Self { claims: profiles.to_vec(), ..self }
    }

    pub fn name(&self) -> String {
        self.plugin.name.to_string()
    }

    /// Compiled once more when it is asked for first; none where it was not loaded from bytes.
    fn metered(&self) -> Option<&Self> {
        let (grants, limits) = (&self.plugin.grants, &self.plugin.limits);
        let load = |bytes| Self::compiled(Engine::metered().ok()?, bytes, grants.clone(), limits.clone()).ok();
        let compile = || self.bytes.as_deref().and_then(load).map(Box::new);
        self.metered.get_or_init(compile).as_deref()
    }

    /// As loaded by this engine, with what the configuration uses it for.
    pub fn new(engine: Engine, plugin: Arc<Plugin>, uses: Vec<PolicyConfig>) -> Self {
        Self { plugin, _engine: engine, uses, claims: Vec::new(), bytes: None, metered: OnceCell::new(), until: None }
    }

    /// Not to be looked at for longer than that.
    pub fn until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
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
        let services = Services::for_trial(self.seed).until(self.component.until);
        self.start_with(Arc::new(services), worker)
    }

    fn start_with(&self, services: Arc<Services>, worker: u32) -> Result<(Instance, Arc<Services>), CreateFailure> {
        if self.ran_out() {
            return Err(CreateFailure::Failed("no time was left".into()));
        }
        // A fault in one check is none in the next.
        self.component.plugin.breaker.release();
        let instance = Instance::start(self.component.plugin.clone(), services.clone(), worker);
        instance.map(|instance| (instance, services)).map_err(CreateFailure::Failed)
    }

    /// Every cluster exists that a router names. Policies of one number share their table with those of other instances at
    /// the same proxy, and with no others.
    fn policy_config(&self, role: Role, config: &str, number: u32) -> Result<PolicyConfig, CreateFailure> {
        let clusters = if role == Role::Router { self.clusters(config)? } else { Vec::new() };
        Ok(PolicyConfig {
            role,
            scope: format!("conformance-{number}").into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: Arc::new(clusters.iter().map(|name| name.as_str().into()).zip(0..).collect()),
            of_connections: false,
        })
    }

    /// The clusters that a router names.
    fn clusters(&self, config: &str) -> Result<Vec<String>, CreateFailure> {
        let services = Arc::new(Services::for_trial(self.seed));
        named_clusters(&self.component.plugin, &services, config).map_err(failure)
    }

    /// So many policies in a fresh instance, each with what `make` makes of it.
    fn policies<T>(
        &self,
        role: Role,
        config: &str,
        (worker, count): (u32, u32),
        make: impl Fn(PolicyOnTrial, &Rc<RefCell<Instance>>, u32, &Arc<Services>) -> Option<T>,
    ) -> Result<Vec<T>, CreateFailure> {
        let (mut instance, services) = self.start(worker)?;
        let mut policies = Vec::new();
        for number in 0..count {
            policies.push(add_policy(&mut instance, self.policy_config(role, config, number)?)?);
        }
        let instance = Rc::new(RefCell::new(instance));
        let made = policies.into_iter().filter_map(|policy| {
            let trial = PolicyOnTrial::new(instance.clone(), policy, role);
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

fn add_policy(instance: &mut Instance, config: PolicyConfig) -> Result<u32, CreateFailure> {
    instance.add_policy(config, Arc::default()).map_err(failure)
}

fn role(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|known| known.as_str() == name)
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
