//! What a recording of a plugin is made of: events, one a line, as JSON.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::policy::{PolicyConfig, Role};
use super::values::AttributeValues;
use crate::snapshot::{
    Availability, Endpoint, EndpointCounters, EndpointSet, LoadReport, Named, Outcome, OutcomeClass, Reported,
};
use crate::timer;

/// Version of the shape.
pub const RECORDING_FORMAT: u32 = 1;

/// What happens to the instance that is recorded, in order. Times are those of its clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line of all.
    Recording {
        format: u32,
        plugin: String,
        version: String,
        digest: String,
    },
    /// What follows is about an instance that was started then; until the next one of these.
    Instance {
        worker: u32,
        seed: u64,
        at_ms: u64,
    },
    /// A policy is created.
    Policy {
        policy: u32,
        config: RecordedConfig,
        endpoints: RecordedEndpoints,
    },
    /// Another one like it is created, for a part of its cluster.
    Part {
        of: u32,
        policy: u32,
        part: String,
        endpoints: RecordedEndpoints,
    },
    /// A policy is handed what the live version has saved.
    Restore {
        role: String,
        scope: String,
        state: String,
    },
    Endpoints {
        policy: u32,
        at_ms: u64,
        endpoints: RecordedEndpoints,
    },
    Remove {
        policy: u32,
    },
    /// Counters of endpoints are others than before, by slots.
    Counters {
        policy: u32,
        counters: Vec<(u32, Counters)>,
    },
    /// Endpoints, by slots, have said something else of their load than before.
    Loads {
        policy: u32,
        loads: Vec<(u32, RecordedLoad)>,
    },
    /// A policy hears that time has passed.
    Tick {
        policy: u32,
        at_ms: u64,
    },
    Outcomes {
        policy: u32,
        at_ms: u64,
        outcomes: Vec<RecordedOutcome>,
    },
    /// It has decided; beside it what the live version has decided.
    Decision {
        policy: u32,
        at_ms: u64,
        asked: Asked,
        answer: String,
        live: String,
    },
}

