use std::fmt;

use crate::{
    Action, Affinity, Attribute, Balancer, Binding, Change, Choice, ChunkVerdict, ConfigError, Decision, Discovery,
    DiscoveryAction, Ending, Endpoint, Filter, Group, HeaderEdit, Health, HealthPlan, Outcome, OutwardAnswer,
    OutwardError, Partitioner, ProbeAction, ProbeEvent, ProbeResult, Prober, Route, Router, Target, Tls, Transition,
    Transport, Verdict, affinity, balancer, discovery, filter, health, partitioner, prober, router,
};

/// The number of the one policy on a bench.
const POLICY: u32 = 0;

macro_rules! bench {
    ($(#[$doc:meta])* $name:ident, $trait:ident, $module:ident) => {
        $(#[$doc])*
        pub struct $name<T: $trait> {
            exports: $module::Exports<T>,
            plan: crate::wit::$module::Plan,
            #[allow(dead_code, reason = "some roles know nothing of endpoints")]
            generation: u64,
        }

        impl<T: $trait> $name<T> {
            /// A policy from its configuration in JSON.
            pub fn new(config: &str) -> Result<Self, Vec<ConfigError>> {
                let exports = $module::Exports::new();
                let plan = exports.create(POLICY, config)?;
                Ok(Self { exports, plan, generation: 0 })
            }

            pub fn save(&self) -> Vec<u8> {
                self.exports.save(POLICY)
            }

            pub fn restore(&mut self, state: &[u8]) -> bool {
                self.exports.restore(POLICY, state)
            }
        }

        impl<T: $trait> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("plan", &self.plan).finish_non_exhaustive()
            }
        }
    };
}

bench! {
    /// Runs a balancer.
    BalancerBench, Balancer, balancer
}
bench! {
    /// Runs a partitioner.
    PartitionerBench, Partitioner, partitioner
}
bench! {
    /// Runs an affinity.
    AffinityBench, Affinity, affinity
}
bench! {
    /// Runs a router.
    RouterBench, Router, router
}
bench! {
    /// Runs a health policy.
    HealthBench, Health, health
}
bench! {
    /// Runs a prober.
    ProberBench, Prober, prober
}
bench! {
    /// Runs a discovery.
    DiscoveryBench, Discovery, discovery
}
bench! {
    /// Runs a filter.
    FilterBench, Filter, filter
}

/// Values in the order of what was declared; those that are not given are absent.
fn values_of(wanted: &[Attribute], given: &[(Attribute, &str)]) -> Vec<Option<Vec<u8>>> {
    let value =
        |wanted| given.iter().find(|(attribute, _)| attribute == wanted).map(|(_, value)| value.as_bytes().into());
    wanted.iter().map(value).collect()
}

impl<T: Balancer> BalancerBench<T> {
    /// The endpoints are now these.
    pub fn endpoints(&mut self, endpoints: &[Endpoint]) {
        self.generation += 1;
        self.exports.endpoints(POLICY, self.generation, endpoints.to_vec());
    }

    /// The endpoints changed so. Answers what the policy answered.
    pub fn changes(&mut self, changes: &[Change]) -> bool {
        self.generation += 1;
        self.exports.changes(POLICY, self.generation - 1, self.generation, changes)
    }

    /// What another policy may adopt before it is told the same endpoints; nothing from one that does not prepare.
    pub fn prepare(&self) -> Vec<u32> {
        if self.plan.prepares { self.exports.prepare(POLICY) } else { Vec::new() }
    }

    /// Hands over what [`Self::prepare`] gave, for the endpoints that come next.
    pub fn adopt(&mut self, prepared: &[u32]) {
        self.exports.adopt(POLICY, prepared.to_vec());
    }

    pub fn pick(&mut self, key: Option<u64>) -> Option<Choice> {
        self.exports.pick(POLICY, key, 1, &[])
    }

    /// For a request with these attributes; what the policy did not declare is left out.
    pub fn pick_for(&mut self, attributes: &[(Attribute, &str)], keys: &[Option<u64>]) -> Option<Choice> {
        let question = crate::wit::balancer::Question {
            attributes: values_of(&self.plan.attributes, attributes),
            keys: keys.to_vec(),
            attempt: 1,
            tried: Vec::new(),
        };
        self.exports.pick_for(POLICY, &question)
    }

    pub fn tick(&mut self, now_ms: u64) {
        self.exports.tick(POLICY, now_ms);
    }

    /// The slot of [`Self::pick`].
    pub fn pick_slot(&mut self, key: Option<u64>) -> Option<u32> {
        self.pick(key).map(|choice| choice.slot)
    }

