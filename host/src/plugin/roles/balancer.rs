mod guest;
mod picking;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub(in crate::plugin) use guest::BalancerGuest;
use guest::MOST_PREPARED;
pub use guest::{BalancerPlan, Choice, Request};
use picking::{in_words, pick, pick_usable};
pub(in crate::plugin) use picking::{needs, pick_in_words};
use wasmtime::Store;

use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::details::{Details, Needs};
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::handle::Handle;
use crate::plugin::instance::Instance;
use crate::plugin::policy::PolicyConfig;
use crate::plugin::recording::{Asked, to_text};
use crate::plugin::shadow::{Shadow, ShadowPlace, Told, Words};
use crate::plugin::values::AttributeValues;
use crate::snapshot::{EndpointSet, Outcome};

/// A balancer policy on a worker.
#[derive(Debug)]
pub struct Balancer {
    handle: Handle<BalancerGuest>,
}

impl Balancer {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { handle: Handle::new(instance, policy) }
    }

    /// With the place of a candidate beside it.
    pub fn beside(self, shadow: &Rc<ShadowPlace>) -> Self {
        Self { handle: self.handle.beside(shadow) }
    }

    /// Another policy of the same configuration, for a part of the cluster. It ends when it is dropped.
    pub fn another(&self, part: &str, endpoints: &Arc<EndpointSet>) -> Result<Self, CreateError> {
        Ok(Self { handle: self.handle.another(part, endpoints)? })
    }

    /// Asks for an endpoint. `Ok(None)` is the plugin's word that none can take the request. For a policy that has no needs, as
    /// has no candidate beside it.
    pub fn pick(&self, request: Request<'_>) -> Result<Option<Choice>, Fault> {
        let pick = |balancer: &BalancerGuest, store: &mut Store<Guest>, policy| balancer.pick(store, policy, request);
        let picked = self.handle.ask(Call::on_request_path("pick"), pick);
        self.show_candidate(request, picked);
        picked
    }

    /// The same for any policy.
    pub fn pick_for(&self, request: Request<'_>) -> Result<Option<Choice>, Fault> {
        let (instance, policy) = self.handle.parts();
        let picked = pick(&mut instance.borrow_mut(), policy, request);
        self.show_candidate(request, picked);
        picked
    }

    /// Has the candidate decide, too, if there is one.
    fn show_candidate(&self, request: Request<'_>, picked: Result<Option<Choice>, Fault>) {
        self.handle.with_shadow(|shadow, policy| {
            let live = picked.map(|choice| choice.map(|choice| choice.slot));
            let decide = |candidate: &mut Instance, own, seen: &mut AttributeValues| {
                seen.clear();
                if let Some(needs) = needs(candidate, own) {
                    request.values(&needs.attributes).iter().for_each(|value| seen.push(value.as_deref()));
                }
                pick_usable(candidate, own, request)
            };
            let told = Told {
                words: |live: &_, candidate: &_| Words {
                    asked: request.to_string(),
                    live: self.shown(*live),
                    candidate: self.shown(*candidate),
                },
                asked: |seen: &AttributeValues| Asked::Pick {
                    key: request.key,
                    tried: request.tried.to_vec(),
                    keys: request.details.and_then(Details::keys).map(<[_]>::to_vec),
                    values: seen.iter().map(|value| value.map(to_text)).collect(),
                },
                exactly: in_words,
            };
            shadow.decide(policy, live.as_ref().map_err(|fault| *fault), decide, told);
        });
    }

    /// What it needs to see beyond a key, or its candidate does.
    pub fn needs(&self) -> Option<Needs> {
        let candidate = |shadow: &mut Shadow, policy| shadow.tell(policy, |candidate, own| needs(candidate, own));
        let candidate = self.handle.with_shadow(candidate).flatten().flatten();
        let (instance, policy) = self.handle.parts();
        let live = needs(&instance.borrow(), policy);
        match (live, candidate) {
            (Some(live), Some(candidate)) => Some(live.and(candidate)),
            (live, candidate) => live.or(candidate),
        }
    }

    /// An endpoint for people.
    fn shown(&self, slot: Option<u32>) -> String {
        let Some(slot) = slot else { return "none".to_owned() };
        let (instance, policy) = self.handle.parts();
        match instance.borrow().endpoint(policy, slot) {
            Some(endpoint) => convert::text(&endpoint.id),
            None => format!("slot {slot}, where there is no endpoint"),
        }
    }

    /// Brings the policy to another generation of the endpoints.
    pub fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.handle.set_endpoints(endpoints);
    }

    /// Tells what became of attempts, if the policy asked for it.
    pub fn outcomes(&self, batch: &[Outcome]) {
        // A fault is counted and changes nothing for any request.
        let (instance, policy) = self.handle.parts();
        hear(&mut instance.borrow_mut(), policy, batch);
        self.handle.with_shadow(|shadow, policy| shadow.hear(policy, batch, hear));
    }

    /// Whether it wants to hear what became of attempts, or its candidate does.
    pub fn wants_outcomes(&self) -> bool {
        let candidate = |shadow: &mut Shadow, policy| shadow.tell(policy, |candidate, own| hears(candidate, own));
        let (instance, policy) = self.handle.parts();
        hears(&instance.borrow(), policy) || self.handle.with_shadow(candidate).flatten().unwrap_or(false)
    }

    /// The plugin's word for a choice.
    pub fn reason(&self, choice: Choice) -> Option<Arc<str>> {
        self.handle.plan(|plan| plan.reasons.get(choice.reason as usize).cloned()).flatten()
    }

    /// Counts an answer that could not be used, and says why.
    pub fn invalid_answer(&self, reason: impl std::fmt::Display) -> Fault {
        self.handle.invalid_answer(reason)
    }

    /// Counts that the host decided in the policy's stead.
    pub fn count_fallback(&self, fault: Fault) {
        self.handle.count_fallback(fault);
    }
}

fn hears(instance: &Instance, policy: u32) -> bool {
    instance.plan::<BalancerGuest>(policy).is_some_and(|plan| plan.outcomes)
}

pub(in crate::plugin) fn hear(instance: &mut Instance, policy: u32, batch: &[Outcome]) {
    if hears(instance, policy) {
        let call = Call::off_request_path("outcomes");
        let _ = instance
            .ask(policy, call, |balancer: &BalancerGuest, store, policy| balancer.outcomes(store, policy, batch));
    }
}

impl Instance {
    /// Whether a policy is a balancer that wants to prepare for endpoints ahead.
    pub fn prepares(&self, policy: u32) -> bool {
        self.plan::<BalancerGuest>(policy).is_some_and(|plan| plan.prepares)
    }
}

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
    let prepared = instance.ask(policy, Call::at_start("prepare"), BalancerGuest::prepare);
    prepared.ok().filter(|prepared| !prepared.is_empty() && prepared.len() <= MOST_PREPARED)
}
