use std::fmt;

/// A plugin under test.
pub trait Subject {
    /// Roles that it has, by their names in the contract.
    fn roles(&self) -> Vec<String>;

    /// Creates a policy of a role from JSON text and throws it away.
    fn create(&self, role: &str, config: &str) -> Result<(), CreateFailure>;

    /// Creates a balancer from JSON text, with state of its own and no endpoints yet.
    fn balancer(&self, config: &str) -> Result<Box<dyn Balancer>, CreateFailure>;
}

/// A balancer under test.
pub trait Balancer {
    /// Tells it the endpoints of the next generation.
    fn set_endpoints(&mut self, endpoints: &[Endpoint]);

    /// Asks for the slot of an endpoint; `tried` have failed this request. Fails when the plugin does.
    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String>;
}

/// An endpoint as the checks make it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub slot: u32,
    pub id: String,
    pub weight: u32,
    pub availability: Availability,
}

/// Whether an endpoint may get traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Ready,
    Draining,
    Unavailable,
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
    /// A ready endpoint of weight 1.
    pub fn new(slot: u32) -> Self {
        Self { slot, id: format!("endpoint-{slot}"), weight: 1, availability: Availability::Ready }
    }

    /// True when a balancer may choose it.
    pub fn takes_new(&self) -> bool {
        self.availability == Availability::Ready && self.weight > 0
    }
}
