use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

use super::api::v0_1::exports::plimsoll::plugin as exports;
use super::breaker::backoff_ms;
use super::engine::TICK;
use super::fault::{Fault, FaultKind};
use super::imports::{Guest, HOSTCALL_BYTES, Overdue, PolicyContext};
use super::lifecycle::Manifest;
use super::loader::Plugin;
use super::memory::Services;
use super::policy::{ConfigMistake, PolicyConfig, Role};
use super::table::Table;
use super::{affinity, balancer, convert, health, partitioner, prober, router};
use crate::snapshot::EndpointSet;
use crate::telemetry::{LivePolicy, PluginShard, printable_within};

/// Deadline of a call while a request waits for it.
pub(super) const ON_REQUEST_PATH: Duration = Duration::from_millis(2);
/// Deadline of a call in the control plane, or of one that no request waits for.
pub(super) const OFF_REQUEST_PATH: Duration = Duration::from_millis(10);
/// Deadline of a call that brings endpoints. Tables of hundreds of thousands of places take that long, and they do come.
pub(super) const AT_CHANGE: Duration = Duration::from_millis(100);
/// Deadline of starting, describing, configuring and preparing, which may build tables: that of the largest table of
/// consistent hashing, with five million places, was seen to pass half a second of processor time.
pub(super) const AT_START: Duration = Duration::from_secs(1);
/// Largest state that a policy may hand over.
const MAX_STATE_BYTES: usize = 1 << 20;
/// Of an error and its causes.
const MAX_ERROR_BYTES: usize = 8 << 10;
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
    plan: Plan,
    shard: Arc<PluginShard>,
    /// Kept here too, since the guest and what it holds end with a fault.
    table: Arc<Table>,
    _counted: LivePolicy,
}

/// What a policy answered when it was created.
pub(super) enum Plan {
    Router(router::RouterState),
    Balancer(balancer::BalancerPlan),
    Partitioner(partitioner::PartitionerPlan),
    Affinity(Arc<affinity::AffinityPlan>),
    Health(health::HealthPlan),
    Prober(prober::Transport),
}

impl Plan {
    /// Keeps what the same policy had answered before its instance failed, and what still holds.
    fn inherit(&mut self, before: Self) {
        if let (Self::Router(state), Self::Router(before)) = (self, before) {
            state.inherit(before);
        }
    }
}

/// The guest.
pub(super) struct Live {
    pub(super) store: Store<Guest>,
    pub(super) lifecycle: exports::lifecycle::Guest,
    pub(super) router: Option<exports::router::Guest>,
    pub(super) balancer: Option<exports::balancer::Guest>,
    pub(super) partitioner: Option<exports::partitioner::Guest>,
    pub(super) affinity: Option<exports::affinity::Guest>,
    pub(super) health: Option<exports::health::Guest>,
    pub(super) prober: Option<exports::prober::Guest>,
}