    /// A further attempt, after these slots failed.
    pub fn pick_again(&mut self, key: Option<u64>, tried: &[u32]) -> Option<u32> {
        let attempt = u32::try_from(tried.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.exports.pick(POLICY, key, attempt.max(2), tried).map(|choice| choice.slot)
    }

    pub fn outcomes(&mut self, outcomes: &[Outcome]) {
        self.exports.outcomes(POLICY, outcomes);
    }

    pub fn wants_outcomes(&self) -> bool {
        self.plan.outcomes
    }

    /// The word for the reason of a choice.
    pub fn reason(&self, choice: Choice) -> Option<&str> {
        self.plan.reasons.get(choice.reason as usize).map(String::as_str)
    }
}

impl<T: Partitioner> PartitionerBench<T> {
    /// The endpoints are now these. Answers the groups.
    pub fn endpoints(&mut self, endpoints: &[Endpoint]) -> Vec<Group> {
        self.generation += 1;
        let groups = self.exports.endpoints(POLICY, self.generation, endpoints.to_vec());
        groups.into_iter().map(|group| Group { name: group.name, slots: group.slots }).collect()
    }

    /// Whether the host is to refuse requests while the policy has failed.
    pub fn is_strict(&self) -> bool {
        self.plan.strict
    }

    /// The group for a first attempt at a request with these attributes.
    pub fn choose(&mut self, attributes: &[(Attribute, &str)]) -> Option<u32> {
        self.exports.choose(POLICY, &values_of(&self.plan.attributes, attributes), None, 1)
    }
}

impl<T: Affinity> AffinityBench<T> {
    /// The endpoints are now these.
    pub fn endpoints(&mut self, endpoints: &[Endpoint]) {
        self.generation += 1;
        self.exports.endpoints(POLICY, self.generation, endpoints.to_vec());
    }

    /// The endpoints changed so. Answers what the policy answered.
    pub fn changes(&mut self, changes: &[Change]) -> bool {
        self.generation += 1;
        self.exports.changes(POLICY, self.generation - 1, self.generation, changes)
    }

    /// A request with these attributes; what the policy did not declare is left out.
    pub fn find(&mut self, attributes: &[(Attribute, &str)]) -> Binding {
        self.exports.find(POLICY, &values_of(&self.plan.attributes, attributes))
    }

    /// As [`Self::find`], with values that need not be text, in the order of the declaration.
    pub fn find_bytes(&mut self, values: &[Option<&[u8]>]) -> Binding {
        let values: Vec<_> = values.iter().map(|value| value.map(<[u8]>::to_vec)).collect();
        self.exports.find(POLICY, &values)
    }

    /// What the endpoint is to see of a request with these attributes.
    pub fn prepare(&mut self, attributes: &[(Attribute, &str)]) -> Vec<HeaderEdit> {
        self.exports.prepare(POLICY, &values_of(&self.plan.attributes, attributes))
    }

    /// The slot answered, with none of the headers that were declared.
    pub fn bind(&mut self, attributes: &[(Attribute, &str)], slot: u32) -> Vec<HeaderEdit> {
        self.answered(attributes, slot, &[])
    }

    /// The slot answered with these fields; what the policy did not declare is left out.
    pub fn answered(
        &mut self,
        attributes: &[(Attribute, &str)],
        slot: u32,
        fields: &[(&str, &str)],
    ) -> Vec<HeaderEdit> {
        let of = |wanted: &String| {
            fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_bytes().to_vec()).collect()
        };
        let response: Vec<Vec<Vec<u8>>> = self.plan.response_headers.iter().map(of).collect();
        self.exports.bind(POLICY, &values_of(&self.plan.attributes, attributes), slot, &response)
    }

    pub fn response_headers(&self) -> &[String] {
        &self.plan.response_headers
    }

    pub fn rewrites_requests(&self) -> bool {
        self.plan.rewrites_requests
    }

    pub fn attributes(&self) -> &[Attribute] {
        &self.plan.attributes
    }
}

impl<T: Router> RouterBench<T> {
    /// A request with these attributes; what the policy did not declare is left out.
    pub fn route(&mut self, attributes: &[(Attribute, &str)]) -> Decision {
        self.exports.route(POLICY, &values_of(&self.plan.attributes, attributes))
    }

    /// The cluster that a decision forwards to.
    pub fn cluster(&self, decision: &Decision) -> Option<&str> {
        let Action::Forward(index) = decision.action else { return None };
        self.plan.clusters.get(index as usize).map(String::as_str)
    }

    /// The label of the route that took part in a decision.
    pub fn label(&self, decision: &Decision) -> Option<&str> {
        self.settings(decision).map(|route| route.label.as_str())
    }

    pub fn attributes(&self) -> &[Attribute] {
        &self.plan.attributes
    }

