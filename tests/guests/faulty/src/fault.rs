use std::hint::black_box;

use plimsoll_sdk::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    Trap,
    Loop,
    /// Allocate without end.
    Grow,
    /// Answer what does not exist.
    Lie,
    /// Refuse the configuration.
    Refuse,
}

/// Where it happens.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum At {
    Create,
    /// When an endpoint is not ready.
    Endpoints,
    /// The call that the role is there for.
    Decide,
    /// Affinities: when the head of a request or an answer may be changed.
    Edit,
    Outcomes,
    Save,
    Restore,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Faults {
    fault: Option<Fault>,
    #[serde(default = "decide")]
    at: At,
    /// Only the first so many times, over all workers and instances.
    times: Option<i64>,
    /// Routers: clusters that it may lead to; it leads to the first.
    #[serde(default)]
    pub(crate) clusters: Vec<String>,
    /// Routers: let the host lead to the first meanwhile.
    #[serde(default)]
    pub(crate) falls_back: bool,
    /// Partitioners: let the host refuse meanwhile.
    #[serde(default)]
    pub(crate) strict: bool,
    /// Routers: fail for paths that begin so.
    #[serde(default)]
    pub(crate) path_prefix: String,
}

fn decide() -> At {
    At::Decide
}

impl Faults {
    /// A policy's configuration, unless this is where it is to fail.
    pub(crate) fn created(self) -> Result<Self, ConfigErrors> {
        self.strike(At::Create);
        match self.fault {
            Some(Fault::Refuse) => Err(ConfigErrors::at("/fault", "refused, as configured")),
            _ => Ok(self),
        }
    }

    /// Whether anything is to happen there at all.
    pub(crate) fn concerns(&self, at: At) -> bool {
        self.fault.is_some() && self.at == at
    }

    /// Fails if this is what the endpoints are to be failed at.
    pub(crate) fn strike_at(&self, endpoints: &Endpoints) {
        if endpoints.ready().len() < endpoints.len() {
            self.strike(At::Endpoints);
        }
    }

    /// Fails if this is where. True when the answer is to be a lie.
    pub(crate) fn strike(&self, at: At) -> bool {
        if !self.concerns(at) || !self.is_due() {
            return false;
        }
        match self.fault {
            Some(Fault::Trap) => panic!("trapped, as configured"),
            Some(Fault::Loop) => loop {
                black_box(());
            },
            Some(Fault::Grow) => loop {
                std::mem::forget(black_box(Vec::<u8>::with_capacity(1 << 20)));
            },
            Some(Fault::Lie) => true,
            Some(Fault::Refuse) | None => false,
        }
    }

    fn is_due(&self) -> bool {
        // The host's table outlives the instance, which a fault ends.
        let Some(times) = self.times else { return true };
        host::table::add(b"faults", 1, Duration::from_secs(3600)) <= times
    }
}
