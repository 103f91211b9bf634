//! Whether a plugin is sound, and keeps what its kind promises. A property is something that must hold: an endpoint that
//! is down is never chosen, a configuration of garbage is refused and not fatal, a key stays where it is when others come
//! and go. Properties belong to a [`Profile`]; `generic` and those with the name of a role are everybody's, the others are
//! for who claims them or shows them.
//!
//! Nothing here knows how plugins run. Who does implements [`Subject`] and gets a [`Report`]:
//!
//! ```
//! # use plimsoll_conformance as suite;
//! # struct Empty;
//! # impl suite::Subject for Empty {
//! #     fn roles(&self) -> Vec<String> { Vec::new() }
//! #     fn digest(&self) -> String { String::new() }
//! #     fn describe(&self) -> Result<suite::Description, String> { Ok(suite::Description::default()) }
//! #     fn create(&self, _: &str, _: &str) -> Result<(), suite::CreateFailure> { Ok(()) }
//! # }
//! # let plugin = Empty;
//! let report = plimsoll_conformance::run(&plugin, &plimsoll_conformance::Settings::default());
//! println!("{report}");
//! assert!(report.passed());
//! ```
//!
//! Statistics are held to what happens by chance once in a million times, and all randomness comes from the seed: a run
//! gives the same report again.

mod affinity;
mod balancer;
mod consistent;
mod discovery;
mod field;
mod fleet;
mod foreign;
mod generic;
mod health;
mod instance;
mod kinds;
mod load;
mod memory;
mod partitioner;
mod prober;
mod profile;
mod reach;
mod report;
mod request;
mod router;
mod shares;
mod shown;
mod shrink;
mod statistics;
mod sticky;
mod subject;
mod ticks;
mod trial;

pub use affinity::{Affinity, AffinityPlan, Binding, Edit};
pub use discovery::{Discovery, DiscoveryAction, Reply};
pub use health::Health;
pub use partitioner::{Group, Partitioner};
pub use plimsoll_model::Verdict as HealthVerdict;
pub use plimsoll_model::{Availability, Evidence, HealthPlan, Outcome, OutcomeClass, ProbeResult, Transition};
pub use prober::{ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Prober, Target, Transport};
pub use profile::{Choice, Profile, Selection};
pub use report::{Finding, Report, Verdict};
pub use request::{Attribute, Values};
pub use router::{Action, Decision, Router, RouterPlan};
pub use subject::{Balancer, CreateFailure, Description, Endpoint, Policy, Subject};

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use trial::{Property, Stop, Trial, Use};

/// Version of the suite: its release, and what follows from its properties. It is another as soon as a property is added or
/// promises something else, so that nobody takes a judgement for one of this suite that was made by an older one.
pub static SUITE_VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for Property { id, promise, .. } in all() {
        (id, promise).hash(&mut hasher);
    }
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
});

/// Why a property that there was no time for was skipped.
pub const NO_TIME: &str = "no time was left";

/// Why a property was skipped that a quick run leaves out.
pub const NOT_QUICK: &str = "not in a quick run";

/// What a run starts from. The same settings give the same report for the same plugin.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// JSON configuration of the policies under test. Without one it is `{}`, and a plugin that refuses that is only
    /// held against what can be said without a policy.
    pub config: Option<String>,
    pub selection: Selection,
    /// Random steps that a property takes; as many as the selection says unless given.
    pub steps: Option<u32>,
    /// Only the properties of these ids; all when empty.
    pub only: Vec<String>,
    /// When so much time has passed no further property is begun: those that are left are skipped.
    pub time: Option<Duration>,
    /// What the plugin's file is called in command lines that repeat a finding.
    pub file: String,
    /// Hears of each property that is begun with, for who waits.
    pub began: Option<fn(&'static str)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            config: None,
            selection: Selection::Auto,
            steps: None,
            only: Vec::new(),
            time: None,
            file: "FILE".into(),
            began: None,
        }
    }
}

impl Settings {
    fn steps(&self) -> u32 {
        self.steps.unwrap_or_else(|| self.selection.steps())
    }
}

/// Ids of all properties with what they promise, in the order of the report.
pub fn properties() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().map(|property| (property.id, property.promise))
}

