mod failing;
mod ticking;

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use super::component::Plugin;
use super::create_error::{CreateError, describe_error};
use super::deadline::Call;
use super::fault::{Failure, Fault, FaultKind};
use super::guest::{Guest, PolicyContext};
use super::live::Live;
use super::memory::Services;
use super::policy::{PolicyConfig, Role};
use super::role::{AnyPlan, GuestRole};
use super::shared_table::SharedTable;
use super::table::Table;
use super::ticking::Ticking;
use crate::snapshot::{Endpoint, EndpointSet};
use crate::telemetry::{LivePolicy, PluginShard, ShadowShard};

/// Largest state that a policy may hand over.
const MAX_STATE_BYTES: usize = 1 << 20;
/// One call in so many is timed: reading the clock twice costs a third of a call.
const TIMED_ONE_IN: u32 = 16;

/// One live copy of a plugin with its policies. It belongs to one thread at a time: made in the control plane, then
/// moved to a worker. A guest that traps is thrown away; its policies are created again from what is kept here.
pub struct Instance {
    plugin: Arc<Plugin>,
    services: Arc<Services>,
    worker: u32,
    live: Option<Live>,
    /// By their numbers; none where a policy was destroyed, whose number the next one gets.
    policies: Vec<Option<Policy>>,
    consecutive_faults: u32,
    rebuild_at_ms: u64,
    calls: u32,
    /// Why it failed last.
    last_reason: Option<String>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "instance of {:?} with {} policies", self.plugin, self.policies.len())
    }
}

/// What is kept of a policy, to create it again.
struct Policy {
    config: PolicyConfig,
    endpoints: Arc<EndpointSet>,
    plan: AnyPlan,
    ticking: Option<Ticking>,
    shard: Arc<PluginShard>,
    /// Kept here too, since the guest and what it holds end with a fault.
    tables: Tables,
    _counted: LivePolicy,
}

/// What is remembered for a policy, and goes with it.
struct Tables {
    own: Arc<Table>,
    shared: SharedTable,
}

impl Instance {
    /// Starts a copy for a worker; the control plane's number is `u32::MAX`.
    pub fn start(plugin: Arc<Plugin>, services: Arc<Services>, worker: u32) -> Result<Self, String> {
        let live = Live::start(&plugin, &services).map_err(|error| describe_error(&error))?;
        Ok(Self {
            plugin,
            services,
            worker,
            live: Some(live),
            policies: Vec::new(),
            consecutive_faults: 0,
            rebuild_at_ms: 0,
            calls: 0,
            last_reason: None,
        })
    }

    fn policy(&self, policy: u32) -> Option<&Policy> {
        self.policies.get(policy as usize)?.as_ref()
    }

    fn policy_mut(&mut self, policy: u32) -> Option<&mut Policy> {
        self.policies.get_mut(policy as usize)?.as_mut()
    }

    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Creates a policy, and tells it the endpoints if it is of a role that has any. Answers its number.
    pub fn add_policy(&mut self, config: PolicyConfig, endpoints: Arc<EndpointSet>) -> Result<u32, CreateError> {
        let free = self.policies.iter().position(Option::is_none).unwrap_or(self.policies.len());
        let number = u32::try_from(free).unwrap_or(u32::MAX);
        let tables = Tables::of(&self.services, &self.plugin, &config);
        let context = context_of(&self.services, self.worker, number, &endpoints, &tables);
        let Some(live) = &mut self.live else { return Err(CreateError::Failed("the instance is broken".into())) };
        let plan = live.create(number, &config, context)?;
        let ticking = Ticking::begin(live.tick_ms(config.role, &plan), self.services.now_ms());
        let worker = (self.worker != u32::MAX).then_some(self.worker as usize);
        let shard = self.services.registry().plugin(worker, &self.plugin.name, config.role.as_str());
        let counted = shard.policy();
        let policy = Policy { config, endpoints, plan, ticking, shard, tables, _counted: counted };
        if free == self.policies.len() {
            self.policies.push(Some(policy));
        } else {
            self.policies[free] = Some(policy);
        }
        Ok(number)
    }

