use std::fmt;
use std::net::SocketAddr;

use crate::{Affinity, Attribute, Availability, Discovery, Health, Outcome, Partitioner, Prober, Router, Values};

/// A plugin under test.
pub trait Subject {
    /// Roles that it has, by their names in the contract.
    fn roles(&self) -> Vec<String>;

    /// SHA-256 of the component in hexadecimal, or what else tells it from others.
    fn digest(&self) -> String;

    /// Whether there is no time left, so that whatever is asked fails.
    fn ran_out(&self) -> bool {
        false
    }

    /// What a fresh instance says of itself.
    fn describe(&self) -> Result<Description, String>;

    /// Interfaces that it imports, such as `plimsoll:plugin/log@0.2.0`.
    fn imports(&self) -> Vec<String> {
        Vec::new()
    }

    /// Configuration that the role is known to be used with.
    fn config_in_use(&self, _role: &str) -> Option<String> {
        None
    }

    /// Creates a policy of a role from JSON text and throws it away.
    fn create(&self, role: &str, config: &str) -> Result<(), CreateFailure>;

    /// Creates so many balancers from JSON text in one fresh instance, with the randomness of a worker and no endpoints.
    fn balancers(&self, _config: &str, _worker: u32, _count: u32) -> Result<Vec<Box<dyn Balancer>>, CreateFailure> {
        Ok(Vec::new())
    }

    /// The same for routers. Every cluster that they name exists.
    fn routers(&self, _config: &str, _worker: u32, _count: u32) -> Result<Vec<Box<dyn Router>>, CreateFailure> {
        Ok(Vec::new())
    }

    /// The same for probers.
    fn probers(&self, _config: &str, _worker: u32, _count: u32) -> Result<Vec<Box<dyn Prober>>, CreateFailure> {
        Ok(Vec::new())
    }

    /// The same for partitioners.
    fn partitioners(
        &self,
        _config: &str,
        _worker: u32,
        _count: u32,
    ) -> Result<Vec<Box<dyn Partitioner>>, CreateFailure> {
        Ok(Vec::new())
    }

    /// The same for discoveries. Every cluster that they name exists.
    fn discoveries(&self, _config: &str, _worker: u32, _count: u32) -> Result<Vec<Box<dyn Discovery>>, CreateFailure> {
        Ok(Vec::new())
    }

    /// A balancer of which is known what it executes; none where that cannot be had.
    fn metered_balancer(&self, _config: &str) -> Result<Option<Box<dyn Balancer>>, CreateFailure> {
        Ok(None)
    }

    /// Creates so many affinities in one fresh instance, without endpoints. Proxies of one number have a secret in common,
    /// and nothing else: each call is another proxy.
    fn affinities(&self, _config: &str, _proxy: u32, _count: u32) -> Result<Vec<Box<dyn Affinity>>, CreateFailure> {
        Err(CreateFailure::Refused("affinities cannot be tried here".into()))
    }

    /// Creates so many evaluators of health in one fresh instance, without endpoints.
    fn healths(&self, _config: &str, _count: u32) -> Result<Vec<Box<dyn Health>>, CreateFailure> {
        Err(CreateFailure::Refused("evaluators of health cannot be tried here".into()))
    }
}

/// What can be done with a policy of any role but a balancer, which has it among its own.
pub trait Policy {
    fn save(&mut self) -> Result<Vec<u8>, String>;

    fn restore(&mut self, state: &[u8]) -> Result<bool, String>;

    /// Destroys it and creates it again under its number, from the same configuration.
    fn create_again(&mut self) -> Result<(), String>;

    /// What the clock says.
    fn set_now_ms(&mut self, now_ms: u64);

    /// Memory of the instance; none where that is not known.
    fn memory_bytes(&self) -> Option<u64>;
}

/// A balancer under test, with the little of the world that it sees: loads and a clock. An error is a failure of the
/// plugin: a trap, a deadline that was passed.
pub trait Balancer {
    /// Tells it the endpoints of the next generation as a proxy does, by what changed if it takes that.
    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String>;

    /// Tells it the endpoints whole, as those of a generation.
    fn replace_endpoints(&mut self, generation: u64, endpoints: &[Endpoint]) -> Result<(), String>;

    /// Tells it that from generation `base` to the one after it, this slot was removed. Answers whether it took it.
    fn remove(&mut self, base: u64, slot: u32) -> Result<bool, String>;

    /// Generation of the endpoints that it was told last; 0 before the first.
    fn generation(&self) -> u64;

    /// Asks for the slot of an endpoint; `tried` have failed this request. Whoever wants to see more of it sees nothing but the
    /// key.
    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String>;

    /// What it wants to see of requests.
    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    /// Whether it wants all keys of a request.
    fn wants_keys(&self) -> bool {
        false
    }

