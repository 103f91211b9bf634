use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_conformance as suite;

use super::attributes::attributes;
use super::endpoints::{self, set, text};
use crate::plugin::{Balancer, BalancerOnTrial, Details, Instance, Needs, PickRequest, Services};
use crate::snapshot::{Change, Endpoint, EndpointCounters, EndpointSet, OutcomeClass};

/// A balancer of a component, with the loads and the clock that the suite sets.
pub(super) struct UnderTest {
    balancer: Balancer,
    trial: BalancerOnTrial,
    services: Arc<Services>,
    told: Arc<EndpointSet>,
    /// By slot; they are the endpoint's for its life.
    counters: HashMap<u32, Arc<EndpointCounters>>,
}

impl UnderTest {
    pub(super) fn new(instance: &Rc<RefCell<Instance>>, policy: u32, services: &Arc<Services>) -> Self {
        Self {
            balancer: Balancer::new(instance.clone(), policy),
            trial: BalancerOnTrial::new(instance.clone(), policy),
            services: services.clone(),
            told: Arc::default(),
            counters: HashMap::new(),
        }
    }

    fn translated(&mut self, endpoints: &[suite::Endpoint]) -> Vec<Endpoint> {
        let translated: Vec<Endpoint> = endpoints.iter().map(|endpoint| self.translate(endpoint)).collect();
        self.counters.retain(|slot, _| endpoints.iter().any(|endpoint| endpoint.slot == *slot));
        translated
    }

    fn translate(&mut self, endpoint: &suite::Endpoint) -> Endpoint {
        let known = self.told.get(endpoint.slot).is_some_and(|told| *told.id == *endpoint.id);
        if !known {
            self.counters.remove(&endpoint.slot);
        }
        endpoints::endpoint(endpoint, self.counters.entry(endpoint.slot).or_default().clone())
    }
}

impl suite::Balancer for UnderTest {
    fn set_endpoints(&mut self, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        let endpoints = self.translated(endpoints);
        let after = set(self.told.generation() + 1, &endpoints);
        let before = std::mem::replace(&mut self.told, after.clone());
        self.trial.tell(&before, &after).map_err(text)
    }

    fn replace_endpoints(&mut self, generation: u64, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        let endpoints = self.translated(endpoints);
        self.told = set(generation, &endpoints);
        self.trial.replace(generation, &endpoints, &self.told).map_err(text)
    }

    fn remove(&mut self, base: u64, slot: u32) -> Result<bool, String> {
        self.trial.change(base, base.wrapping_add(1), &[Change::Removed(slot)]).map_err(text)
    }

    fn generation(&self) -> u64 {
        self.told.generation()
    }

    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String> {
        let choice = self.trial.pick(PickRequest { key, tried, details: None }).map_err(text)?;
        Ok(choice.map(|choice| choice.slot))
    }

    fn attributes(&self) -> Vec<suite::Attribute> {
        self.trial.needs().map(|needs| attributes(&needs.attributes)).unwrap_or_default()
    }

    fn wants_keys(&self) -> bool {
        self.trial.needs().is_some_and(|needs| needs.keys)
    }

    fn pick_for(&mut self, values: &suite::Values, keys: &[Option<u64>], tried: &[u32]) -> Result<Option<u32>, String> {
        let Needs { attributes, keys: all } = self.trial.needs().unwrap_or_default();
        let details = Details::new(attributes, values.0.clone(), all.then(|| keys.to_vec()));
        let key = keys.iter().copied().flatten().next();
        let choice = self.trial.pick(PickRequest { key, tried, details: Some(&details) }).map_err(text)?;
        Ok(choice.map(|choice| choice.slot))
    }

    fn ticks(&self) -> bool {
        self.trial.ticks()
    }

    fn tick(&mut self, now_ms: u64) -> Result<(), String> {
        self.services.set_now_ms(now_ms);
        self.trial.tick(now_ms).map_err(text)
    }

    fn prepares(&self) -> bool {
        self.trial.prepares()
    }

    fn prepare(&mut self) -> Result<Vec<u32>, String> {
        self.trial.prepare().map_err(text)
    }

    fn adopt(&mut self, prepared: &[u32]) -> Result<(), String> {
        self.trial.adopt(prepared).map_err(text)
    }

    fn wants_outcomes(&self) -> bool {
        self.balancer.wants_outcomes()
    }

    fn outcomes(&mut self, batch: &[suite::Outcome]) -> Result<(), String> {
        for outcome in batch {
            if let Some(counters) = self.counters.get(&outcome.slot) {
                match outcome.class {
                    OutcomeClass::Success => counters.sample_first_byte(outcome.first_byte_us),
                    OutcomeClass::ClientAbort => {}
                    _ => counters.count_failure(),
                }
            }
        }
        // Who did not ask is not told.
        if self.balancer.wants_outcomes() { self.trial.outcomes(batch).map_err(text) } else { Ok(()) }
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        self.trial.save().map_err(text)
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        self.trial.restore(state).map_err(text)
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.told = Arc::default();
        self.counters.clear();
        self.trial.create_again()
    }

    fn set_in_flight(&mut self, slot: u32, attempts: u32) {
        if let Some(counters) = self.counters.get(&slot) {
            counters.set_in_flight(attempts);
        }
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.services.set_now_ms(now_ms);
        self.trial.tick_if_due(now_ms);
    }

    fn executed(&self) -> Option<u64> {
        self.trial.executed()
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.trial.memory_bytes()
    }

    fn table_bytes(&self) -> Option<u64> {
        self.trial.table_bytes()
    }
}