    /// Ends a policy, in the guest and here. A guest that fails at it is rebuilt without.
    pub(super) fn destroy_policy(&mut self, policy: u32) {
        let Some(role) = self.policy(policy).map(|record| record.config.role) else { return };
        if self.live.is_some() {
            // The fault, if any, is counted.
            let _ = self.call(policy, Call::off_request_path("destroy"), |live, policy| live.destroy(role, policy));
        }
        if let Some(live) = &mut self.live {
            live.guest_mut().remove_policy(policy);
        }
        self.policies[policy as usize] = None;
    }

    /// A fault when this is a trial that has no time left.
    pub(super) fn ends_in_time(&self) -> Result<(), Fault> {
        if self.services.is_over() { Err(Fault::Trapped(FaultKind::Deadline)) } else { Ok(()) }
    }

    /// What the host remembers for a policy, in bytes.
    pub(super) fn table_bytes(&self, policy: u32) -> Option<u64> {
        Some(self.policy(policy)?.tables.own.bytes() as u64)
    }

    /// Creates another policy of the configuration that `policy` has, for a part of its cluster. Answers its number.
    pub(super) fn add_policy_like(
        &mut self,
        policy: u32,
        part: &str,
        endpoints: &Arc<EndpointSet>,
    ) -> Result<u32, CreateError> {
        if self.is_quarantined() {
            return Err(CreateError::Failed(Fault::Quarantined.to_string()));
        }
        if self.live.is_none() {
            self.rebuild().map_err(|fault| CreateError::Failed(fault.to_string()))?;
        }
        let Some(record) = self.policy(policy) else { return Err(CreateError::MissingRole) };
        let scope = format!("{}/{part}", record.config.scope).into();
        let config = PolicyConfig { scope, ..record.config.clone() };
        let added = self.add_policy(config, endpoints.clone());
        if let Err(CreateError::Failed(error)) = &added {
            // As any call: counted, and the guest is in no state to go on.
            let failure = Failure { kind: FaultKind::Trap, reason: error.clone(), details: format!("for {part}") };
            self.fault(policy, failure);
        }
        added
    }

    /// Brings a policy to another generation of its endpoints. A policy that fails at it is rebuilt with the new ones.
    pub fn set_endpoints(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) {
        let Some(record) = self.policy(policy) else { return };
        let role = record.config.role;
        if record.endpoints.generation() == endpoints.generation() {
            return;
        }
        let Some(before) = self.replace_endpoints(policy, endpoints) else { return };
        // The fault, if any, is counted; the rebuild replays `record.endpoints`.
        let _ = self.call(policy, Call::at_change("endpoints"), |live, _| live.tell(role, policy, &before, endpoints));
    }

    /// The same where they may be of the generation that it knows: then they take the place of those without being told.
    pub(super) fn put_endpoints(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) {
        let known = self.policy(policy).map(|record| record.endpoints.generation());
        if known == Some(endpoints.generation()) {
            self.replace_endpoints(policy, endpoints);
        } else {
            self.set_endpoints(policy, endpoints);
        }
    }

    /// The worker that it is for; of its services for trials the seed, and what the clock says.
    pub(super) fn trial_terms(&self) -> (u32, u64, u64) {
        (self.worker, self.services.trial_seed(), self.services.now_ms())
    }

    /// Sets the clock of its services for trials to that of the machine, and not back. Answers what it says.
    pub(super) fn set_trial_clock(&self, at_least_ms: u64) -> u64 {
        let now_ms = Services::trial_now_ms().max(at_least_ms);
        self.services.set_now_ms(now_ms);
        now_ms
    }

