use serde::de::DeserializeOwned;

pub use crate::wit::balancer::Choice;

use crate::policies::Policies;
use crate::wit::balancer::{Plan, Question};
use crate::{
    Attribute, Change, ConfigError, ConfigErrors, Duration, Endpoint, Endpoints, JsonSchema, Outcome, Request, config,
};

/// Decides which endpoint gets an attempt.
pub trait Balancer: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// Words for the reasons of choices, by the numbers in [`Choice::reason`]; shown in the access log.
    fn reasons(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether [`Self::outcomes`] is to be called.
    fn wants_outcomes(&self) -> bool {
        false
    }

    /// What [`Pick::request`] is to show. A pick costs more with any. Asked once.
    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    /// Whether [`Pick::keys`] is to have a hash of everything that the configuration hashes on, and not of the first that
    /// a request has. A pick costs more then. Asked once.
    fn wants_keys(&self) -> bool {
        false
    }

    /// Interval of [`Self::tick`], 100 ms at the least; none for no ticks. Asked once.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Time passed. `now_ms` is monotonic.
    fn tick(&mut self, _now_ms: u64, _endpoints: &Endpoints) {}

    /// The endpoints are now these. Build here whatever makes [`Self::pick`] fast.
    fn endpoints(&mut self, _endpoints: &Endpoints) {}

    /// The endpoints are now these, and `changes` is how they came about. Implement it where following the changes is
    /// cheaper than starting anew.
    fn changes(&mut self, endpoints: &Endpoints, _changes: &[Change]) {
        self.endpoints(endpoints);
    }

    /// Whether [`Self::endpoints`] takes so long, as with large tables, that it is to be done ahead, off the workers. Then
    /// implement [`Self::prepare`] and [`Self::adopt`], too.
    fn prepares(&self) -> bool {
        false
    }

    /// What took long about the endpoints that were told last, such as a table. Called in the control plane.
    fn prepare(&self) -> Vec<u32> {
        Vec::new()
    }

    /// What [`Self::prepare`] gave for the endpoints that come next. They may be others all the same: note what it was made
    /// of, and look.
    fn adopt(&mut self, _prepared: Vec<u32>) {}

    /// Chooses one of [`Endpoints::ready`]; none says that no endpoint can take the request. On the path of every
    /// request: do not allocate.
    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice>;

    /// What became of attempts.
    fn outcomes(&mut self, _outcomes: &[Outcome]) {}

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// One question to a balancer.
#[derive(Clone, Copy, Debug)]
pub struct Pick<'a> {
    /// Hash of what the configuration hashes on, if it does.
    pub key: Option<u64>,
    /// Hashes of all that it hashes on, in that order, where [`Balancer::wants_keys`]; otherwise just [`Self::key`].
    pub keys: &'a [Option<u64>],
    /// Values of [`Balancer::attributes`].
    pub request: Request<'a>,
    /// Counts from 1.
    pub attempt: u32,
    /// Slots that failed this request already, or were full. Choose one of them only when there is no other.
    pub tried: &'a [u32],
    /// The endpoints as they are now.
    pub endpoints: &'a Endpoints,
}

impl Pick<'_> {
    #[inline]
    pub fn is_tried(&self, slot: u32) -> bool {
        self.tried.contains(&slot)
    }
}

impl Choice {
    /// A choice for the first of [`Balancer::reasons`], or for none when there are none.
    #[inline]
    pub const fn slot(slot: u32) -> Self {
        Self { slot, reason: 0 }
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T> {
    policies: Policies<Policy<T>>,
}

struct Policy<T> {
    balancer: T,
    attributes: Vec<Attribute>,
    endpoints: Endpoints,
}

impl<T: Balancer> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let balancer = T::new(config::parse(config)?)?;
            let plan = Plan {
                outcomes: balancer.wants_outcomes(),
                reasons: balancer.reasons(),
                prepares: balancer.prepares(),
                attributes: balancer.attributes(),
                keys: balancer.wants_keys(),
                tick_ms: balancer.tick_interval().map(Duration::as_tick_ms),
                more: Vec::new(),
            };
            let attributes = plan.attributes.clone();
            self.policies.insert(policy, Policy { balancer, attributes, endpoints: Endpoints::default() })?;
            Ok(plan)
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn endpoints(&self, policy: u32, generation: u64, endpoints: Vec<Endpoint>) {
        self.policies.call(policy, |p| {
            p.endpoints.replace(generation, endpoints);
            p.balancer.endpoints(&p.endpoints);
        });
    }

    pub fn changes(&self, policy: u32, base: u64, generation: u64, changes: &[Change]) -> bool {
        self.policies.call(policy, |p| {
            let fits = p.endpoints.apply(base, generation, changes);
            if fits {
                p.balancer.changes(&p.endpoints, changes);
            }
            fits
        })
    }

    pub fn prepare(&self, policy: u32) -> Vec<u32> {
        self.policies.call(policy, |p| p.balancer.prepare())
    }

    pub fn adopt(&self, policy: u32, prepared: Vec<u32>) {
        self.policies.call(policy, |p| p.balancer.adopt(prepared));
    }

    #[inline]
    pub fn pick(&self, policy: u32, key: Option<u64>, attempt: u32, tried: &[u32]) -> Option<Choice> {
        self.policies.call(policy, |p| {
            let keys = std::slice::from_ref(&key);
            let request = Request::new(&[], &[]);
            p.balancer.pick(&Pick { key, keys, request, attempt, tried, endpoints: &p.endpoints })
        })
    }

    pub fn pick_for(&self, policy: u32, question: &Question) -> Option<Choice> {
        self.policies.call(policy, |p| {
            let Question { attributes, keys, attempt, tried } = question;
            let request = Request::new(&p.attributes, attributes);
            let key = keys.iter().copied().flatten().next();
            p.balancer.pick(&Pick { key, keys, request, attempt: *attempt, tried, endpoints: &p.endpoints })
        })
    }

    pub fn tick(&self, policy: u32, now_ms: u64) {
        self.policies.call(policy, |p| p.balancer.tick(now_ms, &p.endpoints));
    }

    pub fn outcomes(&self, policy: u32, batch: &[Outcome]) {
        self.policies.call(policy, |p| p.balancer.outcomes(batch));
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.balancer.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.balancer.restore(state))
    }
}
