use std::sync::Arc;

use super::{PolicyOnTrial, no_such_role};
use crate::plugin::api::v0_1::exports::plimsoll::plugin::router as wit;
use crate::plugin::convert::{self, Values};
use crate::plugin::fault::Fault;
use crate::plugin::imports::PolicyContext;
use crate::plugin::instance::{AT_START, CreateError, Live, describe_error};
use crate::plugin::loader::Plugin;
use crate::plugin::memory::Services;
use crate::plugin::policy::Role;

/// A router's answer before the host has looked at it.
#[derive(Debug)]
pub struct DecisionOnTrial {
    pub action: ActionOnTrial,
    pub route: Option<u32>,
    pub repeatable: bool,
}

#[derive(Debug)]
pub enum ActionOnTrial {
    /// Index into the clusters that it named.
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

/// Names of the clusters that a router of this configuration may choose.
pub fn named_clusters(plugin: &Plugin, services: &Arc<Services>, config: &str) -> Result<Vec<String>, CreateError> {
    let mut live = Live::start(plugin, services).map_err(|error| CreateError::Failed(describe_error(&error)))?;
    let scope = "conformance".into();
    let table = services.table(&plugin.name, Role::Router.as_str(), &scope, plugin.limits.memory_bytes);
    live.store
        .data_mut()
        .put_policy(0, PolicyContext { endpoints: Arc::default(), random: services.seed(0, 0), table });
    live.arm(0, AT_START);
    let Some(router) = &live.router else { return Err(CreateError::MissingRole) };
    let plan = router.call_create(&mut live.store, 0, config).map_err(|error| CreateError::trapped(&error))?;
    plan.map(|plan| plan.clusters).map_err(|errors| CreateError::Refused(convert::mistakes(errors)))
}

impl PolicyOnTrial {
    /// What the router answers, not asked of any memory.
    pub fn route(&self, values: &Values) -> Result<DecisionOnTrial, Fault> {
        let decision = self.call(|live, policy| {
            let Some(router) = &live.router else { return Err(no_such_role()) };
            router.call_route(&mut live.store, policy, values)
        })?;
        let action = match decision.action {
            wit::Action::Forward(cluster) => ActionOnTrial::Forward(cluster),
            wit::Action::Redirect(to) => ActionOnTrial::Redirect { status: to.status, location: to.location },
            wit::Action::Respond(response) => ActionOnTrial::Respond {
                status: response.status,
                headers: response.headers.into_iter().map(|header| (header.name, header.value)).collect(),
                body: response.body,
            },
            wit::Action::NoRoute => ActionOnTrial::NoRoute,
        };
        Ok(DecisionOnTrial { action, route: decision.route, repeatable: decision.repeatable })
    }
}
