use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::convert;
use super::fault::Fault;
use super::handle::Handle;
use super::imports::HOSTCALL_BYTES;
use super::instance::{AT_START, CreateError, Instance, Live, OFF_REQUEST_PATH, ON_REQUEST_PATH, Plan};
use super::policy::PolicyConfig;
use crate::snapshot::{EndpointSet, Outcome};

/// What a balancer policy said when it was created.
#[derive(Clone, Debug)]
pub struct BalancerPlan {
    /// Whether it wants to hear what became of attempts.
    pub outcomes: bool,
    /// Words for the reasons of its choices.
    pub reasons: Arc<[Arc<str>]>,
    /// Whether what takes long about endpoints is to be done ahead of the workers.
    pub prepares: bool,
}

/// An endpoint that a balancer chose, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub slot: u32,
    /// Index into the plan's reasons.
    pub reason: u32,
}

/// What a choice is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Hash of what the cluster hashes on.
    pub key: Option<u64>,
    /// Slots that failed this request.
    pub tried: &'a [u32],
}

/// A balancer policy on a worker.
#[derive(Debug)]
pub struct Balancer {
    handle: Handle,
}

impl Balancer {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { handle: Handle::new(instance, policy) }
    }

    /// Another policy of the same configuration, for a part of the cluster. It ends when it is dropped.
    pub fn another(&self, part: &str, endpoints: &Arc<EndpointSet>) -> Result<Self, CreateError> {
        Ok(Self { handle: self.handle.another(part, endpoints)? })
    }

    /// Asks for an endpoint. `Ok(None)` is the plugin's word that none can take the request.
    pub fn pick(&self, request: Request<'_>) -> Result<Option<Choice>, Fault> {
        self.handle
            .instance_mut()
            .call(self.handle.policy(), ON_REQUEST_PATH, |live, policy| ask(live, policy, request))
    }

    /// Brings the policy to another generation of the endpoints.
    pub fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.handle.instance_mut().set_endpoints(self.handle.policy(), endpoints);
    }

    /// Tells what became of attempts, if the policy asked for it.
    pub fn outcomes(&self, batch: &[Outcome]) {
        // A fault is counted and changes nothing for any request.
        let _ = self.handle.instance_mut().call(self.handle.policy(), OFF_REQUEST_PATH, |live, policy| {
            let Some(balancer) = &live.balancer else { return Ok(()) };
            balancer.call_outcomes(&mut live.store, policy, &convert::outcomes(batch))
        });
    }

    pub fn wants_outcomes(&self) -> bool {
        matches!(
            self.handle.instance().plan(self.handle.policy()),
            Some(Plan::Balancer(BalancerPlan { outcomes: true, .. }))
        )
    }

    /// The plugin's word for a choice.
    pub fn reason(&self, choice: Choice) -> Option<Arc<str>> {
        match self.handle.instance().plan(self.handle.policy()) {
            Some(Plan::Balancer(plan)) => plan.reasons.get(choice.reason as usize).cloned(),
            _ => None,
        }
    }

    /// Counts an answer that could not be used.
    pub fn invalid_answer(&self) -> Fault {
        self.handle.instance_mut().invalid_answer(self.handle.policy())
    }

    /// Counts that the host decided in the policy's stead.
    pub fn count_fallback(&self, fault: Fault) {
        if let Some(shard) = self.handle.instance().shard(self.handle.policy()) {
            shard.fallback(fault.as_str());
        }
    }
}

pub(super) fn ask(live: &mut Live, policy: u32, request: Request<'_>) -> wasmtime::Result<Option<Choice>> {
    let Some(balancer) = &live.balancer else { return Err(wasmtime::Error::msg("no such role")) };
    let choice = if request.tried.is_empty() {
        balancer.call_pick(&mut live.store, policy, request.key)?
    } else {
        let attempt = request.tried.len() as u32 + 1;
        balancer.call_pick_again(&mut live.store, policy, request.key, attempt, request.tried)?
    };
    Ok(choice.map(|choice| Choice { slot: choice.slot, reason: choice.reason }))
}

pub(super) fn create(live: &mut Live, policy: u32, config: &str) -> Result<Plan, CreateError> {
    let Some(balancer) = &live.balancer else { return Err(CreateError::MissingRole) };
    let plan = balancer
        .call_create(&mut live.store, policy, config)
        .map_err(|error| CreateError::trapped(&error))?
        .map_err(|errors| CreateError::Refused(convert::mistakes(errors)))?;
    let reasons = convert::labels(&plan.reasons);
    Ok(Plan::Balancer(BalancerPlan { outcomes: plan.outcomes, reasons, prepares: plan.prepares }))
}

/// Numbers that are handed on at the most.
const MOST_PREPARED: usize = 8 << 20;

/// Has a balancer prepare for endpoints, on an instance made for that: takes as long as the plugin does, up to the deadline
/// of a start. None when the plugin fails, which is counted, or has nothing to hand on.
pub fn prepare(instance: Instance, config: PolicyConfig, endpoints: Arc<EndpointSet>) -> Option<Vec<u32>> {
    let mut instance = instance;
    let policy = match instance.add_policy(config, endpoints) {
        Ok(policy) => policy,
        Err(error) => {
            tracing::warn!("a balancer cannot prepare for endpoints, the workers will do it: {error}");
            return None;
        }
    };
    let prepared = instance.call(policy, AT_START, prepared);
    prepared.ok().filter(|prepared| !prepared.is_empty() && prepared.len() <= MOST_PREPARED)
}

pub(super) fn prepared(live: &mut Live, policy: u32) -> wasmtime::Result<Vec<u32>> {
    let Some(balancer) = &live.balancer else { return Err(wasmtime::Error::msg("no such role")) };
    // Tables are larger than what plugins pass otherwise.
    live.store.set_hostcall_fuel(MOST_PREPARED * size_of::<u32>() + HOSTCALL_BYTES);
    balancer.call_prepare(&mut live.store, policy)
}
