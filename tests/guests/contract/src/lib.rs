//! A plugin of every role, which uses all that the host offers. Built once for each version of the contract and kept in
//! `tests/fixtures/contract`, it shows that what was built for a version loads and works for ever.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{
    Choose, ChunkVerdict, DiscoveryAction, DiscoveryPlan, Edit, EndpointMode, FilterPlan, FoundEndpoint, Group,
    HealthPlan, HealthVerdict, OutwardAnswer, OutwardCall, OutwardError, Phases, ProbeAction, ProbeEvent, ProbeLoad,
    ProbeResult, Response, Target, Transition, Transport, Verdict,
};

/// The same for all roles.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the cluster that the router leads to.
    pub cluster: String,
}

/// Everything that the host offers, once.
fn use_all(slot: u32) {
    let node = host::node();
    host::log::info(&format!("{} {} {:?} {}", node.id, node.zone, node.worker, node.workers));
    host::log::debug("a");
    host::log::warn("b");
    host::log::error("c");
    host::count("asked", 1);
    host::gauge("level", 0.5);
    host::observe("size", 3.0);
    let keys = host::derive_key("label").map_or(0, |key| key.len());
    let read = host::in_flight(slot) + host::in_flight_pair(slot, slot).0 + host::first_byte_us(slot);
    let read =
        u64::from(read) + host::requests(slot) + host::failures(slot) + host::in_flight_many(&[slot]).len() as u64;
    let load = host::reported_load(slot).map_or(0, |load| load.cpu);
    let metric = host::reported_metric(slot, "named_metrics.queue").unwrap_or(0);
    let text = format!("{keys} {read} {load} {metric} {} {} {}", host::random(), host::now_ms(), host::unix_ms());
    let hour = Duration::from_secs(3600);
    host::table::put(b"last", text.as_bytes(), hour);
    host::table::add(b"sum", 1, hour);
    host::table::remove(b"gone");
    host::shared_table::put(b"last", &host::table::get(b"last").unwrap_or_default(), hour);
    host::shared_table::add(b"sum", 1, hour);
    host::shared_table::remove(b"gone");
    let _ = host::shared_table::get(b"last");
}

pub struct Every(Config);

impl Router for Every {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(config))
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Path, Attribute::Header("x-tenant".into())]
    }

    fn clusters(&self) -> Vec<String> {
        vec![self.0.cluster.clone()]
    }

    fn routes(&self) -> Vec<Route> {
        let mut all = Route::new("all");
        all.timeouts.request_ms = Some(5000);
        vec![all]
    }

    fn fallback(&self) -> Option<u32> {
        Some(0)
    }

    fn route(&mut self, _: &Request<'_>) -> Decision {
        use_all(0);
        Decision { action: Action::Forward(0), route: Some(0), repeatable: false }
    }

    fn save(&self) -> Vec<u8> {
        b"state".to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        state == b"state"
    }
}

pub struct First;

impl Balancer for First {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn reasons(&self) -> Vec<String> {
        vec!["first".to_owned()]
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let untried = ready.iter().find(|endpoint| !request.is_tried(endpoint.slot));
        untried.or(ready.first()).map(|endpoint| Choice::slot(endpoint.slot))
    }
}

pub struct Whole;

impl Partitioner for Whole {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        vec![Group { name: "all".to_owned(), slots: endpoints.iter().map(|endpoint| endpoint.slot).collect() }]
    }

    fn choose(&mut self, _: &Choose<'_>) -> Option<u32> {
        Some(0)
    }
}

pub struct Unbound;

impl Affinity for Unbound {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Cookie("sid".into()), Attribute::Route]
    }

    fn rewrites_requests(&self) -> bool {
        true
    }

    fn find(&mut self, _: &Request<'_>, _: &Endpoints) -> Binding {
        Binding::Unbound
    }

    fn prepare(&mut self, _: &Request<'_>) -> Vec<HeaderEdit> {
        vec![HeaderEdit::set("x-prepared", "yes")]
    }

    fn bind(&mut self, _: &Request<'_>, answer: &Answer<'_>, _: &Endpoints) -> Vec<HeaderEdit> {
        vec![HeaderEdit::append("x-slot", answer.slot.to_string())]
    }
}

pub struct Trusting;

impl Health for Trusting {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn plan(&self) -> HealthPlan {
        HealthPlan { outcomes: true, tick: Some(Duration::from_secs(1)), initial_probes: 0 }
    }

    fn probed(&mut self, _: u64, probe: &ProbeResult, _: &Endpoints) -> Vec<Transition> {
        vec![Transition {
            slot: probe.slot,
            verdict: if probe.passed { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy },
            evidence: plimsoll_sdk::Evidence::Probe,
            reason: "probed".to_owned(),
        }]
    }
}

pub struct Banner;

impl Prober for Banner {
    type Config = Config;
    type Session = ();

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _: &Target) -> ((), Vec<ProbeAction>) {
        ((), vec![ProbeAction::Send(b"hello".to_vec())])
    }

    fn advance(&mut self, (): &mut (), event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Received(_) => {
                let named = vec![("queue".to_owned(), 7000)];
                let load = ProbeLoad {
                    cpu: 1,
                    memory: 2,
                    utilization: 3,
                    requests_per_second: 4,
                    errors_per_second: 5,
                    named,
                };
                vec![
                    ProbeAction::Report(load),
                    ProbeAction::Enter(EndpointMode::Draining),
                    ProbeAction::Weigh(500),
                    ProbeAction::Admit(30),
                    ProbeAction::pass("greeted"),
                ]
            }
            ProbeEvent::Closed => vec![ProbeAction::fail("closed")],
            _ => Vec::new(),
        }
    }
}

pub struct Asking(Config);

impl Discovery for Asking {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(config))
    }

    fn plan(&self) -> DiscoveryPlan {
        DiscoveryPlan { clusters: vec![self.0.cluster.clone()], tick: Some(Duration::from_secs(1)) }
    }

    fn tick(&mut self, _: u64) -> Vec<DiscoveryAction> {
        vec![DiscoveryAction::Call(OutwardCall { authority: Some("a.test".into()), ..OutwardCall::get(7, 0, "/") })]
    }

    fn answered(&mut self, _: u64, _: u32, answer: Result<OutwardAnswer, OutwardError>) -> Vec<DiscoveryAction> {
        match answer {
            Ok(_) => vec![DiscoveryAction::Publish(vec![FoundEndpoint::at("10.0.0.1:80")])],
            Err(error) => vec![DiscoveryAction::Fail(error.as_str().to_owned())],
        }
    }
}

pub struct Through;

impl Filter for Through {
    type Config = Config;
    type Exchange = u32;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn plan(&self) -> FilterPlan {
        FilterPlan::new(Phases::REQUEST_HEAD | Phases::RESPONSE_HEAD)
    }

    fn request_head(&mut self, seen: &mut u32, _: &Request<'_>) -> Verdict {
        *seen += 1;
        Verdict::Proceed(vec![Edit::Remove("x-secret".to_owned())])
    }

    fn response_head(&mut self, _: &mut u32, _: &Response<'_>) -> Verdict {
        Verdict::Proceed(Vec::new())
    }

    fn request_body(&mut self, _: &mut u32, _: &[u8], _: bool) -> ChunkVerdict {
        ChunkVerdict::Keep
    }
}

plimsoll_sdk::plugin! {
    router: Every,
    balancer: First,
    partitioner: Whole,
    affinity: Unbound,
    health: Trusting,
    prober: Banner,
    discovery: Asking,
    filter: Through,
}