fn all() -> impl Iterator<Item = &'static Property> {
    let sets = [
        generic::PROPERTIES,
        instance::PROPERTIES,
        balancer::PROPERTIES,
        shares::PROPERTIES,
        load::PROPERTIES,
        consistent::PROPERTIES,
        reach::PROPERTIES,
        shown::PROPERTIES,
        ticks::PROPERTIES,
        sticky::PROPERTIES,
    ];
    let sets = sets.into_iter().chain(affinity::properties()).chain(health::properties());
    let sets = sets.chain(router::properties()).chain(prober::properties());
    sets.chain(partitioner::properties()).chain(discovery::properties()).flatten()
}

/// Holds a plugin against the properties of the profiles that are selected.
pub fn run(subject: &dyn Subject, settings: &Settings) -> Report {
    let began = Instant::now();
    let roles = subject.roles();
    let description = subject.describe().unwrap_or_default();
    let claims = profile::named(&description.profiles);
    let uses: Vec<Use> = roles.iter().map(|role| Use::of(subject, role, settings)).collect();
    let balancer = uses.iter().find(|of| of.role == "balancer");
    let config = balancer.or_else(|| uses.first()).map_or_else(|| "{}".to_owned(), |of| of.config.clone());
    let refusal = |profile: Profile| {
        // A router that takes no `{}` may take a table: its properties see to that themselves.
        let of = uses.iter().find(|of| profile.role() == Some(&of.role) && of.role != "router");
        of.and_then(|of| of.refusal.clone())
    };
    let choices = settings.selection.choose(&roles, &claims, &|profile| match (refusal(profile), profile.role()) {
        (_, Some("router")) => router::shows(profile, subject),
        (Some(refusal), _) => Err(refusal),
        (None, Some("prober")) => prober::shows(profile, subject, Use::config(&uses, "prober")),
        (None, Some("partitioner")) => partitioner::shows(profile, subject, Use::config(&uses, "partitioner")),
        (None, Some("discovery")) => Ok(discovery::shows(profile)),
        (None, Some("affinity")) => affinity::shows(profile, subject, Use::config(&uses, "affinity")),
        (None, Some("health")) => health::shows(profile, subject, Use::config(&uses, "health")),
        (None, _) => kinds::shows(profile, &claims, &|worker| trial::one_balancer(subject, &config, worker)),
    });
    let taken: Vec<Profile> = choices.iter().filter(|choice| choice.taken).map(|choice| choice.profile).collect();
    let mut findings = Vec::new();
    for property in all() {
        let is_asked_for = settings.only.is_empty() || settings.only.iter().any(|id| id == property.id);
        let is_of_role = property
            .profiles
            .iter()
            .any(|profile| profile.role().is_none_or(|role| roles.iter().any(|known| known == role)));
        if !is_asked_for || !is_of_role {
            continue;
        }
        let mut trial = Trial {
            subject,
            config: &config,
            uses: &uses,
            steps: settings.steps(),
            taken: &taken,
            random: fastrand::Rng::with_seed(settings.seed),
            measured: Vec::new(),
        };
        let profile = property.profiles.iter().find(|profile| taken.contains(profile));
        // What it claims it is held to in full.
        let is_quick = property.quick || profile.is_some_and(|profile| claims.contains(profile));
        let done = if profile.is_none() {
            Err(Stop::Skipped(format!("{} is not taken", property.profiles[0])))
        } else if settings.selection == Selection::Quick && !is_quick {
            Err(Stop::Skipped(NOT_QUICK.into()))
        } else if let Some(refusal) = refusal(property.profiles[0]) {
            Err(Stop::Skipped(refusal))
        } else if settings.time.is_some_and(|time| began.elapsed() > time) || subject.ran_out() {
            Err(Stop::Skipped(NO_TIME.into()))
        } else {
            if let Some(began) = settings.began {
                began(property.id);
            }
            // What fails for want of time says nothing.
            (property.check)(&mut trial)
                .map_err(|stop| if subject.ran_out() { Stop::Skipped(NO_TIME.into()) } else { stop })
        };
        let measured = std::mem::take(&mut trial.measured);
        let profile = *profile.unwrap_or(&property.profiles[0]);
        findings.push(Finding::new(property, profile, done, measured, settings));
    }
    let untested = report::untested(&roles, &findings, settings);
    Report {
        shape: report::SHAPE,
        suite: &SUITE_VERSION,
        plugin: report::Plugin { name: description.name, version: description.version, digest: subject.digest() },
        roles,
        selection: settings.selection.to_string(),
        seed: settings.seed,
        steps: settings.steps(),
        config,
        untested,
        passed: findings.iter().all(|finding| finding.verdict != Verdict::Broken),
        profiles: choices,
        properties: findings,
    }
}
