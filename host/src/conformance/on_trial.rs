use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_conformance::{CreateFailure, Subject as _};

use super::component::Component;
use crate::plugin::{CreateError, Instance, PolicyConfig, PolicyOnTrial, Role, Services, named_clusters};

/// A component as the suite sees it; what it makes up goes by the seed.
pub(super) struct OnTrial<'a> {
    pub(super) component: &'a Component,
    pub(super) seed: u64,
}

impl OnTrial<'_> {
    pub(super) fn start(&self, worker: u32) -> Result<(Instance, Arc<Services>), CreateFailure> {
        let services = Services::for_trial(self.seed).until(self.component.until);
        self.start_with(Arc::new(services), worker)
    }

    pub(super) fn start_with(
        &self,
        services: Arc<Services>,
        worker: u32,
    ) -> Result<(Instance, Arc<Services>), CreateFailure> {
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
    pub(super) fn policy_config(&self, role: Role, config: &str, number: u32) -> Result<PolicyConfig, CreateFailure> {
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
    pub(super) fn clusters(&self, config: &str) -> Result<Vec<String>, CreateFailure> {
        let services = Arc::new(Services::for_trial(self.seed));
        named_clusters(&self.component.plugin, &services, config).map_err(failure)
    }

    /// So many policies in a fresh instance, each with what `make` makes of it.
    pub(super) fn policies<T>(
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

pub(super) fn add_policy(instance: &mut Instance, config: PolicyConfig) -> Result<u32, CreateFailure> {
    instance.add_policy(config, Arc::default()).map_err(failure)
}
