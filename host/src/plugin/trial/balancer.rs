use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::policy::{PolicyOnTrial, show};
use crate::plugin::details::Needs;
use crate::plugin::instance::Instance;
use crate::plugin::policy::Role;
use crate::plugin::roles::{BalancerGuest, Choice, Request, needs};
use crate::snapshot::{Change, Endpoint, EndpointSet, Outcome};

/// The functions of a balancer policy that a worker has no use for one by one.
#[derive(Debug)]
pub struct BalancerOnTrial(PolicyOnTrial);

impl BalancerOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self(PolicyOnTrial::new(instance, policy, Role::Balancer))
    }

    /// Asks for an endpoint, as a worker does but for the deadline.
    pub fn pick(&self, request: Request<'_>) -> Result<Option<Choice>, String> {
        match self.needs() {
            None => self.0.ask("pick", |balancer: &BalancerGuest, store, policy| balancer.pick(store, policy, request)),
            Some(needs) => self.0.ask("pick-for", |balancer: &BalancerGuest, store, policy| {
                balancer.pick_for(store, policy, request, &needs)
            }),
        }
    }

    /// What it needs to see beyond a key.
    pub fn needs(&self) -> Option<Needs> {
        needs(&self.0.instance.borrow(), self.0.policy)
    }

    /// Tells it the step from one set to another as a worker does.
    pub fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), String> {
        self.0.tell(before, after)
    }

    /// Tells it endpoints whole, at slots of any size; host functions know those of `shown`.
    pub fn replace(&self, generation: u64, endpoints: &[Endpoint], shown: &Arc<EndpointSet>) -> Result<(), String> {
        self.0.ask("endpoints", |balancer: &BalancerGuest, store, policy| {
            show(store, policy, shown);
            balancer.replace(store, policy, generation, endpoints)
        })
    }

    /// Tells it changes, and answers whether it took them.
    pub fn change(&self, base: u64, generation: u64, changes: &[Change]) -> Result<bool, String> {
        self.0.ask("changes", |balancer: &BalancerGuest, store, policy| {
            balancer.change(store, policy, base, generation, changes)
        })
    }

    pub fn prepares(&self) -> bool {
        self.0.instance.borrow().prepares(self.0.policy)
    }

    pub fn prepare(&self) -> Result<Vec<u32>, String> {
        self.0.ask("prepare", BalancerGuest::prepare)
    }

    pub fn adopt(&self, prepared: &[u32]) -> Result<(), String> {
        self.0.ask("adopt", |balancer: &BalancerGuest, store, policy| balancer.adopt(store, policy, prepared))
    }

    /// What became of attempts.
    pub fn outcomes(&self, batch: &[Outcome]) -> Result<(), String> {
        self.0.ask("outcomes", |balancer: &BalancerGuest, store, policy| balancer.outcomes(store, policy, batch))
    }

    pub fn ticks(&self) -> bool {
        self.0.ticks()
    }

    pub fn tick(&self, now_ms: u64) -> Result<(), String> {
        self.0.tick(now_ms)
    }

    /// Ticks that are due by now.
    pub fn tick_if_due(&self, now_ms: u64) {
        self.0.tick_if_due(now_ms);
    }

    pub fn save(&self) -> Result<Vec<u8>, String> {
        self.0.save()
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, String> {
        self.0.restore(state)
    }

    /// Destroys the policy and creates it again under its number.
    pub fn create_again(&self) -> Result<(), String> {
        self.0.create_again()
    }

    /// What the instance has executed; none unless its engine meters.
    pub fn executed(&self) -> Option<u64> {
        self.0.call("executed", |live, _| Ok(live.executed())).ok().flatten()
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.0.memory_bytes()
    }

    /// What the host remembers for the policy, in bytes.
    pub fn table_bytes(&self) -> Option<u64> {
        self.0.instance.borrow().table_bytes(self.0.policy)
    }
}