/// Why a policy could not be created.
#[derive(Debug)]
pub enum CreateError {
    /// The plugin has no such role.
    MissingRole,
    /// The plugin refuses the configuration.
    Refused(Vec<ConfigMistake>),
    /// The plugin failed.
    Failed(String),
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
        let Some(live) = &mut self.live else { return Err(CreateError::Failed("the instance is broken".into())) };
        let table = table_of(&self.services, &self.plugin, &config);
        let plan = live.create(&self.plugin, &self.services, self.worker, number, &config, &endpoints)?;
        let worker = (self.worker != u32::MAX).then_some(self.worker as usize);
        let shard = self.services.registry().plugin(worker, &self.plugin.name, config.role.as_str());
        let counted = shard.policy();
        let policy = Policy { config, endpoints, plan, shard, table, _counted: counted };
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
            let _ = self.call(policy, OFF_REQUEST_PATH, |live, policy| live.destroy(role, policy));
        }
        if let Some(live) = &mut self.live {
            live.store.data_mut().remove_policy(policy);
        }
        self.policies[policy as usize] = None;
    }

    /// A fault when this is a trial that has no time left.
    pub(super) fn ends_in_time(&self) -> Result<(), Fault> {
        if self.services.is_over() { Err(Fault::Trapped(FaultKind::Deadline)) } else { Ok(()) }
    }

    /// What the host remembers for a policy, in bytes.
    pub(super) fn table_bytes(&self, policy: u32) -> Option<u64> {
        Some(self.policy(policy)?.table.bytes() as u64)
    }

    /// Creates another policy of the configuration that `policy` has, for a part of its cluster. Answers its number.
    pub(super) fn add_policy_like(
        &mut self,
        policy: u32,
        part: &str,
        endpoints: &Arc<EndpointSet>,
    ) -> Result<u32, CreateError> {
        if self.plugin.breaker.is_quarantined(|| self.services.now_ms()) {
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
            self.fault(policy, &wasmtime::Error::msg(error.clone()));
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
        let _ = self.call(policy, AT_CHANGE, |live, _| live.tell_endpoints(role, policy, &before, endpoints));
    }

    /// Notes the endpoints of a policy without telling it. Answers those before.
    pub(super) fn replace_endpoints(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) -> Option<Arc<EndpointSet>> {
        let record = self.policies.get_mut(policy as usize)?.as_mut()?;
        if let Some(live) = &mut self.live
            && let Some(context) = live.store.data_mut().policy_mut(policy)
        {
            context.endpoints = endpoints.clone();
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
            let state = self.call(number, OFF_REQUEST_PATH, |live, _| {
                live.lifecycle.call_save(&mut live.store, role.into(), number)
            });
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
            let understood = self.call(number, OFF_REQUEST_PATH, |live, _| {
                live.lifecycle.call_restore(&mut live.store, (*role).into(), number, state)
            });
            if understood == Ok(true) {
                restored.push(number);
            }
        }
        restored
    }

    /// Whether a slot is one of the endpoints that a policy was told.
    pub(super) fn knows_slot(&self, policy: u32, slot: u32) -> bool {
        self.policy(policy).is_some_and(|record| record.endpoints.get(slot).is_some())
    }

    /// Counts an answer that the host could not use.
    pub fn invalid_answer(&mut self, policy: u32) -> Fault {
        if let Some(record) = self.policy(policy) {
            record.shard.invalid_answer();
            // Few enough lines: repeated faults are quarantine.
            tracing::error!(
                plugin = &*self.plugin.name,
                version = self.plugin.version,
                role = record.config.role.as_str(),
                scope = &*record.config.scope,
                "plugin gave an answer that names nothing, the host decides in its stead"
            );
            let now_ms = self.services.now_ms();
            if self.plugin.breaker.fault(now_ms) {
                self.announce_quarantine();
            }
        }
        Fault::InvalidAnswer
    }

    pub(super) fn plan(&self, policy: u32) -> Option<&Plan> {
        self.policy(policy).map(|record| &record.plan)
    }

    /// Whether a policy is a balancer that wants to prepare for endpoints ahead.
    pub fn prepares(&self, policy: u32) -> bool {
        matches!(self.plan(policy), Some(Plan::Balancer(plan)) if plan.prepares)
    }

    pub(super) fn plan_mut(&mut self, policy: u32) -> Option<&mut Plan> {
        self.policy_mut(policy).map(|record| &mut record.plan)
    }

    pub(super) fn shard(&self, policy: u32) -> Option<&PluginShard> {
        self.policy(policy).map(|record| &*record.shard)
    }

    /// Calls the guest on behalf of a policy, within `deadline`. Every failure ends here, counted and logged.
    pub(super) fn call<R>(
        &mut self,
        policy: u32,
        deadline: Duration,
        call: impl FnOnce(&mut Live, u32) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        if self.plugin.breaker.is_quarantined(|| self.services.now_ms()) {
            return Err(Fault::Quarantined);
        }
        if self.live.is_none() {
            self.rebuild()?;
        }
        let Some(live) = &mut self.live else { return Err(Fault::Rebuilding) };
        live.arm(policy, deadline);
        self.calls = self.calls.wrapping_add(1);
        let started = self.calls.is_multiple_of(TIMED_ONE_IN).then(Instant::now);
        match call(live, policy) {
            Ok(answer) => {
                self.consecutive_faults = 0;
                if let Some(record) = self.policy(policy) {
                    record.shard.call(started.map(|started| started.elapsed()));
                }
                Ok(answer)
            }
            Err(error) => Err(self.fault(policy, &error)),
        }
    }

    fn fault(&mut self, policy: u32, error: &wasmtime::Error) -> Fault {
        let kind = self.live.as_ref().map_or(FaultKind::Trap, |live| live.fault_kind(error));
        self.live = None;
        self.consecutive_faults += 1;
        let now_ms = self.services.now_ms();
        self.rebuild_at_ms = now_ms + backoff_ms(self.consecutive_faults);
        let role = self.policy(policy).map(|record| {
            record.shard.trap(kind.as_str());
            (record.config.role.as_str(), record.config.scope.clone())
        });
        let (role, scope) = role.unwrap_or_else(|| ("none", "".into()));
        tracing::error!(
            plugin = &*self.plugin.name,
            version = self.plugin.version,
            role,
            scope = &*scope,
            kind = kind.as_str(),
            "plugin failed, the host decides in its stead: {}",
            describe_error(error)
        );
        if self.plugin.breaker.fault(now_ms) {
            self.announce_quarantine();
        }
        Fault::Trapped(kind)
    }

    fn announce_quarantine(&self) {
        self.services.registry().set_plugin_quarantined(&self.plugin.name, true);
        tracing::error!(
            plugin = &*self.plugin.name,
            version = self.plugin.version,
            "plugin is quarantined after repeated faults; load another version, or release it through the admin API"
        );
    }

    fn rebuild(&mut self) -> Result<(), Fault> {
        if self.services.now_ms() < self.rebuild_at_ms {
            return Err(Fault::Rebuilding);
        }
        match self.rebuilt() {
            Ok(live) => {
                self.live = Some(live);
                self.services.registry().plugin_rebuilt(&self.plugin.name);
                Ok(())
            }
            Err(error) => Err(self.fault(u32::MAX, &wasmtime::Error::msg(error))),
        }
    }

    fn rebuilt(&mut self) -> Result<Live, String> {
        let mut live = Live::start(&self.plugin, &self.services).map_err(|error| describe_error(&error))?;
        for (number, record) in (0..).zip(&mut self.policies) {
            let Some(record) = record else { continue };
            let plan = live
                .create(&self.plugin, &self.services, self.worker, number, &record.config, &record.endpoints)
                .map_err(|error| error.to_string())?;
            let before = std::mem::replace(&mut record.plan, plan);
            record.plan.inherit(before);
        }
        Ok(live)
    }
}

