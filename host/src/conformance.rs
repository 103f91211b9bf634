//! Components, run as the proxy runs them, as subjects of the conformance suite.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_conformance::{self as suite, CreateFailure, Settings, Subject};

use crate::plugin::{
    Balancer, BalancerOnTrial, CreateError, Engine, Grants, Instance, Limits, PickRequest, Plugin, PolicyConfig, Role,
    Services, Source, describe,
};
use crate::snapshot::{Availability, Change, Endpoint, EndpointCounters, EndpointSet, Outcome, OutcomeClass};

/// A plugin that is to be held against the suite, as the proxy has loaded it. Its instances share nothing with those that
/// serve.
#[derive(Debug)]
pub struct Component {
    plugin: Arc<Plugin>,
    /// Without it nobody ends a call that does not end by itself.
    _engine: Engine,
    /// What the configuration uses it for.
    uses: Vec<PolicyConfig>,
}

impl Component {
    /// With every import granted.
    pub fn load(bytes: &[u8]) -> anyhow::Result<Self> {
        let (engine, services) = (Engine::new()?, Arc::new(Services::for_trial(0)));
        let plugin =
            Plugin::load(&engine, &services, None, bytes, Source::Upload, Grants::everything(), Limits::default())?;
        Ok(Self::new(engine, Arc::new(plugin), Vec::new()))
    }

    /// As loaded by this engine, with what the configuration uses it for.
    pub fn new(engine: Engine, plugin: Arc<Plugin>, uses: Vec<PolicyConfig>) -> Self {
        Self { plugin, _engine: engine, uses }
    }

    /// Holds it against the suite. Takes from parts of a second to a minute of processor time: not for a worker's thread.
    pub fn run(&self, settings: &Settings) -> suite::Report {
        let report = suite::run(&OnTrial { component: self, seed: settings.seed }, settings);
        // What it did on trial is not to be held against what it does in service.
        self.plugin.breaker.release();
        report
    }

    pub fn roles(&self) -> Vec<String> {
        self.plugin.roles.iter().map(ToString::to_string).collect()
    }
}

struct OnTrial<'a> {
    component: &'a Component,
    seed: u64,
}

impl OnTrial<'_> {
    fn start(&self, worker: u32) -> Result<(Instance, Arc<Services>), CreateFailure> {
        // A fault in one check is none in the next.
        self.component.plugin.breaker.release();
        let services = Arc::new(Services::for_trial(self.seed));
        let instance = Instance::start(self.component.plugin.clone(), services.clone(), worker);
        instance.map(|instance| (instance, services)).map_err(CreateFailure::Failed)
    }

    fn add_policy(&self, instance: &mut Instance, role: Role, config: &str) -> Result<u32, CreateFailure> {
        let config = PolicyConfig {
            role,
            scope: "conformance".into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: self.component.uses.first().map(|of| of.known_clusters.clone()).unwrap_or_default(),
        };
        instance.add_policy(config, Arc::default()).map_err(|error| match error {
            CreateError::Failed(_) => CreateFailure::Failed(error.to_string()),
            CreateError::MissingRole | CreateError::Refused(_) => CreateFailure::Refused(error.to_string()),
        })
    }
}

fn role(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|known| known.as_str() == name)
}

