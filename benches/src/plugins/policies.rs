use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use plimsoll::plugin::{
    Affinity, AttributeValues, Balancer, Binding, Choice, Evaluator, HeaderEdit, Instance, KnownClusters, PickRequest,
    PolicyConfig, Role, Router,
};
use plimsoll::snapshot::{EndpointSet, Outcome, OutcomeClass};
use serde_json::{Value, json};

use super::Shelf;
use super::endpoints::{endpoints, with_other_weight};
use crate::measure::{Case, timed};

const PREFIXES: u32 = 20;
/// As many outcomes as the host collects for one call.
const BATCH: u32 = 256;
const SIZES: [u32; 3] = [10, 1000, 10_000];

pub(super) const DEFAULT_REQUEST: &str = "default request: route from memory, and pick of least-request among 10";

const BALANCERS: [&str; 12] = [
    "round-robin",
    "static-round-robin",
    "least-request",
    "least-connections",
    "least-time",
    "peak-ewma",
    "random",
    "failover",
    "maglev",
    "ring-hash",
    "jump-hash",
    "rendezvous",
];

pub(super) fn cases(shelf: &Shelf) -> Result<Vec<Case>> {
    let mut cases = vec![default_request(shelf)?, route_again(shelf)?, route_new(shelf)?];
    for balancer in BALANCERS {
        for count in [2, 10, 1000, 10_000] {
            cases.push(pick(shelf, balancer, count)?);
        }
    }
    cases.extend(cookie(shelf)?);
    cases.extend([outcomes(shelf, "that all went well", |_| false)?]);
    cases.extend([outcomes(shelf, "of which every 10th failed", |number| number % 10 == 0)?]);
    for balancer in ["least-request", "maglev"] {
        for count in SIZES {
            cases.extend([
                create(shelf, balancer, count)?,
                change(shelf, balancer, count)?,
                replace(shelf, balancer, count)?,
            ]);
        }
    }
    Ok(cases)
}

