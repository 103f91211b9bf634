use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::balancer as wit;
use crate::plugin::candidate::is_candidate;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::{Guest, HOSTCALL_BYTES};
use crate::plugin::handle::Handle;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::recording::{Asked, fault_in_words};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::plugin::shadow::{Shadow, ShadowPlace, Told, Words};
use crate::snapshot::{Change, Endpoint, EndpointSet, Outcome};

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

    /// Asks for an endpoint. `Ok(None)` is the plugin's word that none can take the request.
    pub fn pick(&self, request: Request<'_>) -> Result<Option<Choice>, Fault> {
        let pick = |balancer: &BalancerGuest, store: &mut Store<Guest>, policy| balancer.pick(store, policy, request);
        let picked = self.handle.ask(Call::on_request_path("pick"), pick);
        self.handle.with_shadow(|shadow, policy| {
            let live = picked.map(|choice| choice.map(|choice| choice.slot));
            let decide = |candidate: &mut Instance, own, _: &mut _| pick_usable(candidate, own, request);
            let told = Told {
                words: |live: &_, candidate: &_| Words {
                    asked: request.to_string(),
                    live: self.shown(*live),
                    candidate: self.shown(*candidate),
                },
                asked: |_: &_| Asked::Pick { key: request.key, tried: request.tried.to_vec() },
                exactly: in_words,
            };
            shadow.decide(policy, live.as_ref().map_err(|fault| *fault), decide, told);
        });
        picked
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

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "key {key:016x}")?,
            None => f.write_str("no key")?,
        }
        if !self.tried.is_empty() {
            write!(f, ", tried slots {:?}", self.tried)?;
        }
        Ok(())
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

/// A pick that is held to what the host holds the live version to.
fn pick_usable(instance: &mut Instance, policy: u32, request: Request<'_>) -> Result<Option<u32>, Fault> {
    let pick = |balancer: &BalancerGuest, store: &mut Store<Guest>, policy| balancer.pick(store, policy, request);
    let choice = instance.ask(policy, Call::on_request_path("pick"), pick)?;
    choice.map(|choice| usable(instance, policy, choice.slot, request.tried)).transpose()
}

/// The same, as recordings have it.
pub(in crate::plugin) fn pick_in_words(instance: &mut Instance, policy: u32, request: Request<'_>) -> String {
    let picked = pick_usable(instance, policy, request);
    in_words(instance, policy, picked.as_ref().map_err(|fault| *fault))
}

fn in_words(instance: &Instance, policy: u32, picked: Result<&Option<u32>, Fault>) -> String {
    match picked {
        Ok(Some(slot)) => match instance.endpoint(policy, *slot) {
            Some(endpoint) => format!("`{}` in slot {slot}", endpoint.id),
            None => format!("slot {slot}"),
        },
        Ok(None) => "none".to_owned(),
        Err(fault) => fault_in_words(fault),
    }
}

/// What a candidate picked, held to what the host holds the live version to.
fn usable(candidate: &mut Instance, policy: u32, slot: u32, tried: &[u32]) -> Result<u32, Fault> {
    let is_open = candidate.endpoint(policy, slot).is_some_and(|endpoint| endpoint.takes_new());
    if !is_open {
        return Err(candidate.invalid_answer(policy, format_args!("picked slot {slot}, which may not be chosen")));
    }
    if tried.contains(&slot) {
        return Err(candidate.invalid_answer(policy, format_args!("picked slot {slot}, which this request has tried")));
    }
    Ok(slot)
}

/// The functions of a balancer.
pub(in crate::plugin) struct BalancerGuest(wit::Guest);

impl GuestRole for BalancerGuest {
    const ROLE: Role = Role::Balancer;
    type Plan = BalancerPlan;

    from_bindings!(wit);

    fn create(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        config: &PolicyConfig,
    ) -> Result<BalancerPlan, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        if !plan.attributes.is_empty() || plan.keys {
            return Err(convert::refused(
                "this proxy does not show balancers `attributes` or more than one of the `keys`",
            ));
        }
        if plan.tick_ms.is_some() {
            return Err(convert::refused("this proxy does not call `tick` of balancers"));
        }
        let reasons = convert::labels(&plan.reasons);
        Ok(BalancerPlan { outcomes: plan.outcomes, reasons, prepares: plan.prepares })
    }

    fn tell(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        let generation = after.generation();
        // What the live version has prepared is nothing for another.
        let prepared = after.prepared().filter(|_| !is_candidate(&store.data().plugin));
        if let Some(prepared) = prepared {
            self.adopt(store, policy, prepared)?;
        }
        if before.generation() > 0 {
            let changes = after.changes_since(before);
            if self.change(store, policy, before.generation(), generation, &changes)? {
                return Ok(());
            }
        }
        self.0.call_endpoints(store, policy, generation, &convert::endpoints(after))
    }
}

impl BalancerGuest {
    pub(in crate::plugin) fn pick(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        request: Request<'_>,
    ) -> wasmtime::Result<Option<Choice>> {
        let choice = if request.tried.is_empty() {
            self.0.call_pick(store, policy, request.key)?
        } else {
            let attempt = request.tried.len() as u32 + 1;
            self.0.call_pick_again(store, policy, request.key, attempt, request.tried)?
        };
        Ok(choice.map(|choice| Choice { slot: choice.slot, reason: choice.reason }))
    }

    /// Tells endpoints whole, at slots of any size.
    pub(in crate::plugin) fn replace(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        generation: u64,
        endpoints: &[Endpoint],
    ) -> wasmtime::Result<()> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        self.0.call_endpoints(store, policy, generation, &endpoints)
    }

    /// Tells changes, and answers whether it took them.
    pub(in crate::plugin) fn change(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        base: u64,
        generation: u64,
        changes: &[Change],
    ) -> wasmtime::Result<bool> {
        self.0.call_changes(store, policy, base, generation, &convert::changes(changes))
    }

    pub(in crate::plugin) fn prepare(&self, store: &mut Store<Guest>, policy: u32) -> wasmtime::Result<Vec<u32>> {
        // Tables are larger than what plugins pass otherwise.
        store.set_hostcall_fuel(MOST_PREPARED * size_of::<u32>() + HOSTCALL_BYTES);
        self.0.call_prepare(store, policy)
    }

    pub(in crate::plugin) fn adopt(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        prepared: &[u32],
    ) -> wasmtime::Result<()> {
        self.0.call_adopt(store, policy, prepared)
    }

    pub(in crate::plugin) fn outcomes(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        batch: &[Outcome],
    ) -> wasmtime::Result<()> {
        self.0.call_outcomes(store, policy, &convert::outcomes(batch))
    }
}

impl Instance {
    /// Whether a policy is a balancer that wants to prepare for endpoints ahead.
    pub fn prepares(&self, policy: u32) -> bool {
        self.plan::<BalancerGuest>(policy).is_some_and(|plan| plan.prepares)
    }
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
    let prepared = instance.ask(policy, Call::at_start("prepare"), BalancerGuest::prepare);
    prepared.ok().filter(|prepared| !prepared.is_empty() && prepared.len() <= MOST_PREPARED)
}