impl Subject for OnTrial<'_> {
    fn roles(&self) -> Vec<String> {
        self.component.roles()
    }

    fn digest(&self) -> String {
        self.component.plugin.digest.clone()
    }

    fn describe(&self) -> Result<suite::Description, String> {
        let manifest = describe(&self.component.plugin, &Arc::new(Services::for_trial(self.seed)))?;
        let schemas = manifest.config_schemas.into_iter().map(|(role, schema)| (role.to_string(), schema));
        Ok(suite::Description {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            config_schemas: schemas.collect(),
        })
    }

    fn config_in_use(&self, name: &str) -> Option<String> {
        let role = role(name)?;
        self.component.uses.iter().find(|of| of.role == role).map(|of| of.config.to_string())
    }

    fn create(&self, name: &str, config: &str) -> Result<(), CreateFailure> {
        match role(name) {
            // The host does not run filters yet.
            None | Some(Role::Filter) => Ok(()),
            Some(role) => {
                let (mut instance, _) = self.start(0)?;
                self.add_policy(&mut instance, role, config).map(drop)
            }
        }
    }

    fn balancers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn suite::Balancer>>, CreateFailure> {
        let (mut instance, services) = self.start(worker)?;
        let mut policies = Vec::new();
        for _ in 0..count {
            policies.push(self.add_policy(&mut instance, Role::Balancer, config)?);
        }
        let instance = Rc::new(RefCell::new(instance));
        let under_test = |policy| {
            Box::new(UnderTest {
                balancer: Balancer::new(instance.clone(), policy),
                trial: BalancerOnTrial::new(instance.clone(), policy),
                services: services.clone(),
                config: config.to_owned(),
                told: Arc::default(),
                counters: HashMap::new(),
            }) as Box<dyn suite::Balancer>
        };
        Ok(policies.into_iter().map(under_test).collect())
    }
}

struct UnderTest {
    balancer: Balancer,
    trial: BalancerOnTrial,
    services: Arc<Services>,
    config: String,
    told: Arc<EndpointSet>,
    /// By slot; they are the endpoint's for its life.
    counters: HashMap<u32, Arc<EndpointCounters>>,
}

/// Slots above it are not for a set, which has a place for each below the highest.
const LARGEST_SLOT: u32 = 1 << 12;

impl UnderTest {
    fn translated(&mut self, endpoints: &[suite::Endpoint]) -> Vec<Endpoint> {
        let translated: Vec<Endpoint> = endpoints.iter().map(|endpoint| self.translate(endpoint)).collect();
        self.counters.retain(|slot, _| endpoints.iter().any(|endpoint| endpoint.slot == *slot));
        translated
    }

    fn translate(&mut self, endpoint: &suite::Endpoint) -> Endpoint {
        let known = self.told.get(endpoint.slot).is_some_and(|told| *told.id == *endpoint.id);
        if !known {
            self.counters.remove(&endpoint.slot);
        }
        Endpoint {
            slot: endpoint.slot,
            id: endpoint.id.as_str().into(),
            id_hash: Endpoint::id_hash(&endpoint.id),
            address: endpoint.address,
            weight: endpoint.weight,
            ramp: endpoint.ramp,
            availability: match endpoint.availability {
                suite::Availability::Ready => Availability::Ready,
                suite::Availability::Draining => Availability::Draining,
                suite::Availability::Unavailable => Availability::Unavailable,
            },
            max_connections: 0,
            priority: endpoint.priority,
            zone: "".into(),
            metadata: Arc::new([]),
            counters: self.counters.entry(endpoint.slot).or_default().clone(),
        }
    }
}

