//! Wraps a router: a share of the clients that it leads to one cluster goes to another, such as that of the next version.

mod canary;

mod wit {
    wit_bindgen::generate!({
        inline: "
            package examples:canary;
            world wrapper {
                import plimsoll:plugin/lifecycle@0.2.0;
                import plimsoll:plugin/router@0.2.0;
                export plimsoll:plugin/lifecycle@0.2.0;
                export plimsoll:plugin/router@0.2.0;
            }
        ",
        path: "../../../sdk/wit",
        world: "examples:canary/wrapper",
        generate_all,
    });
}

use wit::exports::plimsoll::plugin::{lifecycle, router};
use wit::plimsoll::plugin::types::{Attribute, ConfigError};
use wit::plimsoll::plugin::{lifecycle as inner_lifecycle, router as inner};

use std::cell::RefCell;
use std::collections::BTreeMap;

use canary::{Canary, split};

struct Wrapper;

thread_local! {
    static POLICIES: RefCell<BTreeMap<u32, Policy>> = const { RefCell::new(BTreeMap::new()) };
}

/// What is done about the decisions of the policy inside.
struct Policy {
    canary: Canary,
    /// Numbers of the clusters that clients are taken from and led to.
    from: u32,
    to: u32,
}

/// What is looked at here comes first among the attributes, and is taken off again before the one inside is asked.
const OWN: usize = 2;

impl router::Guest for Wrapper {
    fn create(policy: u32, config: String) -> Result<router::Plan, Vec<ConfigError>> {
        let (canary, rest) = split(&config).map_err(|(path, message)| vec![ConfigError { path, message }])?;
        let plan = inner::create(policy, &rest)?;
        let mut clusters = plan.clusters;
        POLICIES.with_borrow_mut(|all| all.remove(&policy));
        if let Some(canary) = canary {
            let Some(from) = clusters.iter().position(|name| *name == canary.of) else {
                inner::destroy(policy);
                let message = format!("expected a cluster that `routes` lead to, found `{}`", canary.of);
                return Err(vec![ConfigError { path: "/canary/of".to_owned(), message }]);
            };
            let to = clusters.iter().position(|name| *name == canary.cluster).unwrap_or(clusters.len());
            if to == clusters.len() {
                clusters.push(canary.cluster.clone());
            }
            let known = Policy { canary, from: from as u32, to: to as u32 };
            POLICIES.with_borrow_mut(|all| all.insert(policy, known));
        }
        let header = POLICIES.with_borrow(|all| all.get(&policy).map(|known| known.canary.header.clone()));
        let own = [Attribute::SourceAddress, Attribute::Header(header.unwrap_or_else(|| "x-canary".to_owned()))];
        let attributes = own.into_iter().chain(plan.attributes).collect();
        let routes = plan.routes.into_iter().map(settings).collect();
        Ok(router::Plan { attributes, clusters, routes, fallback: plan.fallback, more: plan.more })
    }

    fn destroy(policy: u32) {
        POLICIES.with_borrow_mut(|all| all.remove(&policy));
        inner::destroy(policy);
    }

    fn route(policy: u32, mut attributes: Vec<Option<Vec<u8>>>) -> router::Decision {
        let rest = attributes.split_off(OWN.min(attributes.len()));
        let decision = inner::route(policy, &rest);
        let mut action = action(decision.action);
        // It follows from the attributes, so that what is repeatable stays so.
        POLICIES.with_borrow(|all| {
            if let (Some(known), router::Action::Forward(cluster)) = (all.get(&policy), &mut action)
                && *cluster == known.from
                && let [source, header] = attributes.as_slice()
                && known.canary.takes(source.as_deref(), header.as_deref())
            {
                *cluster = known.to;
            }
        });
        router::Decision { action, route: decision.route, repeatable: decision.repeatable }
    }
}

impl lifecycle::Guest for Wrapper {
    fn describe() -> lifecycle::Manifest {
        lifecycle::Manifest {
            name: "canary".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            // What is configured is the plugin inside, and `canary` beside it.
            config_schemas: inner_lifecycle::describe().config_schemas.into_iter().map(canary::with_own).collect(),
            more: Vec::new(),
        }
    }

    fn save(role: String, policy: u32) -> Vec<u8> {
        inner_lifecycle::save(&role, policy)
    }

    fn restore(role: String, policy: u32, state: Vec<u8>) -> bool {
        inner_lifecycle::restore(&role, policy, &state)
    }
}

/// What the plugin inside says is of another type than what this one says, field by field the same.
fn action(action: inner::Action) -> router::Action {
    match action {
        inner::Action::Forward(cluster) => router::Action::Forward(cluster),
        inner::Action::Redirect(to) => {
            router::Action::Redirect(router::Redirect { status: to.status, location: to.location })
        }
        inner::Action::Respond(with) => {
            router::Action::Respond(router::Response { status: with.status, headers: with.headers, body: with.body })
        }
        inner::Action::NoRoute => router::Action::NoRoute,
    }
}

/// `rules` asks for nothing beyond these of a route.
fn settings(settings: inner::RouteSettings) -> router::RouteSettings {
    let inner::Timeouts { request_ms, first_byte_ms } = settings.timeouts;
    router::RouteSettings {
        label: settings.label,
        timeouts: router::Timeouts { request_ms, first_byte_ms },
        retry: settings.retry.map(|retry| router::Retry {
            attempts: retry.attempts,
            statuses: retry.statuses,
            unsafe_methods: retry.unsafe_methods,
        }),
        affinity: settings.affinity.map(|affinity| match affinity {
            inner::Affinity::Off => router::Affinity::Off,
            inner::Affinity::Policy(policy) => router::Affinity::Policy(policy),
        }),
        filters: settings.filters,
        rewrite: None,
        mirrors: Vec::new(),
        more: settings.more,
    }
}

wit::export!(Wrapper with_types_in wit);
