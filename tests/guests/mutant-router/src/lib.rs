//! Routers of the conformance suite that are sound, or break one property.

use std::cell::{Cell, RefCell};

use mutant::suite::{self, Router, Values};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::router::{Action, Decision, Guest, Plan, Redirect, Response};
use plimsoll_sdk::{ConfigError, Route, host};

struct Component;

thread_local! {
    static ROUTERS: RefCell<Policies<mutants::router::Native, dyn Router>> = const { RefCell::new(Policies::new()) };
    static EXECUTED: Cell<u64> = const { Cell::new(0) };
}

/// What a slow machine executes in a microsecond.
const EACH_US: u64 = 1000;

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        ROUTERS.with_borrow_mut(|policies| {
            let router = policies.create(policy, &config, |instance| instance.router(&config, host::random()))?;
            let suite::RouterPlan { attributes, clusters, routes } = router.plan();
            let attributes = attributes.into_iter().map(mutant::attribute).collect();
            let routes = routes.into_iter().map(Route::new).collect();
            Ok(Plan { attributes, clusters, routes, fallback: None, more: Vec::new() })
        })
    }

    fn destroy(_: u32) {}

    fn route(policy: u32, values: Vec<Option<Vec<u8>>>) -> Decision {
        let values = Values(values);
        let decision = ROUTERS.with_borrow_mut(|policies| {
            policies.call(policy, |p| {
                let decision = p.living.route(&values)?;
                let took_us = p.living.took().unwrap_or_default().as_micros() as u64;
                EXECUTED.set(EXECUTED.get() + took_us * EACH_US);
                p.spent.instructions(EXECUTED.get());
                Ok(decision)
            })
        });
        let action = match decision.action {
            suite::Action::Forward(cluster) => Action::Forward(cluster),
            suite::Action::Redirect { status, location } => Action::Redirect(Redirect { status, location }),
            suite::Action::Respond { status, headers, body } => {
                Action::Respond(Response { status, headers: mutant::headers(headers), body })
            }
            suite::Action::NoRoute => Action::NoRoute,
        };
        Decision { action, route: decision.route, repeatable: decision.repeatable }
    }
}

mutant::component!(Component, ROUTERS, router, export_router);
