//! Whether a plugin is sound. A property is a promise of the contract that must hold for any plugin of a role, whatever
//! it decides: an endpoint that is down is never chosen, a configuration of garbage is refused and not fatal.
//!
//! Nothing here knows how plugins run. Who does implements [`Subject`] and gets a [`Report`]:
//!
//! ```
//! # struct Empty;
//! # impl plimsoll_conformance::Subject for Empty {
//! #     fn roles(&self) -> Vec<String> { Vec::new() }
//! #     fn create(&self, _: &str, _: &str) -> Result<(), plimsoll_conformance::CreateFailure> { Ok(()) }
//! #     fn balancer(&self, _: &str) -> Result<Box<dyn plimsoll_conformance::Balancer>, plimsoll_conformance::CreateFailure> {
//! #         Err(plimsoll_conformance::CreateFailure::Refused(String::new()))
//! #     }
//! # }
//! # let plugin = Empty;
//! let report = plimsoll_conformance::run(&plugin, &plimsoll_conformance::Settings::default());
//! println!("{report}");
//! assert!(report.passed());
//! ```

mod balancer;
mod generic;
mod report;
mod subject;

pub use report::{Finding, Report};
pub use subject::{Availability, Balancer, CreateFailure, Endpoint, Subject};

/// Version of the suite: it changes when a property is added or means something else.
pub const SUITE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a run starts from. The same settings give the same report for the same plugin.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// JSON configuration of the policies under test.
    pub config: String,
    /// Random steps that a property takes.
    pub steps: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, config: "{}".into(), steps: 20_000 }
    }
}

/// A promise, and how to try it.
#[derive(Clone, Copy)]
struct Property {
    /// Stable name, such as `B1`.
    id: &'static str,
    /// The role that it is about; none for all.
    role: Option<&'static str>,
    promise: &'static str,
    /// Fails with what broke the promise.
    check: fn(&mut Trial<'_>) -> Result<(), String>,
}

/// What a property has to work with.
struct Trial<'a> {
    subject: &'a dyn Subject,
    settings: &'a Settings,
    random: fastrand::Rng,
}

impl Trial<'_> {
    fn balancer(&self) -> Result<Box<dyn Balancer>, String> {
        self.subject.balancer(&self.settings.config).map_err(|failure| format!("creating a policy: {failure}"))
    }
}

/// Holds a plugin against every property of its roles.
pub fn run(subject: &dyn Subject, settings: &Settings) -> Report {
    let roles = subject.roles();
    let findings = [generic::PROPERTIES, balancer::PROPERTIES]
        .concat()
        .into_iter()
        .filter(|property| property.role.is_none_or(|role| roles.iter().any(|known| known == role)))
        .map(|property| {
            let mut trial = Trial { subject, settings, random: fastrand::Rng::with_seed(settings.seed) };
            let broken = (property.check)(&mut trial).err();
            Finding { id: property.id, promise: property.promise, broken }
        })
        .collect();
    Report { suite: SUITE_VERSION, seed: settings.seed, roles, findings }
}
