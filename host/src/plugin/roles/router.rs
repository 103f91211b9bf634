use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::router as wit;
use crate::plugin::convert::{self, Attribute, Values};
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::handle::Handle;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{ConfigMistake, PolicyConfig, Role};
use crate::plugin::recording::{Asked, fault_in_words};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::plugin::route::RouteSettings;
use crate::plugin::shadow::{Shadow, ShadowPlace, Told, Words};
use crate::plugin::values::AttributeValues;
use crate::telemetry::printable_within;

/// What a router policy said when it was created.
#[derive(Clone, Debug)]
pub struct RouterPlan {
    pub attributes: Arc<[Attribute]>,
    pub routes: Arc<[Arc<RouteSettings>]>,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Position of a cluster in the configuration.
    Forward(u32),
    Redirect(Arc<Redirect>),
    Respond(Arc<Response>),
    NoRoute,
}

#[derive(Debug, PartialEq)]
pub struct Redirect {
    pub status: http::StatusCode,
    pub location: http::HeaderValue,
}

#[derive(Debug, PartialEq)]
pub struct Response {
    pub status: http::StatusCode,
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    pub body: bytes::Bytes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub action: Action,
    /// The route that took part.
    pub route: Option<Arc<RouteSettings>>,
}

/// The functions of a router.
pub(in crate::plugin) struct RouterGuest(wit::Guest);

/// The plan of a router, with what it means in this configuration, and decisions that may be repeated.
pub(in crate::plugin) struct RouterState {
    plan: RouterPlan,
    /// Positions of the plan's clusters.
    clusters: Vec<u32>,
    /// Position of the cluster for requests that it gives no answer to.
    fallback: Option<u32>,
    memo: Memo,
}

/// A router policy on a worker.
#[derive(Debug)]
pub struct Router {
    handle: Handle<RouterGuest>,
}