    pub fn clusters(&self) -> &[String] {
        &self.plan.clusters
    }

    /// The route that took part in a decision.
    pub fn settings(&self, decision: &Decision) -> Option<&Route> {
        self.plan.routes.get(decision.route? as usize)
    }

    pub fn routes(&self) -> &[Route] {
        &self.plan.routes
    }

    /// Labels of the routes.
    pub fn labels(&self) -> Vec<&str> {
        self.plan.routes.iter().map(|route| route.label.as_str()).collect()
    }

    /// The cluster that requests go to while the plugin cannot be asked.
    pub fn fallback(&self) -> Option<&str> {
        self.plan.clusters.get(self.plan.fallback? as usize).map(String::as_str)
    }
}

impl<T: Health> HealthBench<T> {
    /// The endpoints are now these.
    pub fn endpoints(&mut self, endpoints: &[Endpoint]) {
        self.generation += 1;
        self.exports.endpoints(POLICY, self.generation, endpoints.to_vec());
    }

    /// A probe of the slot ended.
    pub fn probed(&mut self, now_ms: u64, slot: u32, passed: bool) -> Vec<Transition> {
        self.exports.probed(POLICY, now_ms, &ProbeResult { slot, passed, took_us: 1000, detail: String::new() })
    }

    pub fn outcomes(&mut self, now_ms: u64, outcomes: &[Outcome]) -> Vec<Transition> {
        self.exports.outcomes(POLICY, now_ms, outcomes)
    }

    pub fn tick(&mut self, now_ms: u64) -> Vec<Transition> {
        self.exports.tick(POLICY, now_ms)
    }

    pub fn plan(&self) -> HealthPlan {
        HealthPlan {
            outcomes: self.plan.outcomes,
            tick: self.plan.tick_ms.map(|ms| crate::Duration::from_millis(ms.into())),
            initial_probes: self.plan.initial_probes,
        }
    }
}

impl<T: Prober> ProberBench<T> {
    /// A probe of `10.0.0.1:80` in the cluster `api` begins.
    pub fn open(&mut self, session: u32) -> Vec<ProbeAction> {
        let target = Target { address: "10.0.0.1:80".into(), id: "a".into(), cluster: "api".into() };
        self.exports.open(POLICY, session, &target)
    }

    pub fn advance(&mut self, session: u32, event: ProbeEvent) -> Vec<ProbeAction> {
        self.exports.advance(POLICY, session, event)
    }

    pub fn close(&mut self, session: u32) {
        self.exports.close(POLICY, session);
    }

    /// How it wants TLS to be spoken, if it says so.
    pub fn tls(&self) -> Option<&Tls> {
        self.plan.tls.as_ref()
    }

    pub fn transport(&self) -> Transport {
        self.plan.transport
    }
}

impl<T: Discovery> DiscoveryBench<T> {
    /// Its interval has passed.
    pub fn tick(&mut self) -> Vec<DiscoveryAction> {
        self.generation += 1;
        self.exports.tick(POLICY, self.now_ms())
    }

    /// What came of a call.
    pub fn answered(&mut self, number: u32, answer: Result<OutwardAnswer, OutwardError>) -> Vec<DiscoveryAction> {
        self.exports.answered(POLICY, self.now_ms(), number, answer)
    }

    pub fn clusters(&self) -> &[String] {
        &self.plan.clusters
    }

    fn now_ms(&self) -> u64 {
        self.generation * u64::from(self.plan.tick_ms.unwrap_or(0))
    }
}

impl<T: Filter> FilterBench<T> {
    /// A request with these attributes; what the policy did not declare is left out.
    pub fn request_head(&mut self, exchange: u64, attributes: &[(Attribute, &str)]) -> Verdict {
        self.exports.request_head(POLICY, exchange, &values_of(&self.plan.attributes, attributes))
    }

    pub fn request_body(&mut self, exchange: u64, chunk: &[u8], last: bool) -> ChunkVerdict {
        self.exports.request_body(POLICY, exchange, chunk, last)
    }

    /// A response with these headers; what the policy did not declare is left out.
    pub fn response_head(&mut self, exchange: u64, status: u16, headers: &[(&str, &str)]) -> Verdict {
        let value = |wanted| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_bytes().into());
        let values: Vec<_> = self.plan.response_headers.iter().map(value).collect();
        self.exports.response_head(POLICY, exchange, status, &values)
    }

    pub fn response_body(&mut self, exchange: u64, chunk: &[u8], last: bool) -> ChunkVerdict {
        self.exports.response_body(POLICY, exchange, chunk, last)
    }

    pub fn end(&mut self, exchange: u64, ending: Ending) {
        self.exports.end(POLICY, exchange, ending);
    }
}
