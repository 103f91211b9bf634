//! What a pick costs, and what it costs to tell a balancer of endpoints.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use plimsoll::plugin::{Balancer, Choice, PickRequest, Role};
use plimsoll::snapshot::{EndpointSet, Outcome, OutcomeClass};
use serde_json::{Value, json};

use super::endpoints::{endpoints, with_one_unavailable, with_other_weight};
use super::policy::{config, policy};
use super::shelf::Shelf;
use crate::measure::{Case, timed};

/// How a balancer finds its endpoint, which says what a pick may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By whose turn it is, or by chance.
    Turn,
    /// By the key.
    Key,
    /// The better of two.
    Two,
    /// By a look at all.
    Scan,
}

const BALANCERS: [(&str, Way); 15] = [
    ("round-robin", Way::Turn),
    ("static-round-robin", Way::Turn),
    ("weighted-by-signal", Way::Turn),
    ("random", Way::Turn),
    ("first", Way::Turn),
    ("failover", Way::Turn),
    ("least-request", Way::Two),
    ("peak-ewma", Way::Two),
    ("resource", Way::Two),
    ("least-connections", Way::Scan),
    ("least-time", Way::Scan),
    ("rendezvous", Way::Scan),
    ("maglev", Way::Key),
    ("ring-hash", Way::Key),
    ("jump-hash", Way::Key),
];

const MANY: u32 = 10_000;

impl Way {
    /// What a pick may take, in nanoseconds.
    const fn goal(self, count: u32) -> Option<f64> {
        match (self, count) {
            (Self::Scan, 10) => Some(600.0),
            (_, 10) => Some(250.0),
            (Self::Key | Self::Two, MANY) => Some(500.0),
            _ => None,
        }
    }
}

/// Of being told of many endpoints, or of one change among them.
const BUILD_GOAL: f64 = 50e6;

pub(super) fn cases(shelf: &Shelf) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (name, way) in BALANCERS {
        for count in [10, 1000, MANY] {
            cases.push(pick(shelf, name, count)?.within(way.goal(count)));
        }
    }
    for (name, _) in BALANCERS {
        let set = endpoints(1, "here", MANY);
        let changes = [
            ("one of them has another weight", with_other_weight(&set)),
            ("one of them becomes unavailable", with_one_unavailable(&set)),
            ("all of them are replaced", endpoints(2, "there", MANY)),
        ];
        cases.push(create(shelf, name, &set)?.within(BUILD_GOAL));
        for (change, changed) in changes {
            let case = format!("{name}: {MANY} endpoints, {change}");
            cases.push(back_and_forth(shelf, name, case, set.clone(), changed)?.within(BUILD_GOAL));
        }
    }
    Ok(cases)
}

/// After some outcomes, for those that go by them. All loads are 0.
fn pick(shelf: &Shelf, name: &str, count: u32) -> Result<Case> {
    let balancer = balancer(shelf, name, &json!({}), &endpoints(1, "here", count))?;
    if balancer.wants_outcomes() {
        let outcome = |slot: u32| Outcome {
            slot,
            class: OutcomeClass::Success,
            status: 200,
            first_byte_us: 300 + slot % 7,
            total_us: 400 + slot % 11,
        };
        let outcomes: Vec<Outcome> = (0..count).map(outcome).collect();
        outcomes.chunks(256).for_each(|batch| balancer.outcomes(batch));
    }
    // Keys are hashes. Only the balancers that hash look at them.
    let key = move |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok(Case::new(format!("{name}: pick among {count}"), move |number| picked(&balancer, Some(key(number)))))
}

pub(super) fn picked(balancer: &Balancer, key: Option<u64>) -> Result<Choice> {
    balancer.pick(PickRequest { key, tried: &[], details: None })?.context("a balancer with endpoints chooses one")
}

pub(super) fn balancer(shelf: &Shelf, name: &str, options: &Value, endpoints: &Arc<EndpointSet>) -> Result<Balancer> {
    let (instance, policy) = policy(shelf, name, config(Role::Balancer, options), endpoints)?;
    Ok(Balancer::new(Rc::new(RefCell::new(instance)), policy))
}

/// A policy with its endpoints in a fresh instance, as at a start.
fn create(shelf: &Shelf, name: &str, set: &Arc<EndpointSet>) -> Result<Case> {
    let (config, set) = (config(Role::Balancer, &json!({})), set.clone());
    Ok(Case::with_new(format!("{name}: create with {MANY} endpoints"), shelf.starter(name)?, move |instance| {
        instance.add_policy(config.clone(), set.clone()).map_err(|error| anyhow!("{error}"))
    }))
}

fn back_and_forth(
    shelf: &Shelf,
    name: &str,
    case: String,
    one: Arc<EndpointSet>,
    other: Arc<EndpointSet>,
) -> Result<Case> {
    let balancer = balancer(shelf, name, &json!({}), &one)?;
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
