//! Routes by host, path, method, headers, query and source. Of the routes that match, the most specific wins, in the
//! order of the Gateway API: host, then path, then method, headers, query, and last the order in the list. `config` is
//! what operators write, `compile` checks it, `index` finds candidates without looking at every route.

mod action;
mod compile;
pub mod config;
mod host;
mod index;
mod path;
mod rule;
mod source;

use action::Target;
use compile::Compiled;
use plimsoll_sdk::prelude::*;

/// Routes by rules.
#[derive(Debug)]
pub struct Rules {
    compiled: Compiled,
}

impl Router for Rules {
    type Config = config::Config;

    fn new(config: config::Config) -> Result<Self, ConfigErrors> {
        Ok(Self { compiled: Compiled::new(config)? })
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.compiled.wanted.attributes()
    }

    fn clusters(&self) -> Vec<String> {
        self.compiled.clusters.clone()
    }

    fn routes(&self) -> Vec<plimsoll_sdk::Route> {
        self.compiled.routes.iter().map(|route| route.told.clone()).collect()
    }

    fn fallback(&self) -> Option<u32> {
        self.compiled.fallback
    }

    fn route(&mut self, request: &Request<'_>) -> Decision {
        let seen = self.compiled.wanted.see(request);
        let Some(found) =
            self.compiled.index.find(&seen, |route| self.compiled.routes[route as usize].rule.matches(&seen))
        else {
            return Decision::no_route();
        };
        let target = &self.compiled.routes[found as usize].target;
        let repeatable = !matches!(target, Target::Split(_));
        Decision { action: target.action(&seen), route: Some(found), repeatable }
    }
}

plimsoll_sdk::plugin! { summary: "routes by host, path, method, headers and query", router: Rules }

#[cfg(test)]
mod tests;
