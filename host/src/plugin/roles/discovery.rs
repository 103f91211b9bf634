use std::time::Duration;

use bytes::Bytes;
use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::discovery as wit;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};

/// Shortest interval of ticks.
const MIN_TICK: Duration = Duration::from_millis(100);
/// Most clusters that a discovery may call.
const MOST_CLUSTERS: usize = 64;
/// Bounds of a call; the contract states them.
const MOST_HEADERS: usize = 64;
const MOST_BODY_BYTES: usize = 64 << 10;
const TIMEOUTS_MS: std::ops::RangeInclusive<u32> = 1..=60_000;

/// What a discovery said when it was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryPlan {
    /// That it may call.
    pub clusters: Vec<String>,
    pub tick: Option<Duration>,
}

/// What a discovery wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryAction {
    Call(OutwardCall),
    /// In the form that a configuration has for endpoints; what they are worth is not looked at yet.
    Publish(Vec<serde_json::Value>),
    Fail(String),
}

/// A request that the host is to make for a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutwardCall {
    pub number: u32,
    /// Index into the clusters of the plan.
    pub cluster: usize,
    pub method: String,
    pub path: String,
    /// With the authority, if one is given, as `host`.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
    pub timeout: Duration,
}

/// An answer to such a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutwardAnswer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutwardError {
    Unavailable,
    Timeout,
    Broken,
    TooLarge,
}

/// A discovery policy in the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    policy: u32,
}

impl Discovery {
    pub fn new(policy: u32) -> Self {
        Self { policy }
    }

    pub fn plan(&self, instance: &Instance) -> Option<DiscoveryPlan> {
        instance.plan::<DiscoveryGuest>(self.policy).cloned()
    }

    pub fn tick(&self, instance: &mut Instance, now_ms: u64) -> Result<Vec<DiscoveryAction>, Fault> {
        self.ask(instance, "tick", |discovery, store, policy| discovery.tick(store, policy, now_ms))
    }

    pub fn answered(
        &self,
        instance: &mut Instance,
        now_ms: u64,
        number: u32,
        answer: Result<OutwardAnswer, OutwardError>,
    ) -> Result<Vec<DiscoveryAction>, Fault> {
        self.ask(instance, "answered", |discovery, store, policy| {
            discovery.answered(store, policy, now_ms, number, answer)
        })
    }

    /// Says that an action was none which the host could do.
    pub fn invalid(&self, instance: &mut Instance, reason: &str) {
        instance.invalid_answer(self.policy, format_args!("{reason}"));
    }

    fn ask(
        &self,
        instance: &mut Instance,
        function: &'static str,
        ask: impl FnOnce(&DiscoveryGuest, &mut Store<Guest>, u32) -> wasmtime::Result<Vec<wit::Action>>,
    ) -> Result<Vec<DiscoveryAction>, Fault> {
        // Lists of endpoints are read and made.
        let wanted = instance.ask(self.policy, Call::at_change(function), ask)?;
        let most = instance.plan::<DiscoveryGuest>(self.policy).map_or(0, |plan| plan.clusters.len());
        let mut actions = Vec::new();
        for wanted in wanted {
            match action(wanted, most) {
                Ok(action) => actions.push(action),
                Err(mistake) => self.invalid(instance, &format!("{function} wants {mistake}")),
            }
        }
        Ok(actions)
    }
}

/// The functions of a discovery.
pub(in crate::plugin) struct DiscoveryGuest(wit::Guest);

impl GuestRole for DiscoveryGuest {
    const ROLE: Role = Role::Discovery;
    type Plan = DiscoveryPlan;

    from_bindings!(wit);

    fn create(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        config: &PolicyConfig,
    ) -> Result<DiscoveryPlan, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        if plan.clusters.len() > MOST_CLUSTERS {
            return Err(convert::refused(&format!("up to {MOST_CLUSTERS} clusters can be called")));
        }
        let tick = plan.tick_ms.map(|tick| Duration::from_millis(tick.into()).max(MIN_TICK));
        Ok(DiscoveryPlan { clusters: plan.clusters, tick })
    }
}

