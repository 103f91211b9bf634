use std::fmt;
use std::sync::Arc;

use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::balancer as wit;
use crate::plugin::candidate::is_candidate;
use crate::plugin::convert::{self, Attribute, Values};
use crate::plugin::create_error::CreateError;
use crate::plugin::details::{Details, Needs};
use crate::plugin::guest::{Guest, HOSTCALL_BYTES};
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};
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
    /// What it wants to see beyond a key.
    pub needs: Option<Needs>,
    /// How far apart its ticks are.
    pub tick_ms: Option<u32>,
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
    /// For those who want to see more.
    pub details: Option<&'a Details>,
}

impl Request<'_> {
    fn attempt(&self) -> u32 {
        u32::try_from(self.tried.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// What there is to see of these attributes.
    pub(in crate::plugin) fn values(&self, attributes: &Arc<[Attribute]>) -> Values {
        self.details.map_or_else(|| vec![None; attributes.len()], |details| details.values(attributes))
    }

    /// The keys: all of them for whoever wants that, or the one that there is.
    pub(in crate::plugin) fn keys(&self, all: bool) -> Vec<Option<u64>> {
        let known = self.details.and_then(Details::keys).filter(|_| all);
        known.map_or_else(|| self.key.map(Some).into_iter().collect(), <[_]>::to_vec)
    }
}

impl From<wit::Choice> for Choice {
    fn from(choice: wit::Choice) -> Self {
        Self { slot: choice.slot, reason: choice.reason }
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
        let reasons = convert::labels(&plan.reasons);
        let needs = Needs { attributes: convert::attributes(plan.attributes)?, keys: plan.keys };
        let needs = (needs != Needs::default()).then_some(needs);
        Ok(BalancerPlan { outcomes: plan.outcomes, reasons, prepares: plan.prepares, needs, tick_ms: plan.tick_ms })
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

    fn tick_ms(plan: &BalancerPlan) -> Option<u32> {
        plan.tick_ms
    }

    fn tick(&self, store: &mut Store<Guest>, policy: u32, now_ms: u64) -> wasmtime::Result<()> {
        self.0.call_tick(store, policy, now_ms)
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
            self.0.call_pick_again(store, policy, request.key, request.attempt(), request.tried)?
        };
        Ok(choice.map(Choice::from))
    }

    /// The same for a policy that wants more of a request.
    pub(in crate::plugin) fn pick_for(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        request: Request<'_>,
        needs: &Needs,
    ) -> wasmtime::Result<Option<Choice>> {
        let question = wit::Question {
            attributes: request.values(&needs.attributes),
            keys: request.keys(needs.keys),
            attempt: request.attempt(),
            tried: request.tried.to_vec(),
        };
        Ok(self.0.call_pick_for(store, policy, &question)?.map(Choice::from))
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

/// Numbers that are handed on at the most.
pub(super) const MOST_PREPARED: usize = 8 << 20;
