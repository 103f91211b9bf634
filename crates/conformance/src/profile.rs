use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What a plugin claims to be. `generic` is every plugin, `balancer` every balancer; the others are kinds of balancers, and
/// one may be of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Generic,
    Balancer,
    /// Shares are those of the weights.
    Weighted,
    /// And those of one endpoint are spread over the cycle.
    Smooth,
    /// Endpoints of one weight get the same.
    Uniform,
    /// Heeds the ramp of endpoints that warm up.
    Ramp,
    /// Workers begin at different places.
    Spread,
    /// Prefers who has less under way.
    Least,
    /// Prefers who answers sooner.
    Latency,
    /// The same key leads to the same endpoint, whichever others come and go.
    Consistent,
    /// The same, but goes by the numbers of endpoints: only the last may come and go.
    Numbered,
    /// Endpoints get keys by their weights.
    Proportional,
    /// A key never moves between endpoints that stay.
    Minimal,
    /// Keys of an endpoint that has too much under way go elsewhere.
    Bounded,
    /// Remembers where a key went.
    Sticky,
    /// Fills endpoints one after the other.
    Packing,
    /// Every affinity.
    Affinity,
    /// What the client is given is all that is needed to know it again.
    Token,
    /// And nobody else can make it, or read it.
    Opaque,
    /// The proxy remembers, not the client.
    Table,
    /// A binding ends after a time.
    Dated,
    /// Every evaluator of health.
    Health,
    /// Probes in a row take an endpoint out and bring it back.
    Thresholds,
    /// Failures of live traffic take an endpoint out for a time.
    Ejecting,
    /// A share of failures does.
    Rate,
    /// Every router.
    Router,
    /// Takes routes in the shape of the Gateway API, as `rules` does.
    Gateway,
    /// Every prober.
    Prober,
    /// Waits for the peer to speak first.
    ServerFirst,
    /// Every partitioner.
    Partitioner,
    /// Keeps requests in the zone of the proxy.
    Locality,
    /// Goes by the priority levels of endpoints.
    Priority,
    /// Every discovery.
    Discovery,
}

/// Which profiles a run takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// What every plugin of its roles must be, and what it shows itself to be.
    Auto,
    /// The same with five times the steps.
    Full,
    /// What every plugin of its roles must be, with few steps: for a proxy before it takes an upload.
    Quick,
    /// These, and what every plugin of its roles must be.
    Claimed(Vec<Profile>),
}

/// A profile that was taken or not.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    pub profile: Profile,
    pub taken: bool,
    pub why: String,
}

