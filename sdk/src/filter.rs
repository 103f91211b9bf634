use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

pub use crate::wit::filter::{Answer, Call, CallError, ChunkVerdict, Edit, Ending, Phases, Reply, Verdict};

use crate::policies::Policies;
use crate::wit::filter::Plan;
use crate::{Attribute, ConfigError, ConfigErrors, Header, JsonSchema, Request, config};

/// Changes requests and responses on their way. One exchange is one request with its response.
pub trait Filter: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;
    /// What is kept for one exchange; `()` when nothing is.
    type Exchange: Default;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// What the filter takes part in. Asked once; phases it does not name cost nothing.
    fn plan(&self) -> FilterPlan;

    fn request_head(&mut self, _exchange: &mut Self::Exchange, _request: &Request<'_>) -> Verdict {
        Verdict::Proceed(Vec::new())
    }

    /// `last` marks the end of the body; the chunk may be empty then.
    fn request_body(&mut self, _exchange: &mut Self::Exchange, _chunk: &[u8], _last: bool) -> ChunkVerdict {
        ChunkVerdict::Keep
    }

    /// Fields behind the body of the request, if there are any.
    fn request_trailers(&mut self, _exchange: &mut Self::Exchange, _trailers: &[Header]) -> Verdict {
        Verdict::Proceed(Vec::new())
    }

    fn response_head(&mut self, _exchange: &mut Self::Exchange, _response: &Response<'_>) -> Verdict {
        Verdict::Proceed(Vec::new())
    }

    /// `last` marks the end of the body; the chunk may be empty then.
    fn response_body(&mut self, _exchange: &mut Self::Exchange, _chunk: &[u8], _last: bool) -> ChunkVerdict {
        ChunkVerdict::Keep
    }

    /// Fields behind the body of the response, if there are any.
    fn response_trailers(&mut self, _exchange: &mut Self::Exchange, _trailers: &[Header]) -> Verdict {
        Verdict::Proceed(Vec::new())
    }

    /// What came of a [`Verdict::Call`]; the verdict takes the place of that one.
    fn answered(&mut self, _exchange: &mut Self::Exchange, _answer: Result<Answer, CallError>) -> Verdict {
        Verdict::Proceed(Vec::new())
    }

    /// Last call of an exchange in any case.
    fn end(&mut self, _exchange: Self::Exchange, _ending: Ending) {}

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// What a filter takes part in.
#[derive(Clone, Debug)]
pub struct FilterPlan {
    pub phases: Phases,
    /// What [`Filter::request_head`] wants to see.
    pub attributes: Vec<Attribute>,
    /// Lower-case names of the response headers that [`Filter::response_head`] wants to see.
    pub response_headers: Vec<String>,
    /// The most that [`ChunkVerdict::Wait`] may hold back of a body, in bytes.
    pub buffer_bytes: u32,
    /// Names of the clusters that [`Call::cluster`] counts in.
    pub clusters: Vec<String>,
}

impl FilterPlan {
    /// Takes part in these phases, and sees nothing of the heads yet.
    pub const fn new(phases: Phases) -> Self {
        Self { phases, attributes: Vec::new(), response_headers: Vec::new(), buffer_bytes: 0, clusters: Vec::new() }
    }
}

/// The head of a response, as far as the filter asked to see it.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    pub status: u16,
    wanted: &'a [String],
    values: &'a [Option<Vec<u8>>],
}

impl<'a> Response<'a> {
    /// Value of the header at this place of [`FilterPlan::response_headers`].
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.values.get(index)?.as_deref()
    }

    /// Value of a declared header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.get(self.wanted.iter().position(|wanted| wanted == name)?)
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T: Filter> {
    policies: Policies<Policy<T>>,
}

struct Policy<T: Filter> {
    filter: T,
    attributes: Vec<Attribute>,
    response_headers: Vec<String>,
    exchanges: BTreeMap<u64, T::Exchange>,
}

impl<T: Filter> Policy<T> {
    /// Whether there is anything to keep for an exchange.
    const KEEPS: bool = size_of::<T::Exchange>() > 0;

    fn with_exchange<R>(&mut self, exchange: u64, call: impl FnOnce(&mut Self, &mut T::Exchange) -> R) -> R {
        if !Self::KEEPS {
            return call(self, &mut T::Exchange::default());
        }
        let mut state = self.exchanges.remove(&exchange).unwrap_or_default();
        let result = call(self, &mut state);
        self.exchanges.insert(exchange, state);
        result
    }
}

impl<T: Filter> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let filter = T::new(config::parse(config)?)?;
            let FilterPlan { mut phases, attributes, response_headers, buffer_bytes, clusters } = filter.plan();
            if Policy::<T>::KEEPS {
                // Without the last call nothing would ever be forgotten.
                phases = phases | Phases::END;
            }
            let plan = Plan {
                phases,
                attributes: attributes.clone(),
                response_headers: response_headers.clone(),
                buffer_bytes,
                clusters,
                more: Vec::new(),
            };
            let exchanges = BTreeMap::new();
            self.policies.insert(policy, Policy { filter, attributes, response_headers, exchanges })?;
            Ok(plan)
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn request_head(&self, policy: u32, exchange: u64, values: &[Option<Vec<u8>>]) -> Verdict {
        self.policies.call_or(policy, Verdict::Proceed(Vec::new()), |p| {
            p.with_exchange(exchange, |p, state| p.filter.request_head(state, &Request::new(&p.attributes, values)))
        })
    }

    pub fn request_body(&self, policy: u32, exchange: u64, chunk: &[u8], last: bool) -> ChunkVerdict {
        self.policies.call_or(policy, ChunkVerdict::Keep, |p| {
            p.with_exchange(exchange, |p, state| p.filter.request_body(state, chunk, last))
        })
    }

    pub fn response_head(&self, policy: u32, exchange: u64, status: u16, values: &[Option<Vec<u8>>]) -> Verdict {
        self.policies.call_or(policy, Verdict::Proceed(Vec::new()), |p| {
            p.with_exchange(exchange, |p, state| {
                p.filter.response_head(state, &Response { status, wanted: &p.response_headers, values })
            })
        })
    }

    pub fn response_body(&self, policy: u32, exchange: u64, chunk: &[u8], last: bool) -> ChunkVerdict {
        self.policies.call_or(policy, ChunkVerdict::Keep, |p| {
            p.with_exchange(exchange, |p, state| p.filter.response_body(state, chunk, last))
        })
    }

    pub fn request_trailers(&self, policy: u32, exchange: u64, trailers: &[Header]) -> Verdict {
        self.policies.call_or(policy, Verdict::Proceed(Vec::new()), |p| {
            p.with_exchange(exchange, |p, state| p.filter.request_trailers(state, trailers))
        })
    }

    pub fn response_trailers(&self, policy: u32, exchange: u64, trailers: &[Header]) -> Verdict {
        self.policies.call_or(policy, Verdict::Proceed(Vec::new()), |p| {
            p.with_exchange(exchange, |p, state| p.filter.response_trailers(state, trailers))
        })
    }

    pub fn answered(&self, policy: u32, exchange: u64, answer: Result<Answer, CallError>) -> Verdict {
        self.policies.call_or(policy, Verdict::Proceed(Vec::new()), |p| {
            p.with_exchange(exchange, |p, state| p.filter.answered(state, answer))
        })
    }

    pub fn end(&self, policy: u32, exchange: u64, ending: Ending) {
        self.policies.call(policy, |p| {
            let state = p.exchanges.remove(&exchange).unwrap_or_default();
            p.filter.end(state, ending);
        });
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.filter.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.filter.restore(state))
    }
}
