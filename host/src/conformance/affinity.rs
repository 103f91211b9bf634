use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_conformance::{self as suite, CreateFailure};

use super::attributes::attributes;
use super::endpoints::{set, text, uncounted};
use super::on_trial::{OnTrial, add_policy};
use crate::plugin::{AffinityOnTrial, Binding, Edits, HeaderEdit, Instance, Plugin, PolicyConfig, Role, Services};
use crate::snapshot::EndpointSet;

/// An affinity of a component, at a proxy with a secret, a table and a clock of its own.
struct UnderTest {
    affinity: AffinityOnTrial,
    plugin: Arc<Plugin>,
    services: Arc<Services>,
    config: PolicyConfig,
    told: Arc<EndpointSet>,
}

/// So many policies in one instance, at a proxy whose secret follows from its number.
pub(super) fn several(
    trial: &OnTrial<'_>,
    config: &str,
    proxy: u32,
    count: u32,
) -> Result<Vec<Box<dyn suite::Affinity>>, CreateFailure> {
    let secret = format!("trial {proxy}");
    let services = Arc::new(Services::for_trial_with_secret(trial.seed, secret.as_bytes()));
    let (mut instance, services) = trial.start_with(services, 0)?;
    let mut policies = Vec::new();
    for number in 0..count {
        let config = trial.policy_config(Role::Affinity, config, number)?;
        policies.push((add_policy(&mut instance, config.clone())?, config));
    }
    let instance = Rc::new(RefCell::new(instance));
    let plugin = &trial.component.plugin;
    let under_test = |(policy, config)| {
        Box::new(UnderTest::new(&instance, policy, plugin, &services, config)) as Box<dyn suite::Affinity>
    };
    Ok(policies.into_iter().map(under_test).collect())
}

impl UnderTest {
    fn new(
        instance: &Rc<RefCell<Instance>>,
        policy: u32,
        plugin: &Arc<Plugin>,
        services: &Arc<Services>,
        config: PolicyConfig,
    ) -> Self {
        Self {
            affinity: AffinityOnTrial::new(instance.clone(), policy),
            plugin: plugin.clone(),
            services: services.clone(),
            config,
            told: Arc::default(),
        }
    }
}

impl suite::Affinity for UnderTest {
    fn plan(&self) -> suite::AffinityPlan {
        let plan = self.affinity.plan();
        suite::AffinityPlan {
            attributes: attributes(&plan.attributes),
            // A name that cannot be is never sent.
            response_headers: plan
                .response_headers
                .iter()
                .map(|name| name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned()))
                .collect(),
            rewrites_requests: plan.rewrites_requests,
        }
    }

    fn set_endpoints(&mut self, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        let after = set(self.told.generation() + 1, &uncounted(endpoints));
        let before = std::mem::replace(&mut self.told, after.clone());
        self.affinity.tell(&before, &after).map_err(text)
    }

    fn replace_endpoints(&mut self, generation: u64, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        let endpoints = uncounted(endpoints);
        self.told = set(generation, &endpoints);
        self.affinity.replace(generation, &endpoints, &self.told).map_err(text)
    }

    fn generation(&self) -> u64 {
        self.told.generation()
    }

    fn find(&mut self, values: &[Option<Vec<u8>>]) -> Result<suite::Binding, String> {
        Ok(match self.affinity.find(&values.to_vec()).map_err(text)? {
            Binding::Bound(slot) => suite::Binding::Bound(slot),
            Binding::Renew(slot) => suite::Binding::Renew(slot),
            Binding::Lost => suite::Binding::Lost,
            Binding::Unbound => suite::Binding::Unbound,
        })
    }

    fn prepare(&mut self, values: &[Option<Vec<u8>>]) -> Result<Vec<suite::Edit>, String> {
        self.affinity.prepare(&values.to_vec()).map(edits).map_err(text)
    }

    fn bind(
        &mut self,
        values: &[Option<Vec<u8>>],
        slot: u32,
        response: &[Vec<Vec<u8>>],
    ) -> Result<Vec<suite::Edit>, String> {
        self.affinity.bind(&values.to_vec(), slot, response).map(edits).map_err(text)
    }

    fn another(&self) -> Result<Box<dyn suite::Affinity>, String> {
        let mut instance = Instance::start(self.plugin.clone(), self.services.clone(), 1)?;
        let policy = add_policy(&mut instance, self.config.clone()).map_err(text)?;
        let instance = Rc::new(RefCell::new(instance));
        let mut another = Self::new(&instance, policy, &self.plugin, &self.services, self.config.clone());
        another.affinity.tell(&another.told, &self.told).map_err(text)?;
        another.told = self.told.clone();
        Ok(Box::new(another))
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        self.affinity.save().map_err(text)
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        self.affinity.restore(state).map_err(text)
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.told = Arc::default();
        self.affinity.create_again()
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.services.set_now_ms(now_ms);
        self.affinity.tick_if_due(now_ms);
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.affinity.memory_bytes()
    }
}

fn edits(edits: Edits) -> Vec<suite::Edit> {
    let edit = |edit: Option<HeaderEdit>| match edit {
        None => suite::Edit::Unusable("a name or a value that no field can have".into()),
        Some(HeaderEdit::Set(name, value)) => suite::Edit::Set(name.to_string(), value.as_bytes().to_vec()),
        Some(HeaderEdit::Append(name, value)) => suite::Edit::Append(name.to_string(), value.as_bytes().to_vec()),
        Some(HeaderEdit::Remove(name)) => suite::Edit::Remove(name.to_string()),
        Some(HeaderEdit::ReplaceCookie(name, value)) => suite::Edit::ReplaceCookie(name, value),
        Some(HeaderEdit::RemoveCookie(name)) => suite::Edit::RemoveCookie(name),
    };
    edits.into_iter().map(edit).collect()
}