impl Profile {
    pub const ALL: [Self; 33] = [
        Self::Generic,
        Self::Balancer,
        Self::Weighted,
        Self::Smooth,
        Self::Uniform,
        Self::Ramp,
        Self::Spread,
        Self::Least,
        Self::Latency,
        Self::Consistent,
        Self::Numbered,
        Self::Proportional,
        Self::Minimal,
        Self::Bounded,
        Self::Sticky,
        Self::Packing,
        Self::Affinity,
        Self::Token,
        Self::Opaque,
        Self::Table,
        Self::Dated,
        Self::Health,
        Self::Thresholds,
        Self::Ejecting,
        Self::Rate,
        Self::Router,
        Self::Gateway,
        Self::Prober,
        Self::ServerFirst,
        Self::Partitioner,
        Self::Locality,
        Self::Priority,
        Self::Discovery,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Balancer => "balancer",
            Self::Weighted => "balancer/weighted",
            Self::Smooth => "balancer/smooth",
            Self::Uniform => "balancer/uniform",
            Self::Ramp => "balancer/ramp",
            Self::Spread => "balancer/spread",
            Self::Least => "balancer/least",
            Self::Latency => "balancer/latency",
            Self::Consistent => "balancer/consistent",
            Self::Numbered => "balancer/numbered",
            Self::Proportional => "balancer/proportional",
            Self::Minimal => "balancer/minimal",
            Self::Bounded => "balancer/bounded",
            Self::Sticky => "balancer/sticky",
            Self::Packing => "balancer/packing",
            Self::Affinity => "affinity",
            Self::Token => "affinity/token",
            Self::Opaque => "affinity/opaque",
            Self::Table => "affinity/table",
            Self::Dated => "affinity/dated",
            Self::Health => "health",
            Self::Thresholds => "health/thresholds",
            Self::Ejecting => "health/ejecting",
            Self::Rate => "health/rate",
            Self::Router => "router",
            Self::Gateway => "router/gateway",
            Self::Prober => "prober",
            Self::ServerFirst => "prober/server-first",
            Self::Partitioner => "partitioner",
            Self::Locality => "partitioner/locality",
            Self::Priority => "partitioner/priority",
            Self::Discovery => "discovery",
        }
    }

    /// The role that a plugin needs for it.
    pub(crate) const fn role(self) -> Option<&'static str> {
        match self {
            Self::Generic => None,
            Self::Affinity | Self::Token | Self::Opaque | Self::Table | Self::Dated => Some("affinity"),
            Self::Health | Self::Thresholds | Self::Ejecting | Self::Rate => Some("health"),
            Self::Router | Self::Gateway => Some("router"),
            Self::Prober | Self::ServerFirst => Some("prober"),
            Self::Partitioner | Self::Locality | Self::Priority => Some("partitioner"),
            Self::Discovery => Some("discovery"),
            _ => Some("balancer"),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Whether it is every plugin's of its role.
    pub const fn is_of_all(self) -> bool {
        matches!(
            self,
            Self::Generic
                | Self::Balancer
                | Self::Affinity
                | Self::Health
                | Self::Router
                | Self::Prober
                | Self::Partitioner
                | Self::Discovery
        )
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Selection {
    type Err = String;

    /// `auto`, `full`, `quick`, or names of profiles with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "full" => return Ok(Self::Full),
            "quick" => return Ok(Self::Quick),
            _ => {}
        }
        let profile = |name: &str| {
            Profile::named(name).ok_or_else(|| {
                let names = Profile::ALL.map(Profile::name).join(", ");
                format!("`{name}` is no profile: expected auto, full, quick, or some of {names}")
            })
        };
        text.split(',').map(|name| profile(name.trim())).collect::<Result<_, _>>().map(Self::Claimed)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Full => f.write_str("full"),
            Self::Quick => f.write_str("quick"),
            Self::Claimed(profiles) => {
                f.write_str(&profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Selection {
    pub(crate) const fn steps(&self) -> u32 {
        match self {
            Self::Auto | Self::Claimed(_) => 20_000,
            Self::Full => 100_000,
            Self::Quick => 1000,
        }
    }

    /// A claimed profile that plugins of these roles cannot have.
    pub fn misfit(&self, roles: &[String]) -> Option<Profile> {
        let Self::Claimed(profiles) = self else { return None };
        profiles.iter().copied().find(|profile| !fits(*profile, roles))
    }

    /// `claims` are those of the plugin, `shows` tells whether it is of a profile that not all of its role are of.
    pub(crate) fn choose(
        &self,
        roles: &[String],
        claims: &[Profile],
        shows: &dyn Fn(Profile) -> Result<Shown, String>,
    ) -> Vec<Choice> {
        let of_its_roles = Profile::ALL.into_iter().filter(|profile| fits(*profile, roles));
        let choice = |profile| {
            let (taken, why) = match (profile, self) {
                (Profile::Generic, _) => (true, "every plugin".to_owned()),
                (of_all, Self::Claimed(profiles))
                    if of_all.is_of_all() && profiles.iter().all(|profile| *profile == Profile::Generic) =>
                {
                    (false, "only generic was asked for".to_owned())
                }
                (of_all, _) if of_all.is_of_all() => (true, format!("every plugin of the role {of_all}")),
                _ if claims.contains(&profile) => (true, "it claims to be".to_owned()),
                (_, Self::Claimed(profiles)) if profiles.contains(&profile) => (true, "claimed".to_owned()),
                (_, Self::Claimed(_)) => (false, "not claimed".to_owned()),
                (_, Self::Quick) => (false, "a quick run is about what holds for all".to_owned()),
                (_, Self::Auto | Self::Full) => {
                    shows(profile).unwrap_or_else(|fault| (false, format!("it cannot be told: {fault}")))
                }
            };
            Choice { profile, taken, why }
        };
        of_its_roles.map(choice).collect()
    }
}

/// The profiles of these names, as far as there are such.
pub(crate) fn named(names: &[String]) -> Vec<Profile> {
    names.iter().filter_map(|name| Profile::named(name)).collect()
}

pub(crate) fn fits(profile: Profile, roles: &[String]) -> bool {
    profile.role().is_none_or(|role| roles.iter().any(|known| known == role))
}

/// Whether it is of a profile, and by what that shows.
pub(crate) type Shown = (bool, String);
