use crate::{Availability, Balancer, Endpoint};

/// Endpoints that come, go and change.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) endpoints: Vec<Endpoint>,
    next_slot: u32,
}

/// One thing that happens. Positions count modulo the number of endpoints, so that a step has a meaning whatever was
/// before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Come { weight: u32 },
    Go { at: usize },
    Become { at: usize, availability: Availability },
    Weigh { at: usize, weight: u32 },
    Pick { key: Option<u64> },
}

const MOST: usize = 20;

impl Fleet {
    pub(crate) fn new(count: u32) -> Self {
        Self { endpoints: Endpoint::several(count), next_slot: count }
    }

    /// Answers false for a step that changes no endpoint.
    pub(crate) fn take(&mut self, step: Step) -> bool {
        let count = self.endpoints.len();
        let at_one = |at: usize| (count > 0).then(|| at % count);
        match step {
            Step::Pick { .. } => return false,
            Step::Come { weight } => {
                if count < MOST {
                    self.endpoints.push(Endpoint { weight, ..Endpoint::new(self.next_slot) });
                    self.next_slot += 1;
                }
            }
            Step::Go { at } => {
                if let Some(at) = at_one(at) {
                    self.endpoints.remove(at);
                }
            }
            Step::Become { at, availability } => {
                if let Some(at) = at_one(at) {
                    self.endpoints[at].availability = availability;
                }
            }
            Step::Weigh { at, weight } => {
                if let Some(at) = at_one(at) {
                    self.endpoints[at].weight = weight;
                }
            }
        }
        true
    }

    /// What is wrong with a choice.
    pub(crate) fn mistake(&self, chosen: u32) -> Option<String> {
        let found = self.endpoints.iter().find(|endpoint| endpoint.slot == chosen);
        match found {
            Some(endpoint) if endpoint.takes_new() => None,
            Some(endpoint) => Some(format!("chose {endpoint:?} of {:?}", self.endpoints)),
            None => Some(format!("chose slot {chosen}, which is none of {:?}", self.endpoints)),
        }
    }
}

/// Random steps, a tenth of them changes.
pub(crate) fn random_steps(random: &mut fastrand::Rng, count: u32) -> Vec<Step> {
    (0..count).map(|step| if step % 10 == 0 { random_change(random) } else { random_pick(random) }).collect()
}

fn random_pick(random: &mut fastrand::Rng) -> Step {
    Step::Pick { key: random.bool().then(|| random.u64(..)) }
}

fn random_change(random: &mut fastrand::Rng) -> Step {
    let at = random.usize(..MOST);
    match random.u8(..5) {
        0 => Step::Come { weight: random.u32(..4) },
        1 => Step::Go { at },
        2 | 3 => {
            let states = [Availability::Ready, Availability::Draining, Availability::Unavailable];
            Step::Become { at, availability: states[random.usize(..states.len())] }
        }
        _ => Step::Weigh { at, weight: [0, 1, 2, 3, 100, 65_535][random.usize(..6)] },
    }
}

/// Plays steps from endpoints that are told first, and answers what was chosen at each.
pub(crate) fn play(balancer: &mut dyn Balancer, fleet: &mut Fleet, steps: &[Step]) -> Result<Vec<Option<u32>>, String> {
    balancer.set_endpoints(&fleet.endpoints)?;
    let mut chosen = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if fleet.take(*step) {
            balancer.set_endpoints(&fleet.endpoints).map_err(|fault| format!("step {number}: {fault}"))?;
        }
        if let Step::Pick { key } = step {
            chosen.push(balancer.pick(*key, &[]).map_err(|fault| format!("step {number}: {fault}"))?);
        }
    }
    Ok(chosen)
}