    /// Notes the endpoints of a policy without telling it. Answers those before.
    pub(super) fn replace_endpoints(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) -> Option<Arc<EndpointSet>> {
        let record = self.policies.get_mut(policy as usize)?.as_mut()?;
        if let Some(live) = &mut self.live {
            live.guest_mut().show(policy, endpoints);
        }
        Some(std::mem::replace(&mut record.endpoints, endpoints.clone()))
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Policy)> {
        (0..).zip(&self.policies).filter_map(|(number, policy)| Some((number, policy.as_ref()?)))
    }

    /// The state of every policy that has some, for the version or instance that comes after this one.
    pub fn save(&mut self) -> Vec<(Role, Arc<str>, Vec<u8>)> {
        let policies: Vec<_> =
            self.numbered().map(|(number, policy)| (number, policy.config.role, policy.config.scope.clone())).collect();
        let mut saved = Vec::new();
        for (number, role, scope) in policies {
            let state = self.call(number, Call::off_request_path("save"), |live, number| live.save(role, number));
            if let Ok(state) = state
                && !state.is_empty()
                && state.len() <= MAX_STATE_BYTES
            {
                saved.push((role, scope, state));
            }
        }
        saved
    }

    /// Hands saved state to the policies of the same role and scope. What is not understood is started afresh. Answers the
    /// policies that took theirs over.
    pub fn restore(&mut self, saved: &[(Role, Arc<str>, Vec<u8>)]) -> Vec<u32> {
        let mut restored = Vec::new();
        for (role, scope, state) in saved {
            let found =
                self.numbered().find(|(_, policy)| policy.config.role == *role && policy.config.scope == *scope);
            let Some((number, _)) = found else { continue };
            let understood =
                self.call(number, Call::off_request_path("restore"), |live, number| live.restore(*role, number, state));
            if understood == Ok(true) {
                restored.push(number);
            }
        }
        restored
    }

    /// All policies with what they were created from and the endpoints that they know.
    pub(super) fn policies(&self) -> Vec<(u32, PolicyConfig, Arc<EndpointSet>)> {
        self.numbered().map(|(number, policy)| (number, policy.config.clone(), policy.endpoints.clone())).collect()
    }

    pub(super) fn scope(&self, policy: u32) -> Option<Arc<str>> {
        self.policy(policy).map(|record| record.config.scope.clone())
    }

    /// The name of the cluster at a position of the configuration that a policy was created for.
    pub(super) fn cluster_name(&self, policy: u32, position: u32) -> Option<Arc<str>> {
        let clusters = &self.policy(policy)?.config.known_clusters;
        clusters.iter().find(|(_, at)| **at == position).map(|(name, _)| name.clone())
    }

    pub(super) fn endpoint(&self, policy: u32, slot: u32) -> Option<&Arc<Endpoint>> {
        self.policy(policy)?.endpoints.get(slot)
    }

    /// Slots of the endpoints that take new requests.
    pub(super) fn open_slots(&self, policy: u32) -> impl Iterator<Item = u32> {
        let endpoints = self.policy(policy).into_iter().flat_map(|record| record.endpoints.iter());
        endpoints.filter(|endpoint| endpoint.takes_new()).map(|endpoint| endpoint.slot)
    }

    pub(super) fn is_quarantined(&self) -> bool {
        self.plugin.breaker.is_quarantined(|| self.services.now_ms())
    }

    /// Where it is counted how a candidate stands to the plugin of this name.
    pub(super) fn shadow_shard(&self, plugin: &str, role: Role) -> Arc<ShadowShard> {
        self.services.registry().shadow(self.worker as usize, plugin, role.as_str())
    }

    /// The time that plugins see, and that of the calendar.
    pub(super) fn times_ms(&self) -> (u64, u64) {
        (self.services.now_ms(), self.services.unix_ms())
    }

    /// Whether a slot is one of the endpoints that a policy was told.
    pub(super) fn knows_slot(&self, policy: u32, slot: u32) -> bool {
        self.policy(policy).is_some_and(|record| record.endpoints.get(slot).is_some())
    }