/// In flight, microseconds to the first byte, requests, failures.
pub(super) type Counters = (u32, u32, u64, u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    Pick {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        key: Option<u64>,
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        tried: Vec<u32>,
        /// All keys, where the policy wants them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        keys: Option<Vec<Option<u64>>>,
        /// As of routes.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        values: Vec<Option<String>>,
    },
    /// Values of the attributes that the policy wants, in Base64.
    Route { values: Vec<Option<String>> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedConfig {
    role: String,
    scope: String,
    config: String,
    clusters: BTreeMap<String, u32>,
    of_connections: bool,
    /// What a router or a balancer wants to see.
    pub attributes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedEndpoints {
    generation: u64,
    endpoints: Vec<RecordedEndpoint>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RecordedEndpoint {
    slot: u32,
    id: String,
    address: std::net::SocketAddr,
    host: String,
    weight: u32,
    ramp: u32,
    availability: Availability,
    is_unhealthy: bool,
    priority: u32,
    max_connections: u32,
    zone: String,
    metadata: Vec<(String, String)>,
    counters: Counters,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    load: Option<RecordedLoad>,
}

/// What an endpoint has said of its load, and when by the clock of the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedLoad {
    at_ms: u64,
    load: LoadReport,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    named: Named,
}

/// Slot, class, status, microseconds to the first byte and to the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedOutcome(u32, u8, u16, u32, u32);

const CLASSES: [OutcomeClass; 6] = [
    OutcomeClass::Success,
    OutcomeClass::ServerError,
    OutcomeClass::ConnectFailure,
    OutcomeClass::Timeout,
    OutcomeClass::Reset,
    OutcomeClass::ClientAbort,
];

impl RecordedConfig {
    pub(super) fn of(config: &PolicyConfig, attributes: Vec<String>) -> Self {
        Self {
            role: config.role.to_string(),
            scope: config.scope.to_string(),
            config: config.config.to_string(),
            clusters: config.known_clusters.iter().map(|(name, at)| (name.to_string(), *at)).collect(),
            of_connections: config.of_connections,
            attributes,
        }
    }

    pub(super) fn to_config(&self) -> Option<PolicyConfig> {
        let clusters: HashMap<Arc<str>, u32> =
            self.clusters.iter().map(|(name, at)| (name.as_str().into(), *at)).collect();
        Some(PolicyConfig {
            role: Role::named(&self.role)?,
            scope: self.scope.as_str().into(),
            config: self.config.as_str().into(),
            pointer: String::new(),
            known_clusters: Arc::new(clusters),
            of_connections: self.of_connections,
        })
    }
}

impl RecordedEndpoints {
    /// What the clock of the instance says is `at_ms`.
    pub(super) fn of(set: &EndpointSet, at_ms: u64) -> Self {
        let endpoint = |endpoint: &Arc<Endpoint>| RecordedEndpoint {
            slot: endpoint.slot,
            id: endpoint.id.to_string(),
            address: endpoint.address,
            host: endpoint.host.to_string(),
            weight: endpoint.weight,
            ramp: endpoint.ramp,
            availability: endpoint.availability,
            is_unhealthy: endpoint.is_unhealthy,
            priority: endpoint.priority,
            max_connections: endpoint.max_connections,
            zone: endpoint.zone.to_string(),
            metadata: endpoint.metadata.to_vec(),
            counters: endpoint.counters.numbers(),
            load: RecordedLoad::of(&endpoint.counters, at_ms),
        };
        Self { generation: set.generation(), endpoints: set.iter().map(endpoint).collect() }
    }

    /// The same endpoints with counters of their own. A slot beyond what a cluster may have is none.
    pub(super) fn to_set(&self) -> EndpointSet {
        let endpoint = |endpoint: &RecordedEndpoint| {
            let counters = EndpointCounters::default();
            counters.set_numbers(endpoint.counters);
            if let Some(load) = &endpoint.load {
                load.note(&counters);
            }
            Arc::new(Endpoint {
                slot: endpoint.slot,
                id: endpoint.id.as_str().into(),
                id_hash: Endpoint::id_hash(&endpoint.id),
                address: endpoint.address,
                host: endpoint.host.as_str().into(),
                weight: endpoint.weight,
                ramp: endpoint.ramp,
                availability: endpoint.availability,
                is_unhealthy: endpoint.is_unhealthy,
                priority: endpoint.priority,
                max_connections: endpoint.max_connections,
                zone: endpoint.zone.as_str().into(),
                metadata: endpoint.metadata.clone().into(),
                counters: Arc::new(counters),
            })
        };
        let known = self.endpoints.iter().filter(|endpoint| endpoint.slot < MOST_SLOTS);
        EndpointSet::new(self.generation, known.map(endpoint))
    }
}

impl RecordedLoad {
    pub(super) fn of(counters: &EndpointCounters, at_ms: u64) -> Option<Self> {
        let (load, reported_ms) = counters.reported_load()?;
        let age_ms = timer::now_ms().saturating_sub(reported_ms);
        let named = counters.reported_metrics().map(|named| named.to_vec()).unwrap_or_default();
        Some(Self { at_ms: at_ms.saturating_sub(age_ms), load, named })
    }

    /// Has an endpoint say it.
    pub(super) fn note(&self, counters: &EndpointCounters) {
        counters.report(Reported { load: self.load, named: self.named.clone() }, self.at_ms);
    }
}

const MOST_SLOTS: u32 = 1 << 20;

impl RecordedOutcome {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let class = CLASSES.iter().position(|class| *class == outcome.class).unwrap_or_default();
        Self(outcome.slot, class as u8, outcome.status, outcome.first_byte_us, outcome.total_us)
    }

    pub(super) fn to_outcome(&self) -> Outcome {
        let Self(slot, class, status, first_byte_us, total_us) = *self;
        let class = CLASSES.get(usize::from(class)).copied().unwrap_or(OutcomeClass::ClientAbort);
        Outcome { slot, class, status, first_byte_us, total_us }
    }
}

impl Asked {
    pub(super) fn route(values: &AttributeValues) -> Self {
        Self::Route { values: values.iter().map(|value| value.map(to_text)).collect() }
    }
}

pub(super) fn to_text(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// What is said of a decision that there was none of.
pub(super) fn fault_in_words(fault: Fault) -> String {
    format!("fault: {fault}")
}
