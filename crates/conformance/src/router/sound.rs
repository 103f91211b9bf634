//! What holds for every router, whatever its rules are.

use std::collections::HashMap;

use super::deadline::is_in_time;
use super::gateway;
use super::policy::{Action, Decision, RouterPlan, router};
use crate::Profile;
use crate::field::{can_be_sent, is_token};
use crate::foreign::foreign_states;
use crate::memory::PAGE;
use crate::request::{Attribute, Values, Vocabulary};
use crate::trial::{Checked, Property, Stop, Trial, pair};

const ALL: &[Profile] = &[Profile::Router];

pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "R1",
        ALL,
        "every request is answered, whatever bytes it has and whatever it lacks",
        answers_anything,
    ),
    Property::quick(
        "R5",
        ALL,
        "an answer said to be repeatable is given again to the same values: later, after others, by another instance",
        is_right_about_what_repeats,
    ),
    Property::quick(
        "R8",
        ALL,
        "answers name clusters and routes that it has named before, and nothing is to be sent that cannot be",
        answers_with_what_exists,
    ),
    Property::quick(
        "R9",
        ALL,
        "values of 8 KiB, made to take as long as they can, are answered within the deadline of a request",
        is_not_slowed_down,
    ),
    Property::quick("R12", ALL, "two policies of one instance know nothing of each other", policies_are_apart),
    Property::thorough("R13", ALL, "memory does not grow with the number of requests", memory_stays),
    Property::thorough(
        "R14",
        ALL,
        "a policy that is destroyed and created again answers as one that is new",
        can_be_created_again,
    ),
    Property::quick(
        "R15",
        ALL,
        "foreign state is refused or ignored, and answers stay what they were",
        survives_foreign_state,
    ),
    Property::thorough("R16", ALL, "the same seed and the same requests give the same answers", is_repeatable),
];

/// The configurations that it is tried with: that of the run and, where it takes it, a table of every kind of condition.
fn configs(trial: &Trial<'_>) -> Result<Vec<String>, Stop> {
    let rich = trial.takes(Profile::Gateway).then(|| gateway::RICH.to_owned());
    match (trial.config_of("router"), rich) {
        (Ok(config), rich) => Ok(std::iter::once(config).chain(rich).collect()),
        (Err(_), Some(rich)) => Ok(vec![rich]),
        (Err(refusal), None) => Err(refusal),
    }
}

/// Requests that a client could send, many of them more than once.
fn plausible(trial: &mut Trial<'_>, config: &str, count: u32) -> Result<Vec<Values>, Stop> {
    let attributes = router(trial, config, 0)?.plan().attributes;
    let words = Vocabulary::of(config);
    let few: Vec<Values> = (0..60).map(|_| words.plausible(&mut trial.random, &attributes)).collect();
    Ok((0..count).map(|_| few[trial.random.usize(..few.len())].clone()).collect())
}

