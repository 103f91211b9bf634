use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::affinity as wit;
use crate::plugin::convert::{self, Attribute, Values};
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::handle::Handle;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::snapshot::{Endpoint, EndpointSet};

/// What an affinity policy said when it was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffinityPlan {
    pub attributes: Arc<[Attribute]>,
    /// Headers of the answer that [`Affinity::bind`] is called for; none for a name that cannot be.
    pub response_headers: Box<[Option<HeaderName>]>,
    /// Whether [`Affinity::prepare`] is to be called.
    pub rewrites_requests: bool,
    /// How far apart its ticks are.
    pub tick_ms: Option<u32>,
}

/// What an affinity knows of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Bound to this slot, not yet checked.
    Bound(u32),
    /// As `Bound`, and the client's memory of it is to be renewed.
    Renew(u32),
    /// Was bound to what cannot serve it any more, or carried something invalid.
    Lost,
    /// New.
    Unbound,
}

impl From<wit::Binding> for Binding {
    fn from(binding: wit::Binding) -> Self {
        match binding {
            wit::Binding::Bound(slot) => Self::Bound(slot),
            wit::Binding::Renew(slot) => Self::Renew(slot),
            wit::Binding::Lost => Self::Lost,
            wit::Binding::Unbound => Self::Unbound,
        }
    }
}

/// A change to a head, with what can go over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
    /// The first cookie of the name gets another value.
    ReplaceCookie(String, Vec<u8>),
    /// All cookies of the name.
    RemoveCookie(String),
}

/// An affinity policy on a worker.
#[derive(Debug)]
pub struct Affinity {
    handle: Handle<AffinityGuest>,
}

impl Affinity {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { handle: Handle::new(instance, policy) }
    }

    /// What the policy said of itself. Another version of the plugin may say something else.
    pub fn plan(&self) -> Arc<AffinityPlan> {
        self.handle.plan(Arc::clone).unwrap_or_default()
    }

    pub fn find(&self, values: &Values) -> Result<Binding, Fault> {
        self.handle.ask(Call::on_request_path("find"), |affinity, store, policy| affinity.find(store, policy, values))
    }

    /// What the endpoint is to see instead of what the client sent.
    pub fn prepare(&self, values: &Values) -> Result<Vec<HeaderEdit>, Fault> {
        let edits = self
            .handle
            .ask(Call::on_request_path("prepare"), |affinity, store, policy| affinity.prepare(store, policy, values))?;
        Ok(self.usable(edits))
    }

    /// What makes the client remember the endpoint that answered it. `response` has the fields of the headers of the plan.
    pub fn bind(&self, values: &Values, slot: u32, response: &[Vec<Vec<u8>>]) -> Result<Vec<HeaderEdit>, Fault> {
        let edits = self.handle.ask(Call::on_request_path("bind"), |affinity, store, policy| {
            affinity.bind(store, policy, values, slot, response)
        })?;
        Ok(self.usable(edits))
    }

    /// The edits that can be made; whether there were others is counted.
    fn usable(&self, offered: Edits) -> Vec<HeaderEdit> {
        let count = offered.len();
        let edits: Vec<HeaderEdit> = offered.into_iter().flatten().collect();
        if edits.len() < count {
            let unusable = count - edits.len();
            self.invalid_answer(format_args!(
                "asked for {unusable} edits of headers whose names or values cannot be sent"
            ));
        }
        edits
    }

    /// Brings the policy to another generation of the endpoints.
    pub fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.handle.set_endpoints(endpoints);
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

/// Edits as a policy gave them; none for one that cannot go over the wire.
pub type Edits = Vec<Option<HeaderEdit>>;

/// The functions of an affinity.
pub(in crate::plugin) struct AffinityGuest(wit::Guest);

impl GuestRole for AffinityGuest {
    const ROLE: Role = Role::Affinity;
    type Plan = Arc<AffinityPlan>;

    from_bindings!(wit);

    fn create(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        config: &PolicyConfig,
    ) -> Result<Arc<AffinityPlan>, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        Ok(Arc::new(AffinityPlan {
            attributes: convert::attributes(plan.attributes)?,
            response_headers: plan.response_headers.iter().map(|name| name.parse().ok()).collect(),
            rewrites_requests: plan.rewrites_requests,
            tick_ms: plan.tick_ms,
        }))
    }

    fn tell(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        let generation = after.generation();
        if before.generation() > 0 {
            let changes = convert::changes(&after.changes_since(before));
            if self.0.call_changes(&mut *store, policy, before.generation(), generation, &changes)? {
                return Ok(());
            }
        }
        self.0.call_endpoints(store, policy, generation, &convert::endpoints(after))
    }

    fn tick_ms(plan: &Arc<AffinityPlan>) -> Option<u32> {
        plan.tick_ms
    }

    fn tick(&self, store: &mut Store<Guest>, policy: u32, now_ms: u64) -> wasmtime::Result<()> {
        self.0.call_tick(store, policy, now_ms)
    }
}

impl AffinityGuest {
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

    pub(in crate::plugin) fn find(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        values: &Values,
    ) -> wasmtime::Result<Binding> {
        self.0.call_find(store, policy, values).map(Binding::from)
    }

    pub(in crate::plugin) fn prepare(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        values: &Values,
    ) -> wasmtime::Result<Edits> {
        Ok(self.0.call_prepare(store, policy, values)?.into_iter().map(edit).collect())
    }

    pub(in crate::plugin) fn bind(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        values: &Values,
        slot: u32,
        response: &[Vec<Vec<u8>>],
    ) -> wasmtime::Result<Edits> {
        Ok(self.0.call_bind(store, policy, values, slot, response)?.into_iter().map(edit).collect())
    }
}

/// None for what cannot go over the wire.
fn edit(edit: wit::Edit) -> Option<HeaderEdit> {
    Some(match edit {
        wit::Edit::Set(header) => {
            let (name, value) = convert::header(header)?;
            HeaderEdit::Set(name, value)
        }
        wit::Edit::Append(header) => {
            let (name, value) = convert::header(header)?;
            HeaderEdit::Append(name, value)
        }
        wit::Edit::Remove(name) => HeaderEdit::Remove(name.parse().ok()?),
        wit::Edit::ReplaceCookie(cookie) => {
            // It would end the value and begin another cookie.
            if cookie.value.contains(&b';') || HeaderValue::from_bytes(&cookie.value).is_err() {
                return None;
            }
            HeaderEdit::ReplaceCookie(cookie.name, cookie.value)
        }
        wit::Edit::RemoveCookie(name) => HeaderEdit::RemoveCookie(name),
    })
}
