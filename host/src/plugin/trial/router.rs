use std::sync::Arc;

use super::policy::PolicyOnTrial;
use crate::plugin::api::v0_2::exports::plimsoll::plugin::router as wit;
use crate::plugin::component::Plugin;
use crate::plugin::convert::Values;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::guest::PolicyContext;
use crate::plugin::live::Live;
use crate::plugin::memory::Services;
use crate::plugin::policy::Role;
use crate::plugin::roles::RouterGuest;
use crate::plugin::shared_table::SharedTable;

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
    let mut live = Live::start(plugin, services).map_err(|error| CreateError::trapped(&error))?;
    let scope: Arc<str> = "conformance".into();
    let limit_bytes = plugin.limits.memory_bytes;
    let context = PolicyContext {
        endpoints: Arc::default(),
        random: services.seed(0, 0),
        table: services.table(&plugin.name, Role::Router.as_str(), &scope, limit_bytes),
        shared: SharedTable::of(plugin.name.clone(), &scope, limit_bytes),
        worker: Some(0),
    };
    live.guest_mut().put_policy(0, context);
    live.arm(0, Call::at_start("create"));
    let (router, store) = live.of::<RouterGuest>().map_err(|_| CreateError::MissingRole)?;
    Ok(router.create_raw(store, 0, config)?.clusters)
}

impl PolicyOnTrial {
    /// What the router answers, not asked of any memory.
    pub fn route(&self, values: &Values) -> Result<DecisionOnTrial, String> {
        let decision = self.ask("route", |router: &RouterGuest, store, policy| router.route(store, policy, values))?;
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