    /// The plan of a policy of that role.
    pub(super) fn plan<R: GuestRole>(&self, policy: u32) -> Option<&R::Plan> {
        self.policy(policy)?.plan.downcast_ref()
    }

    pub(super) fn plan_mut<R: GuestRole>(&mut self, policy: u32) -> Option<&mut R::Plan> {
        self.policy_mut(policy)?.plan.downcast_mut()
    }

    /// Ends a policy in the guest, and creates it again under its number: for trials.
    pub(super) fn create_again(&mut self, policy: u32) -> Result<(), String> {
        let Some(config) = self.policy(policy).map(|record| record.config.clone()) else { return Ok(()) };
        let destroyed = self.call(policy, Call::at_change("destroy"), |live, policy| live.destroy(config.role, policy));
        destroyed.map_err(|fault| self.told(fault))?;
        let created = self.call(policy, Call::at_start("create"), |live, policy| Ok(live.create_bare(policy, &config)));
        let plan = created.map_err(|fault| self.told(fault))?.map_err(|error| error.to_string())?;
        let every_ms = self.live.as_ref().and_then(|live| live.tick_ms(config.role, &plan));
        let ticking = Ticking::begin(every_ms, self.services.now_ms());
        // It may ask for something else than before.
        if let Some(record) = self.policy_mut(policy) {
            record.plan = plan;
            record.ticking = ticking;
        }
        Ok(())
    }

    pub(super) fn shard(&self, policy: u32) -> Option<&PluginShard> {
        self.policy(policy).map(|record| &*record.shard)
    }

    /// Calls a function of a role on behalf of a policy, within its deadline.
    #[inline]
    pub(super) fn ask<R: GuestRole, T>(
        &mut self,
        policy: u32,
        call: Call,
        ask: impl FnOnce(&R, &mut Store<Guest>, u32) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        self.call(policy, call, |live, policy| {
            let (role, store) = live.of::<R>()?;
            ask(role, store, policy)
        })
    }

    /// Calls the guest on behalf of a policy, within its deadline. Every failure ends here, counted and logged.
    pub(super) fn call<R>(
        &mut self,
        policy: u32,
        call: Call,
        ask: impl FnOnce(&mut Live, u32) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        if self.is_quarantined() {
            return Err(Fault::Quarantined);
        }
        if self.live.is_none() {
            self.rebuild()?;
        }
        let Some(live) = &mut self.live else { return Err(Fault::Rebuilding) };
        live.arm(policy, call);
        self.calls = self.calls.wrapping_add(1);
        let started = self.calls.is_multiple_of(TIMED_ONE_IN).then(Instant::now);
        match ask(live, policy) {
            Ok(answer) => {
                self.consecutive_faults = 0;
                if let Some(record) = self.policy(policy) {
                    record.shard.call(started.map(|started| started.elapsed()));
                }
                Ok(answer)
            }
            Err(error) => {
                let failure = live.failure(call, describe_error(&error));
                Err(self.fault(policy, failure))
            }
        }
    }
}

fn context_of(
    services: &Services,
    worker: u32,
    number: u32,
    endpoints: &Arc<EndpointSet>,
    tables: &Tables,
) -> PolicyContext {
    PolicyContext {
        endpoints: endpoints.clone(),
        random: services.seed(worker, number),
        table: tables.own.clone(),
        shared: tables.shared.clone(),
        worker: (worker != u32::MAX).then_some(worker),
    }
}

impl Tables {
    fn of(services: &Services, plugin: &Plugin, config: &PolicyConfig) -> Self {
        let limit_bytes = plugin.limits.memory_bytes;
        Self {
            own: services.table(&plugin.name, config.role.as_str(), &config.scope, limit_bytes),
            shared: SharedTable::of(plugin.name.clone(), &config.scope, limit_bytes),
        }
    }
}
