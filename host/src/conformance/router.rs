use std::time::Duration;

use plimsoll_conformance::{self as suite, Values};

use super::attributes::attributes;
use super::endpoints::text;
use super::policy::UnderTest;
use crate::plugin::{ActionOnTrial, DecisionOnTrial, RouterPlan};

/// What a router said when it was created.
pub(super) struct Router(pub(super) suite::RouterPlan);

impl Router {
    pub(super) fn new(plan: &RouterPlan, clusters: Vec<String>) -> Self {
        Self(suite::RouterPlan {
            attributes: attributes(&plan.attributes),
            clusters,
            routes: plan.routes.iter().map(|route| route.label.to_string()).collect(),
        })
    }
}

impl suite::Router for UnderTest<Router> {
    fn plan(&self) -> suite::RouterPlan {
        self.role.0.clone()
    }

    fn route(&mut self, values: &Values) -> Result<suite::Decision, String> {
        self.trial.route(&values.0).map(decision).map_err(text)
    }

    fn took(&self) -> Option<Duration> {
        Some(self.trial.took())
    }
}

fn decision(decision: DecisionOnTrial) -> suite::Decision {
    let action = match decision.action {
        ActionOnTrial::Forward(cluster) => suite::Action::Forward(cluster),
        ActionOnTrial::Redirect { status, location } => suite::Action::Redirect { status, location },
        ActionOnTrial::Respond { status, headers, body } => suite::Action::Respond { status, headers, body },
        ActionOnTrial::NoRoute => suite::Action::NoRoute,
    };
    suite::Decision { action, route: decision.route, repeatable: decision.repeatable }
}
