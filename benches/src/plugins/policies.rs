use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use plimsoll::plugin::{AttributeValues, Evaluator, KnownClusters, PolicyConfig, Role, Router};
use plimsoll::snapshot::{Outcome, OutcomeClass};
use serde_json::{Value, json};

use super::balancers::{balancer, picked};
use super::endpoints::endpoints;
use super::policy::{config, policy};
use super::shelf::Shelf;
use crate::measure::Case;

/// What the calls of a default request may take.
const ALLOWED_NS: f64 = 1000.0;

const PREFIXES: u32 = 20;
/// As many outcomes as the host collects for one call.
const BATCH: u32 = 256;

const DEFAULT_REQUEST: &str = "default request: route from memory, and pick of least-request among 10";

pub(super) fn cases(shelf: &Shelf) -> Result<Vec<Case>> {
    Ok(vec![
        default_request(shelf)?,
        route_again(shelf)?,
        route_new(shelf)?,
        outcomes(shelf, "that all went well", |_| false)?,
        outcomes(shelf, "of which every 10th failed", |number| number % 10 == 0)?,
    ])
}

/// Route and pick of a request with the default balancer, as one worker does both.
fn default_request(shelf: &Shelf) -> Result<Case> {
    let (router, balancer) = (rules(shelf)?, balancer(shelf, "least-request", &json!({}), &endpoints(1, "here", 10))?);
    let mut values = AttributeValues::default();
    let case = Case::new(DEFAULT_REQUEST, move |_| {
        router.route(&mut values, |_, values| write(values, b"/service-07/items/4711"))?;
        picked(&balancer, None)
    });
    Ok(case.within(ALLOWED_NS))
}

fn route_again(shelf: &Shelf) -> Result<Case> {
    let router = rules(shelf)?;
    let mut values = AttributeValues::default();
    Ok(Case::new(format!("rules: route among {PREFIXES} prefixes, from memory"), move |_| {
        Ok(router.route(&mut values, |_, values| write(values, b"/service-07/items/4711"))?)
    }))
}

fn route_new(shelf: &Shelf) -> Result<Case> {
    let router = rules(shelf)?;
    let mut values = AttributeValues::default();
    let mut path = *b"/service-07/items/0000000000";
    Ok(Case::new(format!("rules: route among {PREFIXES} prefixes, a path never seen before"), move |_| {
        count_up(&mut path);
        Ok(router.route(&mut values, |_, values| write(values, &path))?)
    }))
}

/// Adds one to the decimal number at the end.
fn count_up(path: &mut [u8]) {
    for digit in path.iter_mut().rev().take_while(|byte| byte.is_ascii_digit()) {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

fn write(values: &mut AttributeValues, path: &[u8]) {
    values.clear();
    values.push(Some(path));
}

fn rules(shelf: &Shelf) -> Result<Router> {
    let names: Vec<String> = (0..PREFIXES).map(|number| format!("service-{number:02}")).collect();
    let routes: Vec<Value> =
        names.iter().map(|name| json!({ "match": { "path_prefix": format!("/{name}") }, "cluster": name })).collect();
    let known: KnownClusters = Arc::new(names.iter().zip(0..).map(|(name, at)| (name.as_str().into(), at)).collect());
    let config = PolicyConfig { known_clusters: known, ..config(Role::Router, &json!({ "routes": routes })) };
    let (instance, policy) = policy(shelf, "rules", config, &Arc::default())?;
    let router = Router::new(Rc::new(RefCell::new(instance)), policy);
    let plan = router.plan().context("a router has a plan")?;
    ensure!(plan.attributes.len() == 1, "rules by path want {:?}", plan.attributes);
    Ok(router)
}

fn outcomes(shelf: &Shelf, how: &str, failed: fn(u32) -> bool) -> Result<Case> {
    let config = config(Role::Health, &json!({}));
    let (mut instance, policy) = policy(shelf, "thresholds", config, &endpoints(1, "here", 10))?;
    let evaluator = Evaluator::new(policy);
    let batch: Vec<Outcome> = (0..BATCH)
        .map(|number| match failed(number) {
            false => Outcome {
                slot: number % 7,
                class: OutcomeClass::Success,
                status: 200,
                first_byte_us: 300,
                total_us: 400,
            },
            true => Outcome {
                slot: number % 7,
                class: OutcomeClass::Timeout,
                status: 0,
                first_byte_us: 0,
                total_us: 2_000_000,
            },
        })
        .collect();
    Ok(Case::new(format!("thresholds: {BATCH} outcomes {how}"), move |now_ms| {
        let transitions = evaluator.outcomes(&mut instance, now_ms, &batch)?;
        ensure!(transitions.is_empty(), "failures that are not in a row change nothing: {transitions:?}");
        Ok(())
    }))
}