/// Route and pick of a request with the default balancer, as one worker does both.
fn default_request(shelf: &Shelf) -> Result<Case> {
    let (router, balancer) = (rules(shelf)?, balancer(shelf, "least-request", 10)?);
    let mut values = AttributeValues::default();
    Ok(Case::new(DEFAULT_REQUEST, move |_| {
        router.route(&mut values, |_, values| write(values, b"/service-07/items/4711"))?;
        picked(&balancer, None)
    }))
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

fn pick(shelf: &Shelf, name: &str, count: u32) -> Result<Case> {
    let balancer = balancer(shelf, name, count)?;
    // Keys are hashes. Only the balancers that hash look at them.
    let key = move |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok(Case::new(format!("{name}: pick among {count}"), move |number| picked(&balancer, Some(key(number)))))
}

fn picked(balancer: &Balancer, key: Option<u64>) -> Result<Choice> {
    balancer.pick(PickRequest { key, tried: &[] })?.context("a balancer with endpoints chooses one")
}

fn balancer(shelf: &Shelf, name: &str, count: u32) -> Result<Balancer> {
    balancer_of(shelf, name, &endpoints(1, "here", count))
}

fn balancer_of(shelf: &Shelf, name: &str, endpoints: &Arc<EndpointSet>) -> Result<Balancer> {
    let (instance, policy) = policy(shelf, name, config(Role::Balancer, &json!({})), endpoints)?;
    Ok(Balancer::new(Rc::new(RefCell::new(instance)), policy))
}

fn cookie(shelf: &Shelf) -> Result<Vec<Case>> {
    let affinity = || -> Result<Affinity> {
        let (instance, policy) =
            policy(shelf, "cookie", config(Role::Affinity, &json!({})), &endpoints(1, "here", 10))?;
        Ok(Affinity::new(Rc::new(RefCell::new(instance)), policy))
    };
    let (known, new, forged, bound) = (affinity()?, affinity()?, affinity()?, affinity()?);
    let token = token(&known)?;
    let mut forgery = token.clone();
    // Within the signature, so that it takes the whole of a verification to refuse it.
    forgery[LETTER_OF_SIGNATURE] = if forgery[LETTER_OF_SIGNATURE] == b'A' { b'B' } else { b'A' };
    let (token, forgery) = ([Some(token)].to_vec(), [Some(forgery)].to_vec());
    ensure!(known.find(&token)? == Binding::Bound(3), "a client is bound to where its cookie says");
    ensure!(forged.find(&forgery)? == Binding::Lost, "a forged cookie binds to nothing");
    Ok(vec![
        Case::new("cookie: find for a known client", move |_| Ok(known.find(&token)?)),
        Case::new("cookie: find without a cookie", move |_| Ok(new.find(&vec![None])?)),
        Case::new("cookie: find with a forged cookie", move |_| Ok(forged.find(&forgery)?)),
        Case::new("cookie: bind", move |number| Ok(bound.bind(&vec![None], (number % 10) as u32, &[])?)),
    ])
}

const LETTER_OF_SIGNATURE: usize = 20;

/// What a client of slot 3 sends back.
fn token(affinity: &Affinity) -> Result<Vec<u8>> {
    let edits = affinity.bind(&vec![None], 3, &[])?;
    let Some(HeaderEdit::Append(_, cookie)) = edits.first() else { bail!("a new client is given a cookie") };
    let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let (_, token) = pair.split_at(pair.iter().position(|byte| *byte == b'=').context("a cookie has a value")? + 1);
    Ok(token.to_vec())
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

/// A policy with its endpoints in a fresh instance, as at a start.
fn create(shelf: &Shelf, name: &'static str, count: u32) -> Result<Case> {
    let (config, set) = (config(Role::Balancer, &json!({})), endpoints(1, "here", count));
    Ok(Case::with_new(format!("{name}: create with {count} endpoints"), shelf.starter(name)?, move |instance| {
        instance.add_policy(config.clone(), set.clone()).map_err(|error| anyhow!("{error}"))
    }))
}

fn change(shelf: &Shelf, name: &str, count: u32) -> Result<Case> {
    let set = endpoints(1, "here", count);
    let changed = with_other_weight(&set);
    back_and_forth(shelf, name, format!("{name}: one of {count} endpoints has another weight"), set, changed)
}

fn replace(shelf: &Shelf, name: &str, count: u32) -> Result<Case> {
    let (set, others) = (endpoints(1, "here", count), endpoints(2, "there", count));
    back_and_forth(shelf, name, format!("{name}: all of {count} endpoints are replaced"), set, others)
}

fn back_and_forth(
    shelf: &Shelf,
    name: &str,
    case: String,
    one: Arc<EndpointSet>,
    other: Arc<EndpointSet>,
) -> Result<Case> {
    let balancer = balancer_of(shelf, name, &one)?;
    let mut sets = [other, one];
    Ok(Case::batches(case, move |calls| {
        let took = timed(|| {
            for _ in 0..calls {
                balancer.set_endpoints(&sets[0]);
                sets.swap(0, 1);
            }
            Ok(())
        })?;
        // A fault would not show otherwise: the host takes note of it, and starts the instance again.
        picked(&balancer, Some(1))?;
        Ok(took)
    }))
}

fn policy(shelf: &Shelf, name: &str, config: PolicyConfig, endpoints: &Arc<EndpointSet>) -> Result<(Instance, u32)> {
    let mut instance = shelf.starter(name)?()?;
    let policy = instance.add_policy(config, endpoints.clone()).map_err(|error| anyhow!("{error}"))?;
    Ok((instance, policy))
}

fn config(role: Role, config: &Value) -> PolicyConfig {
    PolicyConfig {
        role,
        scope: "bench".into(),
        config: config.to_string().into(),
        pointer: String::new(),
        known_clusters: KnownClusters::default(),
    }
}