    /// As [`Self::pick`], for a request of which it sees these values and keys.
    fn pick_for(&mut self, _values: &Values, keys: &[Option<u64>], tried: &[u32]) -> Result<Option<u32>, String> {
        self.pick(keys.iter().copied().flatten().next(), tried)
    }

    /// Whether it wants to hear that time passes. It does, too, whenever the clock is set.
    fn ticks(&self) -> bool {
        false
    }

    /// Sets the clock, and tells it so.
    fn tick(&mut self, now_ms: u64) -> Result<(), String> {
        self.set_now_ms(now_ms);
        Ok(())
    }

    /// Whether it prepares for endpoints, ahead of those that are told them.
    fn prepares(&self) -> bool {
        false
    }

    /// What it has prepared for the endpoints that it was told.
    fn prepare(&mut self) -> Result<Vec<u32>, String> {
        Ok(Vec::new())
    }

    /// Takes what another has prepared, for the endpoints that it is told next.
    fn adopt(&mut self, _prepared: &[u32]) -> Result<(), String> {
        Ok(())
    }

    /// Whether it asked for outcomes.
    fn wants_outcomes(&self) -> bool;

    /// What became of attempts, 1024 at the most.
    fn outcomes(&mut self, batch: &[Outcome]) -> Result<(), String>;

    fn save(&mut self) -> Result<Vec<u8>, String>;

    fn restore(&mut self, state: &[u8]) -> Result<bool, String>;

    /// Destroys the policy and creates it again under its number, without endpoints.
    fn create_again(&mut self) -> Result<(), String>;

    /// Attempts under way at an endpoint that was told.
    fn set_in_flight(&mut self, slot: u32, attempts: u32);

    /// What the clock says.
    fn set_now_ms(&mut self, now_ms: u64);

    /// Memory of the instance; none where that is not known.
    fn memory_bytes(&self) -> Option<u64>;

    /// What the host remembers for the policy, in bytes; none where that is not known.
    fn table_bytes(&self) -> Option<u64> {
        None
    }

    /// Instructions that it has executed up to now, or something like that; none where that is not known.
    fn executed(&self) -> Option<u64> {
        None
    }
}

/// What a plugin says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// Role and JSON Schema of its configuration.
    pub config_schemas: Vec<(String, String)>,
    /// Names of the profiles that it claims.
    pub profiles: Vec<String>,
}

/// An endpoint as the checks make it up.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub slot: u32,
    pub id: String,
    pub address: SocketAddr,
    pub weight: u32,
    /// Share of the weight in force, in thousandths.
    pub ramp: u32,
    pub availability: Availability,
    pub priority: u32,
    /// Attempts that it may have under way; 0 for any number.
    pub max_connections: u32,
    /// Where it runs; empty when nobody said.
    pub zone: String,
    pub metadata: Vec<(String, String)>,
}

/// Why a policy was not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateFailure {
    /// The configuration was refused, which is an answer.
    Refused(String),
    /// The plugin failed, which is none.
    Failed(String),
}

impl fmt::Display for CreateFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl Endpoint {
    /// A ready endpoint of weight 1, named by its slot.
    pub fn new(slot: u32) -> Self {
        Self::named(slot, slot)
    }

    /// A ready endpoint of weight 1 with the id and address of this number.
    pub fn named(slot: u32, number: u32) -> Self {
        let [_, a, b, c] = number.to_be_bytes();
        Self {
            slot,
            id: format!("endpoint-{number}"),
            address: ([10, a, b, c], 80).into(),
            weight: 1,
            ramp: 1000,
            availability: Availability::Ready,
            priority: 0,
            max_connections: 0,
            zone: String::new(),
            metadata: Vec::new(),
        }
    }

    /// So many endpoints of weight 1 at slots from 0 on.
    pub fn several(count: u32) -> Vec<Self> {
        (0..count).map(Self::new).collect()
    }

    /// Endpoints of these weights at slots from 0 on.
    pub fn weighing(weights: &[u32]) -> Vec<Self> {
        (0..).zip(weights).map(|(slot, weight)| Self { weight: *weight, ..Self::new(slot) }).collect()
    }

    /// True when a balancer may choose it.
    pub fn takes_new(&self) -> bool {
        self.availability == Availability::Ready && self.weight > 0
    }
}

/// Only what is not as usual.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.slot)?;
        if self.id != format!("endpoint-{}", self.slot) {
            write!(f, " {}", self.id)?;
        }
        if self.weight != 1 {
            write!(f, " weight {}", self.weight)?;
        }
        if self.ramp != 1000 {
            write!(f, " ramp {}", self.ramp)?;
        }
        if self.availability != Availability::Ready {
            write!(f, " {:?}", self.availability)?;
        }
        if self.priority != 0 {
            write!(f, " priority {}", self.priority)?;
        }
        if !self.zone.is_empty() {
            write!(f, " zone {:?}", self.zone)?;
        }
        for (key, value) in &self.metadata {
            write!(f, " {key}={value:?}")?;
        }
        Ok(())
    }
}
