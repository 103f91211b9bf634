use std::time::Duration;

use plimsoll_conformance::{self as suite, Values};

use super::policy::{UnderTest, text};
use crate::plugin::{ActionOnTrial, Attribute, DecisionOnTrial, RouterPlan};

/// What a router said when it was created.
pub(super) struct Router(pub(super) suite::RouterPlan);

impl Router {
    pub(super) fn new(plan: &RouterPlan, clusters: Vec<String>) -> Self {
        Self(suite::RouterPlan {
            attributes: attributes(&plan.attributes),
            clusters,
            routes: plan.routes.iter().map(ToString::to_string).collect(),
        })
    }
}

pub(super) fn attributes(attributes: &[Attribute]) -> Vec<suite::Attribute> {
    attributes.iter().map(attribute).collect()
}

fn attribute(attribute: &Attribute) -> suite::Attribute {
    match attribute {
        Attribute::Method => suite::Attribute::Method,
        Attribute::Scheme => suite::Attribute::Scheme,
        Attribute::Authority => suite::Attribute::Authority,
        Attribute::Path => suite::Attribute::Path,
        Attribute::Query => suite::Attribute::Query,
        Attribute::SourceAddress => suite::Attribute::SourceAddress,
        Attribute::SourcePort => suite::Attribute::SourcePort,
        Attribute::ServerName => suite::Attribute::ServerName,
        Attribute::ApplicationProtocol => suite::Attribute::ApplicationProtocol,
        Attribute::Listener => suite::Attribute::Listener,
        Attribute::Header(name) => suite::Attribute::Header(name.to_string()),
        Attribute::Cookie(name) => suite::Attribute::Cookie(name.clone()),
        Attribute::QueryParameter(name) => suite::Attribute::QueryParameter(name.clone()),
        // No header has it.
        Attribute::Never => suite::Attribute::Header(String::new()),
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