impl Live {
    pub(super) fn start(plugin: &Plugin, services: &Arc<Services>) -> wasmtime::Result<Self> {
        let guest = Guest::new(plugin.name.clone(), &plugin.limits, services.clone(), plugin.grants.has("wasi"));
        let mut store = Store::new(plugin.pre.engine(), guest);
        store.limiter(|guest| guest as &mut dyn ResourceLimiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().overdue.decide()));
        // Only engines for trials meter, and there is no end to it: it is not what ends a call.
        let _ = store.set_fuel(u64::MAX);
        arm(&mut store, 0, AT_START);
        let instance = plugin.pre.instantiate(&mut store)?;
        let exports = &plugin.exports;
        Ok(Self {
            lifecycle: exports.lifecycle.load(&mut store, &instance)?,
            router: load(&exports.router, |indices| indices.load(&mut store, &instance))?,
            balancer: load(&exports.balancer, |indices| indices.load(&mut store, &instance))?,
            partitioner: load(&exports.partitioner, |indices| indices.load(&mut store, &instance))?,
            affinity: load(&exports.affinity, |indices| indices.load(&mut store, &instance))?,
            health: load(&exports.health, |indices| indices.load(&mut store, &instance))?,
            prober: load(&exports.prober, |indices| indices.load(&mut store, &instance))?,
            store,
        })
    }

    pub(super) fn arm(&mut self, policy: u32, deadline: Duration) {
        arm(&mut self.store, policy, deadline);
    }

    /// What the guest has executed since it was started; none unless its engine meters.
    pub(super) fn executed(&self) -> Option<u64> {
        self.store.get_fuel().ok().map(|left| u64::MAX - left)
    }

    fn create(
        &mut self,
        plugin: &Plugin,
        services: &Services,
        worker: u32,
        number: u32,
        config: &PolicyConfig,
        endpoints: &Arc<EndpointSet>,
    ) -> Result<Plan, CreateError> {
        let context = PolicyContext {
            endpoints: endpoints.clone(),
            random: services.seed(worker, number),
            table: table_of(services, plugin, config),
        };
        self.store.data_mut().put_policy(number, context);
        self.arm(number, AT_START);
        let plan = match config.role {
            Role::Router => router::create(self, number, config),
            Role::Balancer => balancer::create(self, number, &config.config),
            Role::Partitioner => partitioner::create(self, number, &config.config),
            Role::Affinity => affinity::create(self, number, &config.config),
            Role::Health => health::create(self, number, &config.config),
            Role::Prober => prober::create(self, number, &config.config),
            Role::Filter => Err(CreateError::MissingRole),
        };
        let plan = plan.inspect_err(|_| self.store.data_mut().remove_policy(number))?;
        self.arm(number, AT_START);
        if let Err(error) = self.tell_endpoints(config.role, number, &EndpointSet::default(), endpoints) {
            self.store.data_mut().remove_policy(number);
            return Err(CreateError::Failed(describe_error(&error)));
        }
        Ok(plan)
    }

    pub(super) fn destroy(&mut self, role: Role, policy: u32) -> wasmtime::Result<()> {
        let store = &mut self.store;
        let destroyed = match role {
            Role::Router => self.router.as_ref().map(|router| router.call_destroy(store, policy)),
            Role::Balancer => self.balancer.as_ref().map(|balancer| balancer.call_destroy(store, policy)),
            Role::Partitioner => self.partitioner.as_ref().map(|partitioner| partitioner.call_destroy(store, policy)),
            Role::Affinity => self.affinity.as_ref().map(|affinity| affinity.call_destroy(store, policy)),
            Role::Health => self.health.as_ref().map(|health| health.call_destroy(store, policy)),
            Role::Prober => self.prober.as_ref().map(|prober| prober.call_destroy(store, policy)),
            Role::Filter => None,
        };
        destroyed.unwrap_or(Ok(()))
    }

    /// Tells a policy the step from `before` to `after`: by changes where the role takes them and they are few, else whole.
    pub(super) fn tell_endpoints(
        &mut self,
        role: Role,
        policy: u32,
        before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        let generation = after.generation();
        let store = &mut self.store;
        let known = before.generation() > 0;
        match role {
            Role::Balancer => {
                let Some(balancer) = &self.balancer else { return Ok(()) };
                if let Some(prepared) = after.prepared() {
                    balancer.call_adopt(&mut *store, policy, prepared)?;
                }
                if known {
                    let changes = convert::changes(&after.changes_since(before));
                    if balancer.call_changes(&mut *store, policy, before.generation(), generation, &changes)? {
                        return Ok(());
                    }
                }
                balancer.call_endpoints(store, policy, generation, &convert::endpoints(after))
            }
            // Only the rebuilding of an instance comes here; the groups are those that are known.
            Role::Partitioner => partitioner::tell(self, policy, after).map(drop),
            Role::Affinity => {
                let Some(affinity) = &self.affinity else { return Ok(()) };
                if known {
                    let changes = convert::changes(&after.changes_since(before));
                    if affinity.call_changes(&mut *store, policy, before.generation(), generation, &changes)? {
                        return Ok(());
                    }
                }
                affinity.call_endpoints(store, policy, generation, &convert::endpoints(after))
            }
            Role::Health => {
                let Some(health) = &self.health else { return Ok(()) };
                health.call_endpoints(store, policy, generation, &convert::endpoints(after))
            }
            Role::Router | Role::Prober | Role::Filter => Ok(()),
        }
    }

    fn fault_kind(&self, error: &wasmtime::Error) -> FaultKind {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => FaultKind::Deadline,
            _ if self.store.data().memory_refused => FaultKind::Memory,
            _ => FaultKind::Trap,
        }
    }
}