impl DiscoveryGuest {
    fn tick(&self, store: &mut Store<Guest>, policy: u32, now_ms: u64) -> wasmtime::Result<Vec<wit::Action>> {
        self.0.call_tick(store, policy, now_ms)
    }

    fn answered(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        now_ms: u64,
        number: u32,
        answer: Result<OutwardAnswer, OutwardError>,
    ) -> wasmtime::Result<Vec<wit::Action>> {
        let answer = answer.map(|OutwardAnswer { status, headers, body }| {
            let headers = headers.into_iter().map(|(name, value)| wit::Header { name, value }).collect();
            wit::Answer { status, headers, body }
        });
        let answer = answer.map_err(|error| match error {
            OutwardError::Unavailable => wit::CallError::Unavailable,
            OutwardError::Timeout => wit::CallError::Timeout,
            OutwardError::Broken => wit::CallError::Broken,
            OutwardError::TooLarge => wit::CallError::TooLarge,
        });
        self.0.call_answered(store, policy, now_ms, number, answer.as_ref().map_err(|error| *error))
    }

    /// With the faults of what it wants, for the suite.
    pub(in crate::plugin) fn tick_on_trial(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        now_ms: u64,
        most: usize,
    ) -> wasmtime::Result<Vec<Result<DiscoveryAction, String>>> {
        Ok(self.tick(store, policy, now_ms)?.into_iter().map(|wanted| action(wanted, most)).collect())
    }

    pub(in crate::plugin) fn answered_on_trial(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        now_ms: u64,
        (number, answer): (u32, Result<OutwardAnswer, OutwardError>),
        most: usize,
    ) -> wasmtime::Result<Vec<Result<DiscoveryAction, String>>> {
        let wanted = self.answered(store, policy, now_ms, number, answer)?;
        Ok(wanted.into_iter().map(|wanted| action(wanted, most)).collect())
    }
}

/// What it wants of a host that has so many clusters to call. The error is a mistake in words.
fn action(wanted: wit::Action, clusters: usize) -> Result<DiscoveryAction, String> {
    match wanted {
        wit::Action::Call(wanted) => call(wanted, clusters).map(DiscoveryAction::Call),
        wit::Action::Publish(found) => Ok(DiscoveryAction::Publish(found.into_iter().map(endpoint).collect())),
        wit::Action::Fail(why) => Ok(DiscoveryAction::Fail(convert::text(&why))),
    }
}

fn call(wanted: wit::Call, clusters: usize) -> Result<OutwardCall, String> {
    let wit::Call { number, cluster, method, authority, path, headers, body, timeout_ms } = wanted;
    if cluster as usize >= clusters {
        return Err(format!("to call cluster {cluster} of {clusters}"));
    }
    if headers.len() > MOST_HEADERS || body.len() > MOST_BODY_BYTES {
        return Err(format!("a call with {} header fields and {} bytes", headers.len(), body.len()));
    }
    if !TIMEOUTS_MS.contains(&timeout_ms) {
        return Err(format!("a call within {timeout_ms} ms"));
    }
    let mut fields: Vec<_> = headers.into_iter().map(|header| (header.name, header.value)).collect();
    if let Some(authority) = authority {
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
        fields.push(("host".to_owned(), authority.into_bytes()));
    }
    Ok(OutwardCall {
        number,
        cluster: cluster as usize,
        method,
        path,
        headers: fields,
        body: body.into(),
        timeout: Duration::from_millis(timeout_ms.into()),
    })
}

fn endpoint(found: wit::FoundEndpoint) -> serde_json::Value {
    let wit::FoundEndpoint { id, address, weight, priority, max_connections, zone, metadata } = found;
    let mut endpoint = serde_json::Map::new();
    let mut put = |key: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            endpoint.insert(key.to_owned(), value);
        }
    };
    put("id", id.map(Into::into));
    put("address", Some(address.into()));
    put("weight", weight.map(Into::into));
    put("priority", priority.map(Into::into));
    put("max_connections", max_connections.map(Into::into));
    put("zone", Some(zone.into()));
    put(
        "metadata",
        Some(metadata.into_iter().map(|(key, value)| (key, value.into())).collect::<serde_json::Map<_, _>>().into()),
    );
    endpoint.into()
}