impl Router {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { handle: Handle::new(instance, policy) }
    }

    /// With the place of a candidate beside it.
    pub fn beside(self, shadow: &Rc<ShadowPlace>) -> Self {
        Self { handle: self.handle.beside(shadow) }
    }

    /// The plan of the version that is live now.
    pub fn plan(&self) -> Option<RouterPlan> {
        self.handle.plan(|state| state.plan.clone())
    }

    /// How much of a body it, or its candidate, wants to see.
    pub fn body_prefix(&self) -> usize {
        let candidate =
            |shadow: &mut Shadow, policy| shadow.tell(policy, |candidate, own| body_prefix_of(candidate, own));
        let candidate = self.handle.with_shadow(candidate).flatten().unwrap_or(0);
        let (instance, policy) = self.handle.parts();
        candidate.max(body_prefix_of(&instance.borrow(), policy))
    }

    /// The route for a request of which `fill` writes the attributes that the policy wants.
    pub fn route(
        &self,
        values: &mut AttributeValues,
        fill: impl Fn(&[Attribute], &mut AttributeValues),
    ) -> Result<Decision, Fault> {
        let (instance, policy) = self.handle.parts();
        let decision = route(&mut instance.borrow_mut(), policy, values, &fill);
        self.handle.with_shadow(|shadow, policy| {
            let live = decision.as_ref().map_err(|fault| *fault);
            let decide = |candidate: &mut Instance, own, values: &mut _| route(candidate, own, values, &fill);
            let told = Told {
                words: |live: &_, candidate: &_| Words {
                    asked: self.asked(values),
                    live: self.shown(live),
                    candidate: self.shown(candidate),
                },
                asked: Asked::route,
                exactly: in_words,
            };
            shadow.decide(policy, live, decide, told);
        });
        decision
    }

    /// What the live version was shown, for people. What may be a secret is left out.
    fn asked(&self, values: &AttributeValues) -> String {
        let attributes = self.handle.plan(|state| state.plan.attributes.clone()).unwrap_or_default();
        let shown = attributes.iter().zip(values.iter()).map(|(attribute, value)| match value {
            None => format!("no {attribute}"),
            Some(_) if attribute.may_be_secret() => format!("{attribute} (not shown)"),
            Some(value) => {
                format!("{attribute} `{}`", printable_within(&String::from_utf8_lossy(value), MOST_SHOWN_BYTES))
            }
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// A decision for people.
    fn shown(&self, decision: &Decision) -> String {
        let (instance, policy) = self.handle.parts();
        shown(&instance.borrow(), policy, decision)
    }

    /// What the policy has said is to hold while it gives no answer.
    pub fn fallback(&self) -> Option<Action> {
        self.handle.plan(|state| state.fallback.map(Action::Forward)).flatten()
    }

    /// Counts that the host decided in the policy's stead.
    pub fn count_fallback(&self, fault: Fault) {
        self.handle.count_fallback(fault);
    }
}

/// Of an attribute, or of a location.
const MOST_SHOWN_BYTES: usize = 256;

/// A decision for people.
fn shown(instance: &Instance, policy: u32, decision: &Decision) -> String {
    let action = match &decision.action {
        Action::Forward(position) => {
            let name = instance.cluster_name(policy, *position);
            format!("forward to `{}`", name.as_deref().unwrap_or_default())
        }
        Action::Redirect(redirect) => {
            let to = String::from_utf8_lossy(redirect.location.as_bytes());
            format!("redirect with {} to `{}`", redirect.status.as_u16(), printable_within(&to, MOST_SHOWN_BYTES))
        }
        Action::Respond(response) => {
            format!("answer {} with {} bytes", response.status.as_u16(), response.body.len())
        }
        Action::NoRoute => "no route".to_owned(),
    };
    match &decision.route {
        Some(route) => format!("{action}, route `{}`", route.label),
        None => action,
    }
}

/// A decision as recordings have it: with a hash of all that there is to it.
fn in_words(instance: &Instance, policy: u32, decision: Result<&Decision, Fault>) -> String {
    match decision {
        Ok(decision) => {
            let all = xxhash_rust::xxh64::xxh64(format!("{decision:?}").as_bytes(), 0);
            format!("{} ({all:016x})", shown(instance, policy, decision))
        }
        Err(fault) => fault_in_words(fault),
    }
}

/// What a router decides about values that are known by the names of attributes, as recordings have it.
pub(in crate::plugin) fn route_in_words(
    instance: &mut Instance,
    policy: u32,
    value: impl Fn(&str) -> Option<Vec<u8>>,
) -> String {
    let decision = route(instance, policy, &mut AttributeValues::default(), |attributes, values| {
        values.clear();
        attributes.iter().for_each(|attribute| values.push(value(&attribute.to_string()).as_deref()));
    });
    in_words(instance, policy, decision.as_ref().map_err(|fault| *fault))
}

/// What a router wants to see.
pub(in crate::plugin) fn attributes(instance: &Instance, policy: u32) -> Option<Arc<[Attribute]>> {
    Some(instance.plan::<RouterGuest>(policy)?.plan.attributes.clone())
}

fn body_prefix_of(instance: &Instance, policy: u32) -> usize {
    instance.plan::<RouterGuest>(policy).map_or(0, |state| convert::body_prefix(&state.plan.attributes))
}

/// Asks a router, unless it has said that the same is to be repeated.
fn route(
    instance: &mut Instance,
    policy: u32,
    values: &mut AttributeValues,
    fill: impl Fn(&[Attribute], &mut AttributeValues),
) -> Result<Decision, Fault> {
    let Some(state) = instance.plan::<RouterGuest>(policy) else { return Err(Fault::Rebuilding) };
    fill(&state.plan.attributes, values);
    let hash = state.memo.hash(values.as_bytes());
    if let Some(decision) = state.memo.get(hash, values.as_bytes()) {
        let decision = decision.clone();
        if let Some(shard) = instance.shard(policy) {
            shard.repeat();
        }
        return Ok(decision);
    }
    let answer = instance.ask(policy, Call::on_request_path("route"), |router: &RouterGuest, store, policy| {
        router.route(store, policy, &values.to_owned_values())
    })?;
    let Some(state) = instance.plan_mut::<RouterGuest>(policy) else { return Err(Fault::Rebuilding) };
    let decision = match state.translate(&answer) {
        Ok(decision) => decision,
        Err(reason) => return Err(instance.invalid_answer(policy, reason)),
    };
    if answer.repeatable {
        state.memo.put(hash, values.as_bytes(), decision.clone());
    }
    Ok(decision)
}

impl RouterGuest {
    pub(in crate::plugin) fn route(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        values: &Values,
    ) -> wasmtime::Result<wit::Decision> {
        self.0.call_route(store, policy, values)
    }

    /// Creates a policy, and answers its plan as it is.
    pub(in crate::plugin) fn create_raw(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        config: &str,
    ) -> Result<wit::Plan, CreateError> {
        convert::created(self.0.call_create(store, policy, config))
    }
}

impl GuestRole for RouterGuest {
    const ROLE: Role = Role::Router;
    type Plan = RouterState;

    from_bindings!(wit);

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<RouterState, CreateError> {
        RouterState::new(self.create_raw(store, policy, &config.config)?, config)
    }

    fn inherit(state: &mut RouterState, before: RouterState) {
        state.inherit(before);
    }
}

impl RouterState {
    /// What a plan means in a configuration.
    fn new(plan: wit::Plan, config: &PolicyConfig) -> Result<Self, CreateError> {
        let mut clusters = Vec::with_capacity(plan.clusters.len());
        let mut unknown = Vec::new();
        for name in &plan.clusters {
            match config.known_clusters.get(name.as_str()) {
                Some(position) => clusters.push(*position),
                None => {
                    let path = place_of_name(&config.config, name);
                    unknown.push(ConfigMistake {
                        path,
                        message: convert::text(&format!("cluster `{name}` does not exist")),
                    });
                }
            }
        }
        if !unknown.is_empty() {
            return Err(CreateError::Refused(unknown));
        }
        let fallback = match plan.fallback.map(|index| clusters.get(index as usize).copied()) {
            Some(None) => return Err(CreateError::Failed("its fallback is none of its clusters".into())),
            fallback => fallback.flatten(),
        };
        convert::nothing_more(&plan.more)?;
        let attributes = convert::attributes(plan.attributes)?;
        if attributes.contains(&Attribute::Route) {
            return Err(convert::refused("a router cannot see the attribute `route`, which it decides"));
        }
        let plan = RouterPlan { attributes, routes: routes(&plan.routes, config)? };
        Ok(Self { plan, clusters, fallback, memo: Memo::default() })
    }

    /// Remembers what the policy answered before it was created again: requests that a fault has nothing to do with are
    /// to go where they went.
    fn inherit(&mut self, before: Self) {
        let same = self.plan.attributes == before.plan.attributes
            && self.plan.routes == before.plan.routes
            && self.clusters == before.clusters;
        if same {
            self.memo = before.memo;
        }
    }

    /// The decision in the host's terms; none when it names what does not exist.
    fn translate(&self, decision: &wit::Decision) -> Result<Decision, String> {
        let status_within = |status: u16, is_allowed: bool, what: &str| {
            let known = http::StatusCode::from_u16(status).ok().filter(|_| is_allowed);
            known.ok_or_else(|| format!("{what} with the status {status}"))
        };
        let action = match &decision.action {
            wit::Action::Forward(index) => {
                let known = self.clusters.get(*index as usize);
                let count = self.clusters.len();
                Action::Forward(
                    *known.ok_or_else(|| format!("chose cluster {index} of the {count} that its plan names"))?,
                )
            }
            wit::Action::Redirect(redirect) => Action::Redirect(Arc::new(Redirect {
                status: status_within(
                    redirect.status,
                    matches!(redirect.status, 301 | 302 | 303 | 307 | 308),
                    "redirects",
                )?,
                location: http::HeaderValue::try_from(redirect.location.as_str())
                    .map_err(|_| "redirects to a location that no header can have".to_owned())?,
            })),
            wit::Action::Respond(response) => Action::Respond(Arc::new(Response {
                status: status_within(response.status, (200..600).contains(&response.status), "answers")?,
                headers: convert::header_map(response.headers.clone()),
                body: bytes::Bytes::copy_from_slice(&response.body),
            })),
            wit::Action::NoRoute => Action::NoRoute,
        };
        let route = match decision.route {
            Some(index) => {
                let known = self.plan.routes.get(index as usize).cloned();
                let count = self.plan.routes.len();
                Some(known.ok_or_else(|| format!("chose route {index} of the {count} of its plan"))?)
            }
            None => None,
        };
        Ok(Decision { action, route })
    }
}

/// What the host holds to for each route.
fn routes(told: &[wit::RouteSettings], config: &PolicyConfig) -> Result<Arc<[Arc<RouteSettings>]>, CreateError> {
    let mut mistakes = Vec::new();
    let mut routes = Vec::with_capacity(told.len());
    for route in told {
        match RouteSettings::of(route, config.of_connections) {
            Ok(settings) => routes.push(Arc::new(settings)),
            Err(message) => {
                mistakes.push(ConfigMistake {
                    path: place_of_name(&config.config, &route.label),
                    message: convert::text(&message),
                });
            }
        }
    }
    if mistakes.is_empty() { Ok(routes.into()) } else { Err(CreateError::Refused(mistakes)) }
}

/// JSON Pointer of the first text of a configuration that is a name, since the host does not know the plugin's language; of
/// the whole when there is none.
fn place_of_name(config: &str, name: &str) -> String {
    fn find(value: &serde_json::Value, name: &str) -> Option<String> {
        match value {
            serde_json::Value::String(text) => (text == name).then(String::new),
            serde_json::Value::Array(items) => {
                items.iter().enumerate().find_map(|(index, item)| Some(format!("/{index}{}", find(item, name)?)))
            }
            serde_json::Value::Object(members) => members.iter().find_map(|(key, item)| {
                let inside = find(item, name)?;
                Some(format!("/{}{inside}", key.replace('~', "~0").replace('/', "~1")))
            }),
            _ => None,
        }
    }
    let config = serde_json::from_str(config).unwrap_or_default();
    find(&config, name).unwrap_or_default()
}

/// Decisions that may be repeated for the same attribute values. Direct-mapped: a new entry takes the place of the one
/// whose hash falls there, so the size is bounded and a flood of new values costs no more than asking each time.
#[derive(Default)]
struct Memo {
    hasher: RandomState,
    places: Vec<Option<Remembered>>,
}

struct Remembered {
    hash: u64,
    values: Box<[u8]>,
    decision: Decision,
}

const MEMO_PLACES: usize = 2048;
/// Longer values are not worth their memory: with 2 KiB each, a full memo has 4 MiB.
const MEMO_VALUE_BYTES: usize = 2048;

impl Memo {
    fn hash(&self, values: &[u8]) -> u64 {
        self.hasher.hash_one(values)
    }

    fn get(&self, hash: u64, values: &[u8]) -> Option<&Decision> {
        let place = self.places.get(hash as usize % MEMO_PLACES)?.as_ref()?;
        (place.hash == hash && *place.values == *values).then_some(&place.decision)
    }

    fn put(&mut self, hash: u64, values: &[u8], decision: Decision) {
        if values.len() > MEMO_VALUE_BYTES {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(MEMO_PLACES, || None);
        }
        self.places[hash as usize % MEMO_PLACES] = Some(Remembered { hash, values: values.into(), decision });
    }
}
