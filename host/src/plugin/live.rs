use std::any::Any;
use std::sync::Arc;

use wasmtime::{ResourceLimiter, Store};

use super::api::v0_2::exports::plimsoll::plugin::lifecycle;
use super::component::Plugin;
use super::create_error::{CreateError, describe_error};
use super::deadline::Call;
use super::fault::{Failure, FaultKind};
use super::guest::{Guest, HOSTCALL_BYTES, PolicyContext, arm, end_overdue};
use super::lifecycle::Manifest;
use super::memory::Services;
use super::policy::{PolicyConfig, Role};
use super::role::{AnyPlan, AnyRole, GuestRole};
use crate::snapshot::EndpointSet;
use crate::telemetry::printable_within;

/// Of what the engine calls a trap.
const MAX_TRAP_BYTES: usize = 256;

/// A guest that runs: its memory, and the functions that it has. Once a call of it failed it must not be called again.
pub(super) struct Live {
    store: Store<Guest>,
    lifecycle: lifecycle::Guest,
    /// By role.
    roles: [Option<Box<dyn AnyRole>>; Role::ALL.len()],
}

impl Live {
    pub(super) fn start(plugin: &Plugin, services: &Arc<Services>) -> wasmtime::Result<Self> {
        let guest = Guest::new(plugin.name.clone(), &plugin.limits, services.clone(), &plugin.grants);
        let mut store = Store::new(plugin.pre.engine(), guest);
        store.limiter(|guest| guest as &mut dyn ResourceLimiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        end_overdue(&mut store);
        // Only engines for trials meter, and there is no end to it: it is not what ends a call.
        let _ = store.set_fuel(u64::MAX);
        arm(&mut store, 0, Call::at_start("start"));
        let instance = plugin.pre.instantiate(&mut store)?;
        let lifecycle = plugin.exports.lifecycle.load(&mut store, &instance)?;
        let mut roles = [const { None }; Role::ALL.len()];
        for offer in &plugin.exports.roles {
            roles[offer.role() as usize] = Some(offer.load(&mut store, &instance)?);
        }
        Ok(Self { store, lifecycle, roles })
    }

    /// Gives the guest so much time for the next call, on behalf of a policy.
    #[inline]
    pub(super) fn arm(&mut self, policy: u32, call: Call) {
        arm(&mut self.store, policy, call);
    }

    /// The functions of a role, and the store that they are called with.
    #[inline]
    pub(super) fn of<R: GuestRole>(&mut self) -> wasmtime::Result<(&R, &mut Store<Guest>)> {
        let role = self.roles[R::ROLE as usize].as_deref();
        match role.and_then(|role| (role as &dyn Any).downcast_ref()) {
            Some(role) => Ok((role, &mut self.store)),
            None => Err(wasmtime::Error::msg("no such role")),
        }
    }

    /// What the host holds for the guest.
    pub(super) fn guest(&self) -> &Guest {
        self.store.data()
    }

    pub(super) fn guest_mut(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// What the guest has executed since it was started; none unless its engine meters.
    pub(super) fn executed(&self) -> Option<u64> {
        self.store.get_fuel().ok().map(|left| u64::MAX - left)
    }

    pub(super) fn describe(&mut self) -> wasmtime::Result<Manifest> {
        self.arm(0, Call::at_start("describe"));
        Ok(self.lifecycle.call_describe(&mut self.store)?.into())
    }

    pub(super) fn save(&mut self, role: Role, policy: u32) -> wasmtime::Result<Vec<u8>> {
        self.lifecycle.call_save(&mut self.store, role.as_str(), policy)
    }

    pub(super) fn restore(&mut self, role: Role, policy: u32, state: &[u8]) -> wasmtime::Result<bool> {
        self.lifecycle.call_restore(&mut self.store, role.as_str(), policy, state)
    }

    /// Creates a policy and tells it the endpoints, if its role hears of any.
    pub(super) fn create(
        &mut self,
        number: u32,
        config: &PolicyConfig,
        context: PolicyContext,
    ) -> Result<AnyPlan, CreateError> {
        let endpoints = context.endpoints.clone();
        self.guest_mut().put_policy(number, context);
        let created = self.create_bare(number, config).and_then(|plan| {
            let call = Call::at_start("endpoints");
            self.arm(number, call);
            let told = self.tell(config.role, number, &EndpointSet::default(), &endpoints);
            told.map(|()| plan)
                .map_err(|error| CreateError::Failed(self.failure(call, describe_error(&error)).to_string()))
        });
        created.inspect_err(|_| self.guest_mut().remove_policy(number))
    }

    /// Creates a policy of a number that the host knows, and tells it nothing.
    pub(super) fn create_bare(&mut self, number: u32, config: &PolicyConfig) -> Result<AnyPlan, CreateError> {
        let call = Call::at_start("create");
        self.arm(number, call);
        let created = match &self.roles[config.role as usize] {
            Some(role) => role.create(&mut self.store, number, config),
            None => Err(CreateError::MissingRole),
        };
        created.map_err(|error| match error {
            CreateError::Failed(details) => CreateError::Failed(self.failure(call, details).to_string()),
            other => other,
        })
    }

    pub(super) fn destroy(&mut self, role: Role, policy: u32) -> wasmtime::Result<()> {
        match &self.roles[role as usize] {
            Some(role) => role.destroy(&mut self.store, policy),
            None => Ok(()),
        }
    }

    /// How far apart the ticks of a policy are.
    pub(super) fn tick_ms(&self, role: Role, plan: &AnyPlan) -> Option<u32> {
        self.roles[role as usize].as_ref()?.tick_ms(plan)
    }

    pub(super) fn tick(&mut self, role: Role, policy: u32, now_ms: u64) -> wasmtime::Result<()> {
        match &self.roles[role as usize] {
            Some(role) => role.tick(&mut self.store, policy, now_ms),
            None => Ok(()),
        }
    }

    /// Tells a policy the step from `before` to `after`: by changes where the role takes them and they are few, else whole.
    pub(super) fn tell(
        &mut self,
        role: Role,
        policy: u32,
        before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        match &self.roles[role as usize] {
            Some(role) => role.tell(&mut self.store, policy, before, after),
            None => Ok(()),
        }
    }

    /// The plan of a policy that was created again, with what it keeps of the one before.
    pub(super) fn inherit(&self, role: Role, plan: AnyPlan, before: AnyPlan) -> AnyPlan {
        match &self.roles[role as usize] {
            Some(role) => role.inherit(plan, before),
            None => plan,
        }
    }

    /// Why a call has failed, of which the engine says `details`.
    pub(super) fn failure(&self, call: Call, details: String) -> Failure {
        let guest = self.guest();
        let Call { function, deadline } = call;
        let (kind, reason) = if guest.is_overdue() {
            (FaultKind::Deadline, format!("deadline of {} ms passed in {function}", deadline.as_millis()))
        } else if guest.memory_refused {
            let limit = guest.memory_limit >> 20;
            (FaultKind::Memory, format!("asked for more memory than its {limit} MiB in {function}"))
        } else {
            let reason = match guest.messages.take_last_error() {
                Some(said) => match said.strip_prefix("panicked ") {
                    Some(panic) => format!("panicked in {function} {panic}"),
                    None => format!("trapped in {function}, having said: {said}"),
                },
                None => {
                    let trap = details.rsplit_once("wasm trap: ").map_or(&*details, |(_, trap)| trap);
                    format!("trapped in {function}: {}", printable_within(trap, MAX_TRAP_BYTES))
                }
            };
            (FaultKind::Trap, reason)
        };
        Failure { kind, reason, details }
    }
}

/// Asks a fresh guest of a plugin who it is.
pub fn describe(plugin: &Plugin, services: &Arc<Services>) -> Result<Manifest, String> {
    let manifest = Live::start(plugin, services).and_then(|mut live| live.describe());
    manifest.map_err(|error| describe_error(&error))
}
