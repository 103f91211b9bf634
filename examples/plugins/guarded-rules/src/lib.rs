//! Wraps a router: what nobody should be shown is answered here, and all else by the plugin inside.

mod wit {
    wit_bindgen::generate!({
        inline: "
            package examples:guarded-rules;
            world wrapper {
                import plimsoll:plugin/lifecycle@0.2.0;
                import plimsoll:plugin/router@0.2.0;
                export plimsoll:plugin/lifecycle@0.2.0;
                export plimsoll:plugin/router@0.2.0;
            }
        ",
        path: "../../../sdk/wit",
        world: "examples:guarded-rules/wrapper",
        generate_all,
    });
}

use wit::exports::plimsoll::plugin::{lifecycle, router};
use wit::plimsoll::plugin::types::{Attribute, ConfigError};
use wit::plimsoll::plugin::{lifecycle as inner_lifecycle, router as inner};

struct Guarded;

impl router::Guest for Guarded {
    fn create(policy: u32, config: String) -> Result<router::Plan, Vec<ConfigError>> {
        let plan = inner::create(policy, &config)?;
        // First what is looked at here.
        let attributes = std::iter::once(Attribute::Path).chain(plan.attributes).collect();
        let routes = plan.routes.into_iter().map(settings).collect();
        Ok(router::Plan { attributes, clusters: plan.clusters, routes, fallback: plan.fallback, more: plan.more })
    }

    fn destroy(policy: u32) {
        inner::destroy(policy);
    }

    fn route(policy: u32, mut attributes: Vec<Option<Vec<u8>>>) -> router::Decision {
        if attributes.first().and_then(Option::as_deref).is_some_and(is_hidden) {
            let response = router::Response { status: 404, headers: Vec::new(), body: b"not found\n".to_vec() };
            return router::Decision { action: router::Action::Respond(response), route: None, repeatable: true };
        }
        if !attributes.is_empty() {
            attributes.remove(0);
        }
        let decision = inner::route(policy, &attributes);
        router::Decision { action: action(decision.action), route: decision.route, repeatable: decision.repeatable }
    }
}

/// Whether a part of the path begins with a dot, also one that is encoded. `/.well-known/` is there to be seen (RFC 8615).
fn is_hidden(path: &[u8]) -> bool {
    let hidden = |part: &[u8]| part.starts_with(b".") || part.starts_with(b"%2e") || part.starts_with(b"%2E");
    let mut parts = path.split(|byte| *byte == b'/').skip(1).peekable();
    if parts.peek() == Some(&&b".well-known"[..]) {
        parts.next();
    }
    parts.any(hidden)
}

impl lifecycle::Guest for Guarded {
    fn describe() -> lifecycle::Manifest {
        lifecycle::Manifest {
            name: "guarded-rules".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            // What is configured is the plugin inside.
            config_schemas: inner_lifecycle::describe().config_schemas,
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

wit::export!(Guarded with_types_in wit);
