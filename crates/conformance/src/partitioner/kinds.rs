use serde_json::Value;

use super::policy::{Group, Partitioner};
use crate::profile::Shown;
use crate::request::Values;
use crate::statistics::margin;
use crate::trial::{Checked, Property, Stop, Trial, Use, only};
use crate::{Availability, Endpoint, Profile, Subject};

const LOCALITY: &[Profile] = &[Profile::Locality];
const PRIORITY: &[Profile] = &[Profile::Priority];

/// What the kinds promise. Both know how much more than its share an endpoint can carry, a factor of 1.4 unless the
/// configuration says otherwise as `overprovisioning_percent`.
pub(super) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "PT13",
        LOCALITY,
        "everything stays in the zone of the proxy while that can carry it",
        stays_at_home,
    ),
    Property::thorough(
        "PT14",
        LOCALITY,
        "what the zone of the proxy cannot carry goes elsewhere, in proportion to what failed",
        spills_in_proportion,
    ),
    Property::thorough(
        "PT15",
        PRIORITY,
        "a further level gets nothing while the ones before can carry everything",
        keeps_to_the_first_level,
    ),
    Property::thorough(
        "PT16",
        PRIORITY,
        "a further level gets what the ones before it cannot carry, and everything when none of them is ready",
        spills_to_the_next_level,
    ),
];

/// So many that a share of a hundredth shows.
const MEMBERS: u32 = 20;

/// Half of them at home, or of the first level, of which so many are ready.
fn halves(ready: u32, divide: fn(&mut Endpoint, bool)) -> Vec<Endpoint> {
    let endpoint = |slot: u32| {
        let mut endpoint = Endpoint::new(slot);
        let is_first = slot < MEMBERS / 2;
        if is_first && slot >= ready {
            endpoint.availability = Availability::Unavailable;
        }
        divide(&mut endpoint, is_first);
        endpoint
    };
    (0..MEMBERS).map(endpoint).collect()
}

fn by_zone(zone: &str, ready: u32) -> Vec<Endpoint> {
    let mut endpoints = halves(ready, |endpoint, _| endpoint.zone = "elsewhere".to_owned());
    endpoints[..MEMBERS as usize / 2].iter_mut().for_each(|endpoint| zone.clone_into(&mut endpoint.zone));
    endpoints
}

fn by_level(ready: u32) -> Vec<Endpoint> {
    halves(ready, |endpoint, is_first| endpoint.priority = u32::from(!is_first))
}

/// How many of the requests go to groups of endpoints of the first half alone, and how many to such of the others.
fn shares(partitioner: &mut dyn Partitioner, endpoints: &[Endpoint], requests: u32) -> Result<(u32, u32), String> {
    let groups = partitioner.divide(1, endpoints)?;
    let values = Values(vec![None; partitioner.attributes().len()]);
    let (mut first, mut others) = (0, 0);
    for _ in 0..requests {
        let Some(chosen) = partitioner.choose(&values, None, 1)? else { continue };
        let Some(Group { slots, .. }) = groups.get(chosen as usize) else {
            return Err(format!("group {chosen} of {}", groups.len()));
        };
        let in_first = slots.iter().filter(|slot| **slot < MEMBERS / 2).count();
        first += u32::from(in_first > 0 && in_first == slots.len());
        others += u32::from(in_first == 0);
    }
    Ok((first, others))
}

/// The configuration with a zone of the proxy in it, and the zone.
fn with_zone(config: &str) -> (String, String) {
    const ZONE: &str = "home";
    let mut value: Value = serde_json::from_str(config).unwrap_or_default();
    match value.get("zone").and_then(Value::as_str) {
        Some(zone) if !zone.is_empty() => (config.to_owned(), zone.to_owned()),
        _ => {
            if !value.is_object() {
                value = Value::Object(serde_json::Map::new());
            }
            value["zone"] = ZONE.into();
            (value.to_string(), ZONE.to_owned())
        }
    }
}

/// How much more than its share an endpoint can carry.
fn factor(config: &str) -> f64 {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    config.get("overprovisioning_percent").and_then(Value::as_f64).map_or(1.4, |percent| percent / 100.0)
}

const LOOK: u32 = 200;

