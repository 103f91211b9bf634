use crate::fleet::{Fleet, Step, random_steps};
use crate::request::Vocabulary;
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Balancer, Profile, Values};

/// What holds for balancers that see more of a request than a key.
pub(crate) const PROPERTIES: &[Property] = &[Property::quick(
    "B28",
    &[Profile::Balancer],
    "whatever is shown of requests, only endpoints that may be chosen are, and none again that failed the request while \
     another may be",
    keeps_to_the_rules_whatever_is_shown,
)];

/// Attempts of one request.
const ATTEMPTS: usize = 4;
/// Keys that a configuration may hash on.
const KEYS: usize = 4;

#[derive(Clone, Debug)]
enum Event {
    Change(Step),
    Request { values: Values, keys: Vec<Option<u64>> },
}

fn keeps_to_the_rules_whatever_is_shown(trial: &mut Trial<'_>) -> Checked {
    let balancer = trial.balancer()?;
    let (attributes, wants_keys) = (balancer.attributes(), balancer.wants_keys());
    if attributes.is_empty() && !wants_keys {
        return Err(Stop::Skipped("it wants to see nothing of a request but a key".into()));
    }
    let words = Vocabulary::of(trial.config);
    let steps = random_steps(&mut trial.random, (trial.steps / 4).max(200));
    let random = &mut trial.random;
    let events = steps.into_iter().map(|step| {
        let Step::Pick { key } = step else { return Event::Change(step) };
        let hostile = random.bool();
        let values = if hostile { words.hostile(random, &attributes) } else { words.plausible(random, &attributes) };
        let count = if wants_keys { random.usize(..=KEYS) } else { usize::from(key.is_some()) };
        let keys = (0..count).map(|_| random.bool().then(|| random.u64(..))).collect();
        Event::Request { values, keys: if wants_keys { keys } else { key.map(Some).into_iter().collect() } }
    });
    let events: Vec<Event> = events.collect();
    trial.measure("steps", events.len() as f64);
    trial.try_list(events, |trial, events| {
        let mut balancer = trial.balancer()?;
        let mut fleet = Fleet::new(8);
        balancer.set_endpoints(&fleet.endpoints)?;
        for (number, event) in events.iter().enumerate() {
            let done = match event {
                Event::Change(step) => {
                    fleet.take(*step);
                    balancer.set_endpoints(&fleet.endpoints)
                }
                Event::Request { values, keys } => attempts(&mut *balancer, &fleet, values, keys),
            };
            done.map_err(|how| format!("step {number}: {how}"))?;
        }
        Ok(())
    })
}

/// A request that fails everywhere.
fn attempts(balancer: &mut dyn Balancer, fleet: &Fleet, values: &Values, keys: &[Option<u64>]) -> Result<(), String> {
    let mut tried = Vec::new();
    while tried.len() < ATTEMPTS {
        let Some(slot) = balancer.pick_for(values, keys, &tried)? else { return Ok(()) };
        if let Some(mistake) = fleet.mistake(slot) {
            return Err(format!("{mistake}, shown {values:?} and keys {keys:?}"));
        }
        if tried.contains(&slot) {
            let is_other = fleet.endpoints.iter().any(|other| other.takes_new() && !tried.contains(&other.slot));
            let how = format!("slot {slot} again after {tried:?}, shown {values:?} and keys {keys:?}");
            return if is_other { Err(how) } else { Ok(()) };
        }
        tried.push(slot);
    }
    Ok(())
}