fn set(generation: u64, endpoints: &[Endpoint]) -> Arc<EndpointSet> {
    let small = endpoints.iter().filter(|endpoint| endpoint.slot <= LARGEST_SLOT);
    Arc::new(EndpointSet::new(generation, small.cloned().map(Arc::new)))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

impl suite::Balancer for UnderTest {
    fn set_endpoints(&mut self, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        let endpoints = self.translated(endpoints);
        let after = set(self.told.generation() + 1, &endpoints);
        let before = std::mem::replace(&mut self.told, after.clone());
        self.trial.tell(&before, &after).map_err(text)
    }

    fn replace_endpoints(&mut self, generation: u64, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        let endpoints = self.translated(endpoints);
        self.told = set(generation, &endpoints);
        self.trial.replace(generation, &endpoints, &self.told).map_err(text)
    }

    fn remove(&mut self, base: u64, slot: u32) -> Result<bool, String> {
        self.trial.change(base, base.wrapping_add(1), &[Change::Removed(slot)]).map_err(text)
    }

    fn generation(&self) -> u64 {
        self.told.generation()
    }

    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String> {
        let choice = self.balancer.pick(PickRequest { key, tried }).map_err(text)?;
        Ok(choice.map(|choice| choice.slot))
    }

    fn wants_outcomes(&self) -> bool {
        self.balancer.wants_outcomes()
    }

    fn outcomes(&mut self, batch: &[suite::Outcome]) -> Result<(), String> {
        let batch: Vec<Outcome> = batch.iter().map(outcome).collect();
        for outcome in &batch {
            if let Some(counters) = self.counters.get(&outcome.slot) {
                match outcome.class {
                    OutcomeClass::Success => counters.sample_first_byte(outcome.first_byte_us),
                    OutcomeClass::ClientAbort => {}
                    _ => counters.count_failure(),
                }
            }
        }
        // Who did not ask is not told.
        if self.balancer.wants_outcomes() { self.trial.outcomes(&batch).map_err(text) } else { Ok(()) }
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        self.trial.save().map_err(text)
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        self.trial.restore(state).map_err(text)
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.told = Arc::default();
        self.counters.clear();
        self.trial.create_again(&self.config)
    }

    fn set_in_flight(&mut self, slot: u32, attempts: u32) {
        let Some(counters) = self.counters.get(&slot) else { return };
        while counters.in_flight() < attempts {
            counters.begin(0);
        }
        while counters.in_flight() > attempts {
            counters.end();
        }
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.services.set_now_ms(now_ms);
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.trial.memory_bytes()
    }
}

fn outcome(outcome: &suite::Outcome) -> Outcome {
    Outcome {
        slot: outcome.slot,
        class: match outcome.class {
            suite::OutcomeClass::Success => OutcomeClass::Success,
            suite::OutcomeClass::ServerError => OutcomeClass::ServerError,
            suite::OutcomeClass::ConnectFailure => OutcomeClass::ConnectFailure,
            suite::OutcomeClass::Timeout => OutcomeClass::Timeout,
            suite::OutcomeClass::Reset => OutcomeClass::Reset,
            suite::OutcomeClass::ClientAbort => OutcomeClass::ClientAbort,
        },
        status: outcome.status,
        first_byte_us: outcome.first_byte_us,
        total_us: outcome.total_us,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_conformance::Profile;
    use plimsoll_tests::{Endpoint as Origin, Nginx, get};

    use super::*;
    use crate::builtin;

    /// Kinds that a built-in balancer must show itself to be, each with its default configuration.
    fn kinds(name: &str) -> &'static [Profile] {
        use Profile::{
            Consistent, Latency, Least, Minimal, Numbered, Proportional, Ramp, Smooth, Spread, Uniform, Weighted,
        };
        match name {
            "round-robin" => &[Weighted, Smooth, Uniform, Ramp, Spread],
            "static-round-robin" => &[Weighted, Uniform, Spread],
            "random" => &[Weighted, Uniform, Ramp, Spread],
            "least-connections" => &[Weighted, Smooth, Uniform, Ramp, Spread, Least],
            "least-request" => &[Weighted, Uniform, Ramp, Spread, Least],
            // A light endpoint gets nothing of it, as in nginx, until the others have that much more under way.
            "least-time" => &[Uniform, Spread, Least, Latency],
            "peak-ewma" => &[Weighted, Uniform, Ramp, Spread, Least, Latency],
            "maglev" => &[Consistent, Proportional, Ramp],
            "ring-hash" | "rendezvous" => &[Consistent, Proportional, Minimal, Ramp],
            "jump-hash" => &[Numbered, Proportional, Minimal, Ramp],
            _ => &[],
        }
    }

    #[test]
    fn every_built_in_plugin_conforms_and_is_of_the_kinds_that_it_is_meant_to_be() {
        for (name, bytes) in builtin::PLUGINS {
            let config = (*name == "rules").then(|| "{\"routes\":[{\"respond\":{\"status\":200}}]}".to_owned());
            // Less than a release build would do: guests run at full speed here, what calls them does not.
            let settings = Settings { steps: Some(2000), config, ..Settings::default() };
            let report = Component::load(bytes).expect("built-in plugins load").run(&settings);
            assert!(report.passed(), "{name}:\n{report}");
            for profile in kinds(name) {
                let choice = report.profiles.iter().find(|choice| choice.profile == *profile);
                assert!(choice.is_some_and(|choice| choice.taken), "{name} is not {profile}:\n{report}");
            }
        }
    }

    #[test]
    fn the_consistent_built_ins_keep_to_the_bound_that_they_are_given() {
        for (name, bytes) in builtin::PLUGINS.iter().filter(|(name, _)| kinds(name).contains(&Profile::Proportional)) {
            let settings = Settings {
                config: Some(r#"{"hash_balance_factor":125}"#.into()),
                only: vec!["C6".into()],
                ..Settings::default()
            };
            let report = Component::load(bytes).expect("built-in plugins load").run(&settings);
            assert_eq!(report.properties[0].verdict, suite::Verdict::Passed, "{name}:\n{report}");
        }
    }

    fn built_in(name: &str) -> Component {
        let (_, bytes) = builtin::PLUGINS.iter().find(|(known, _)| *known == name).expect("a built-in plugin");
        Component::load(bytes).expect("built-in plugins load")
    }

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    /// nginx in front of origins of these weights, with a method of choice; and the same origins as endpoints.
    fn nginx(method: &str, weights: [u32; 4]) -> (Nginx, Vec<Origin>, Vec<suite::Endpoint>) {
        let origins: Vec<Origin> = NAMES.iter().map(|name| Origin::named(name)).collect();
        let servers: String = origins
            .iter()
            .zip(weights)
            .map(|(origin, weight)| format!("server {} weight={weight}; ", origin.address()))
            .collect();
        let upstream = format!("upstream app {{ {method} {servers} }}");
        let nginx = Nginx::with_upstreams(&upstream, "location / { proxy_pass http://app; }", &[]);
        let endpoint = |(slot, origin): (u32, &Origin)| suite::Endpoint {
            address: origin.address(),
            weight: weights[slot as usize],
            ..suite::Endpoint::new(slot)
        };
        let endpoints = (0..).zip(&origins).map(endpoint).collect();
        (nginx, origins, endpoints)
    }

    fn pick(component: &Component, config: &str, endpoints: &[suite::Endpoint], keys: &[Option<u64>]) -> Vec<String> {
        let on_trial = OnTrial { component, seed: 1 };
        let mut balancer = on_trial.balancers(config, 0, 1).expect("a policy").remove(0);
        balancer.set_endpoints(endpoints).expect("endpoints are taken");
        let name = |key: &Option<u64>| {
            let slot = balancer.pick(*key, &[]).expect("an answer").expect("a choice");
            NAMES[slot as usize].to_owned()
        };
        keys.iter().map(name).collect()
    }

    #[test]
    fn round_robin_chooses_in_the_order_of_nginx() {
        let component = built_in("round-robin");
        for weights in [[5, 1, 1, 2], [1, 1, 1, 1], [7, 3, 9, 20]] {
            let (nginx, _origins, endpoints) = nginx("", weights);
            let picks = 2 * weights.iter().sum::<u32>() as usize;
            let of_nginx: Vec<String> = (0..picks).map(|_| get(nginx.address(), "/").text()).collect();
            let ours = pick(&component, r#"{"random_start":false}"#, &endpoints, &vec![None; picks]);
            assert_eq!(ours, of_nginx, "{weights:?}");
        }
    }

    /// CRC-32, bit by bit; what nginx hashes keys by.
    fn crc32(bytes: &[u8]) -> u32 {
        let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
    }

    #[test]
    fn ring_hash_leads_keys_to_where_nginx_does() {
        let component = built_in("ring-hash");
        for weights in [[1, 1, 1, 1], [1, 2, 1, 5]] {
            let (nginx, _origins, endpoints) = nginx("hash $arg_k consistent;", weights);
            let keys: Vec<String> = (0..300).map(|number| format!("user-{number}")).collect();
            let of_nginx: Vec<String> =
                keys.iter().map(|key| get(nginx.address(), &format!("/?k={key}")).text()).collect();
            let hashes: Vec<Option<u64>> = keys.iter().map(|key| Some(crc32(key.as_bytes()).into())).collect();
            assert_eq!(pick(&component, "{}", &endpoints, &hashes), of_nginx, "{weights:?}");
            assert!(NAMES.iter().all(|name| of_nginx.iter().any(|chosen| chosen == name)), "{of_nginx:?}");
        }
    }
}