pub(super) fn keeps_to_zones(subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    let (config, zone) = with_zone(config);
    let mut partitioner = match subject.partitioners(&config, 0, 1) {
        Err(failure) => return Ok((false, format!("it takes no `zone` ({failure})"))),
        made => only(made)?,
    };
    let home = shares(&mut *partitioner, &by_zone(&zone, MEMBERS / 2), LOOK)?;
    let away = shares(&mut *partitioner, &by_zone(&zone, 0), LOOK)?;
    Ok(if (home, away) == ((LOOK, 0), (0, LOOK)) {
        (true, "it kept requests in the zone that it was told, and left it when nothing there was ready".to_owned())
    } else {
        (false, "it does not keep requests in the zone that it was told".to_owned())
    })
}

pub(super) fn keeps_to_levels(subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    let mut partitioner = only(subject.partitioners(config, 0, 1))?;
    let first = shares(&mut *partitioner, &by_level(MEMBERS / 2), LOOK)?;
    let second = shares(&mut *partitioner, &by_level(0), LOOK)?;
    Ok(if (first, second) == ((LOOK, 0), (0, LOOK)) {
        (true, "it kept requests at the first priority level, and left it when nothing there was ready".to_owned())
    } else {
        (false, "it does not go by priority levels".to_owned())
    })
}

/// Tries each number of ready endpoints in the first half, and holds what that half gets against its bounds.
fn try_ready(
    trial: &mut Trial<'_>,
    counts: impl Fn(f64) -> Vec<u32>,
    set: impl Fn(u32) -> Vec<Endpoint>,
    config: &str,
    bounds: impl Fn(f64, f64) -> (f64, f64),
) -> Checked {
    let factor = factor(config);
    let requests = trial.steps.max(2000);
    for ready in counts(factor) {
        let healthy = f64::from(ready) / f64::from(MEMBERS / 2);
        let mut partitioner = only(trial.subject.partitioners(config, 0, 1))?;
        let (first, others) = shares(&mut *partitioner, &set(ready), requests)?;
        let (least, most) = bounds(healthy, factor);
        let share = f64::from(first) / f64::from(requests);
        // Shares may be in whole thousandths.
        let slack = |bound: f64| {
            (margin(requests.into(), bound) / f64::from(requests) + 0.002)
                * f64::from(u8::from(bound > 0.0 && bound < 1.0))
        };
        if first + others != requests || share < least - slack(least) || share > most + slack(most) {
            return Err(Stop::Broken {
                how: format!(
                    "{first} of {requests} requests, and {others} to the others: a share of {least:.3} to {most:.3} was due"
                ),
                smallest: Some(format!("{ready} of {} are ready, and {} of the others", MEMBERS / 2, MEMBERS / 2)),
            });
        }
    }
    Ok(())
}

/// Numbers of ready endpoints with which the first half can carry everything.
fn enough(factor: f64) -> Vec<u32> {
    (1..=MEMBERS / 2).filter(|ready| f64::from(*ready) / f64::from(MEMBERS / 2) * factor >= 1.0).collect()
}

/// The others.
fn too_few(factor: f64) -> Vec<u32> {
    (0..=MEMBERS / 2).filter(|ready| f64::from(*ready) / f64::from(MEMBERS / 2) * factor < 1.0).collect()
}

fn stays_at_home(trial: &mut Trial<'_>) -> Checked {
    let (config, zone) = with_zone(Use::config(trial.uses, "partitioner"));
    try_ready(trial, enough, |ready| by_zone(&zone, ready), &config, |_, _| (0.99, 1.0))
}

fn spills_in_proportion(trial: &mut Trial<'_>) -> Checked {
    let (config, zone) = with_zone(Use::config(trial.uses, "partitioner"));
    // Not more than it can carry, and not less than its plain share.
    let bounds = |healthy: f64, factor: f64| (healthy, (healthy * factor).min(1.0));
    try_ready(trial, too_few, |ready| by_zone(&zone, ready), &config, bounds)
}

fn keeps_to_the_first_level(trial: &mut Trial<'_>) -> Checked {
    let config = Use::config(trial.uses, "partitioner").to_owned();
    try_ready(trial, enough, by_level, &config, |_, _| (1.0, 1.0))
}

fn spills_to_the_next_level(trial: &mut Trial<'_>) -> Checked {
    let config = Use::config(trial.uses, "partitioner").to_owned();
    let bounds = |healthy: f64, factor: f64| (healthy * factor, healthy * factor);
    try_ready(trial, too_few, by_level, &config, bounds)
}
