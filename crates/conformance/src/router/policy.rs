use std::time::Duration;

use crate::Policy;
use crate::request::{Attribute, Values};
use crate::trial::{Trial, only};

/// A router under test.
pub trait Router: Policy {
    fn plan(&self) -> RouterPlan;

    fn route(&mut self, values: &Values) -> Result<Decision, String>;

    /// Processor time that the last answer took; none where that is not known.
    fn took(&self) -> Option<Duration>;
}

/// What a router said when it was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterPlan {
    pub attributes: Vec<Attribute>,
    pub clusters: Vec<String>,
    pub routes: Vec<String>,
}

/// A router's answer, before anybody has looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub action: Action,
    /// Index into the plan's routes.
    pub route: Option<u32>,
    pub repeatable: bool,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Index into the plan's clusters.
    Forward(u32),
    Redirect {
        status: u16,
        location: String,
    },
    Respond {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    NoRoute,
}

pub(super) fn router(trial: &Trial<'_>, config: &str, worker: u32) -> Result<Box<dyn Router>, String> {
    only(trial.subject.routers(config, worker, 1))
}