pub(super) fn table_of(services: &Services, plugin: &Plugin, config: &PolicyConfig) -> Arc<Table> {
    services.table(&plugin.name, config.role.as_str(), &config.scope, plugin.limits.memory_bytes)
}

/// Asks a fresh instance of a plugin who it is.
pub(super) fn describe(plugin: &Plugin, services: &Arc<Services>) -> Result<Manifest, String> {
    let mut live = Live::start(plugin, services).map_err(|error| describe_error(&error))?;
    live.arm(0, AT_START);
    let manifest = live.lifecycle.call_describe(&mut live.store).map_err(|error| describe_error(&error))?;
    Ok(manifest.into())
}

fn load<I, G>(indices: &Option<I>, load: impl FnOnce(&I) -> wasmtime::Result<G>) -> wasmtime::Result<Option<G>> {
    indices.as_ref().map(load).transpose()
}

fn arm(store: &mut Store<Guest>, policy: u32, deadline: Duration) {
    // One tick more, since the current one has partly gone.
    store.set_epoch_deadline((deadline.as_millis() / TICK.as_millis()) as u64 + 1);
    let guest = store.data_mut();
    guest.current = policy as usize;
    guest.overdue = Overdue { allowed: deadline, since: None };
}

impl Overdue {
    /// The deadline has passed on the clock. Whether the guest ran all that time, or the machine was busy with something
    /// else, shows in the processor time of this thread from now on.
    fn decide(&mut self) -> UpdateDeadline {
        let now = thread_cpu_time();
        match self.since {
            Some(since) if now.saturating_sub(since) >= self.allowed => UpdateDeadline::Interrupt,
            Some(_) => UpdateDeadline::Continue(1),
            None => {
                self.since = Some(now);
                UpdateDeadline::Continue((self.allowed.as_millis() / TICK.as_millis()) as u64)
            }
        }
    }
}

pub(super) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Error and causes in one line; the guest's backtrace is in it.
pub(super) fn describe_error(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    // Names of functions in it are the guest's.
    printable_within(&text.split_whitespace().collect::<Vec<_>>().join(" "), MAX_ERROR_BYTES)
}

impl std::fmt::Display for CreateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissingRole => f.write_str("the plugin does not have this role"),
            Self::Refused(mistakes) => {
                let texts: Vec<String> =
                    mistakes.iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect();
                write!(f, "the plugin refuses the configuration: {}", texts.join("; "))
            }
            Self::Failed(error) => write!(f, "the plugin failed: {error}"),
        }
    }
}

impl CreateError {
    pub(super) fn trapped(error: &wasmtime::Error) -> Self {
        Self::Failed(describe_error(error))
    }
}