fn answers_anything(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let attributes = router(trial, &config, 0)?.plan().attributes;
        let words = Vocabulary::of(&config);
        let count = (trial.steps / 5).max(200);
        let requests = (0..count).map(|_| words.hostile(&mut trial.random, &attributes)).collect();
        trial.measure("requests", f64::from(count));
        trial.try_list(requests, |trial, requests| {
            let mut router = router(trial, &config, 0)?;
            for request in requests {
                router.route(request).map_err(|fault| format!("{request:?}: {fault}"))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn is_right_about_what_repeats(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let count = (trial.steps / 5).max(300);
        let requests = plausible(trial, &config, count)?;
        trial.measure("requests", f64::from(2 * count));
        trial.try_list(requests, |trial, requests| {
            let mut told: HashMap<&Values, Decision> = HashMap::new();
            let mut one = router(trial, &config, 0)?;
            for (number, request) in (0..).zip(requests) {
                one.set_now_ms(number * 250);
                let decision = one.route(request)?;
                match told.get(request) {
                    Some(before) => {
                        same(request, before, &decision).map_err(|how| format!("{how}, request {number}"))?
                    }
                    None if decision.repeatable => {
                        told.insert(request, decision);
                    }
                    None => {}
                }
            }
            // Another worker has other randomness, another past and another time.
            let mut other = router(trial, &config, 1)?;
            other.set_now_ms(86_400_000);
            for request in requests.iter().rev() {
                let decision = other.route(request)?;
                if let Some(before) = told.get(request) {
                    same(request, before, &decision).map_err(|how| format!("{how}, by another instance"))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn same(request: &Values, before: &Decision, now: &Decision) -> Result<(), String> {
    if (&before.action, before.route) == (&now.action, now.route) {
        return Ok(());
    }
    Err(format!(
        "{request:?}: repeatable {:?} by route {:?}, then {:?} by {:?}",
        before.action, before.route, now.action, now.route
    ))
}

fn answers_with_what_exists(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let count = (trial.steps / 5).max(200);
        let requests = plausible(trial, &config, count)?;
        trial.try_list(requests, |trial, requests| {
            let mut router = router(trial, &config, 0)?;
            let plan = router.plan();
            for request in requests {
                let decision = router.route(request)?;
                if let Some(mistake) = mistake(&plan, &decision) {
                    return Err(format!("{request:?}: {mistake}"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What is wrong with an answer.
fn mistake(plan: &RouterPlan, decision: &Decision) -> Option<String> {
    let is_within = |index: u32, count: usize| (index as usize) < count;
    if let Some(route) = decision.route.filter(|route| !is_within(*route, plan.routes.len())) {
        return Some(format!("route {route} of {}", plan.routes.len()));
    }
    match &decision.action {
        Action::Forward(cluster) if !is_within(*cluster, plan.clusters.len()) => {
            Some(format!("cluster {cluster} of {}", plan.clusters.len()))
        }
        Action::Redirect { status, .. } if ![301, 302, 303, 307, 308].contains(status) => {
            Some(format!("a redirect with status {status}"))
        }
        Action::Redirect { location, .. } if !can_be_sent(location.as_bytes()) => {
            Some(format!("a redirect to {location:?}"))
        }
        Action::Respond { status, .. } if !(200..600).contains(status) => {
            Some(format!("an answer with status {status}"))
        }
        Action::Respond { headers, .. } => {
            let bad = headers.iter().find(|(name, value)| !is_token(name) || !can_be_sent(value));
            bad.map(|(name, value)| format!("header {name:?} with the value \"{}\"", value.escape_ascii()))
        }
        _ => None,
    }
}

/// As long as the heads of most servers may be.
const LONG: usize = 8192;

fn is_not_slowed_down(trial: &mut Trial<'_>) -> Checked {
    // Made of pieces that end segments, labels, pairs and escapes, and of such as nearly do.
    const PIECES: [&str; 12] = ["/", "a", "/a", "/../", "/./", "a.", ".", "%2e", "%", "/a/..", ",", "a=1&"];
    for config in configs(trial)? {
        let mut router = router(trial, &config, 0)?;
        let attributes = router.plan().attributes;
        let words = Vocabulary::of(&config);
        for at in 0..attributes.len() {
            for piece in PIECES {
                let mut request = words.plausible(&mut trial.random, &attributes);
                let mut long = if attributes[at] == Attribute::Path { b"/".to_vec() } else { Vec::new() };
                long.extend(piece.bytes().cycle().take(LONG));
                request.0[at] = Some(long);
                is_in_time(&mut *router, &request)?;
            }
        }
    }
    Ok(())
}

fn policies_are_apart(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let count = (trial.steps / 10).max(200);
        let requests = plausible(trial, &config, count)?;
        trial.try_list(requests, |trial, requests| {
            let mut alone = router(trial, &config, 0)?;
            let (mut one, mut other) = pair(trial.subject.routers(&config, 0, 2))?;
            for (number, request) in requests.iter().enumerate() {
                // The other one is asked something else, more or less often, and begins anew now and then.
                for between in requests.iter().rev().skip(number).take(number % 3) {
                    other.route(between)?;
                }
                if number % 64 == 63 {
                    other.create_again().map_err(|fault| format!("creating the other one again: {fault}"))?;
                }
                let (expected, decision) = (alone.route(request)?, one.route(request)?);
                if decision != expected {
                    return Err(format!("{request:?}: {decision:?} beside another policy, {expected:?} without"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let words = Vocabulary::of(&config);
        let mut router = router(trial, &config, 0)?;
        let attributes = router.plan().attributes;
        let count = (trial.steps / 2).max(1000);
        let mut sizes = Vec::new();
        for _ in 0..5 {
            // New ones each time: who remembers requests remembers these, too.
            for _ in 0..count {
                let mut request = words.plausible(&mut trial.random, &attributes);
                if !attributes.is_empty() {
                    let at = trial.random.usize(..attributes.len());
                    request.0[at] = Some(format!("/{:x}", trial.random.u64(..)).into_bytes());
                }
                router.route(&request)?;
            }
            let Some(size) = router.memory_bytes() else {
                return Err(Stop::Skipped("the size of its memory is not known".into()));
            };
            sizes.push(size);
        }
        if sizes.windows(2).all(|pair| pair[1] > pair[0] + PAGE) {
            return Err(format!("it grew with each {count} requests: {sizes:?} bytes").into());
        }
        trial.measure("bytes", sizes[4] as f64);
    }
    Ok(())
}

fn can_be_created_again(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let requests = plausible(trial, &config, 500)?;
        let mut old = router(trial, &config, 0)?;
        for request in &requests {
            old.route(request)?;
        }
        old.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
        let mut new = router(trial, &config, 0)?;
        for request in &requests {
            let (decision, expected) = (old.route(request)?, new.route(request)?);
            // What is drawn may differ.
            if expected.repeatable {
                same(request, &expected, &decision)
                    .map_err(|how| format!("a new policy, and one created again: {how}"))?;
            }
        }
    }
    Ok(())
}

fn survives_foreign_state(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let requests = plausible(trial, &config, 100)?;
        let mut saving = router(trial, &config, 0)?;
        for request in &requests {
            saving.route(request)?;
        }
        let own = saving.save().map_err(|fault| format!("saving: {fault}"))?;
        let mut states = foreign_states(&mut trial.random, &own);
        states.push(own);
        let mut new = router(trial, &config, 0)?;
        let expected = requests.iter().map(|request| new.route(request)).collect::<Result<Vec<_>, _>>()?;
        for state in states {
            trial.try_list(state, |trial, state| {
                let mut restored = router(trial, &config, 0)?;
                restored.restore(state).map_err(|fault| format!("restoring: {fault}"))?;
                for (request, expected) in requests.iter().zip(&expected) {
                    let decision = restored.route(request)?;
                    if expected.repeatable {
                        same(request, expected, &decision)
                            .map_err(|how| format!("without the state, and with it: {how}"))?;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn is_repeatable(trial: &mut Trial<'_>) -> Checked {
    for config in configs(trial)? {
        let requests = plausible(trial, &config, trial.steps / 5)?;
        trial.try_list(requests, |trial, requests| {
            let (mut one, mut other) = (router(trial, &config, 0)?, router(trial, &config, 0)?);
            for request in requests {
                let (first, second) = (one.route(request)?, other.route(request)?);
                if first != second {
                    return Err(format!("{request:?}: {first:?} the first time, {second:?} the second"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
