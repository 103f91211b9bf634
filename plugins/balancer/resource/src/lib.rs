//! Draws two endpoints at random, in proportion to their weights, and takes the one whose resources are less used by its
//! own report. Reports are late by nature: always taking the least used of all would send everybody to one endpoint
//! until it says otherwise, while two choices keep half an eye closed.

use plimsoll_sdk::Draw;
use plimsoll_sdk::prelude::*;

/// What counts as load: a sum of what was reported, each by its factor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Factor of the use of the processor.
    #[schemars(range(min = 0, max = 1000))]
    cpu: u32,
    /// Factor of the use of memory.
    #[schemars(range(min = 0, max = 1000))]
    memory: u32,
    /// Factor of what the application considers its load.
    #[schemars(range(min = 0, max = 1000))]
    utilization: u32,
    /// A report older than this says nothing.
    expiration: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { cpu: 1, memory: 0, utilization: 1, expiration: Duration::from_secs(60) }
    }
}

/// Takes the less used of two.
#[derive(Debug)]
pub struct Resource {
    config: Config,
    draw: Draw,
    /// What is known of each of the ready endpoints.
    uses: Vec<Use>,
    /// As of the last outcomes, which come every 20 ms.
    now_ms: u64,
}

/// The mixed use of an endpoint by its last report.
#[derive(Clone, Copy, Debug)]
struct Use {
    slot: u32,
    /// 0 when it has said nothing that counts.
    mixed: u64,
    until_ms: u64,
}

/// So many endpoints are looked at whenever outcomes come, of more only those that answered.
const FEW: usize = 64;

impl Balancer for Resource {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let factors = [config.cpu, config.memory, config.utilization];
        if factors.iter().any(|factor| *factor > 1000) {
            return Err(ConfigErrors::at("", "expected factors from 0 to 1000"));
        }
        if factors == [0; 3] {
            return Err(ConfigErrors::at("", "at least one of cpu, memory and utilization needs a factor above 0"));
        }
        Ok(Self { config, draw: Draw::default(), uses: Vec::new(), now_ms: 0 })
    }

    fn reasons(&self) -> Vec<String> {
        ["reports", "load"].map(Into::into).into()
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.draw = Draw::new(endpoints);
        self.now_ms = host::now_ms();
        self.uses = endpoints.ready().iter().map(|e| self.look_at(e.slot)).collect();
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    /// Reports come with answers, so this is the time to look at them: two calls of the host fewer for each pick.
    fn outcomes(&mut self, outcomes: &[Outcome]) {
        self.now_ms = host::now_ms();
        if self.uses.len() <= FEW {
            self.uses = self.uses.iter().map(|known| self.look_at(known.slot)).collect();
            return;
        }
        for outcome in outcomes {
            if let Ok(at) = self.uses.binary_search_by_key(&outcome.slot, |known| known.slot) {
                self.uses[at] = self.look_at(outcome.slot);
            }
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        match (ready, request.tried) {
            ([], _) => None,
            ([only], _) => Some(Choice::slot(only.slot)),
            (_, []) => {
                let (first, second) = self.draw.two(ready.len());
                Some(self.better(ready, first, second))
            }
            (_, _) => Some(self.untried(request)),
        }
    }
}

const REPORTS: u32 = 0;
const LOAD: u32 = 1;

impl Resource {
    /// Without reports of both, or when they say the same, what the proxy itself knows counts.
    fn better(&self, ready: &[Ready], first: usize, second: usize) -> Choice {
        match (self.use_of(first), self.use_of(second)) {
            (Some(one), Some(other)) if one != other => {
                let less = if other < one { second } else { first };
                Choice { slot: ready[less].slot, reason: REPORTS }
            }
            _ => {
                let (first, second) = (&ready[first], &ready[second]);
                let (one, other) = host::in_flight_pair(first.slot, second.slot);
                let lighter = u64::from(other) * u64::from(first.weight) < u64::from(one) * u64::from(second.weight);
                Choice { slot: if lighter { second.slot } else { first.slot }, reason: LOAD }
            }
        }
    }

    /// None when it has said nothing that counts, or too long ago.
    fn use_of(&self, index: usize) -> Option<u64> {
        let known = self.uses.get(index)?;
        (known.mixed > 0 && self.now_ms <= known.until_ms).then_some(known.mixed)
    }

    fn look_at(&self, slot: u32) -> Use {
        let Some(report) = host::reported_load(slot) else { return Use { slot, mixed: 0, until_ms: 0 } };
        let parts = [
            (self.config.cpu, report.cpu),
            (self.config.memory, report.memory),
            (self.config.utilization, report.utilization),
        ];
        let mixed = parts.iter().map(|(factor, part)| u64::from(*factor) * u64::from(*part)).sum();
        let said_ms = self.now_ms.saturating_sub(report.age_ms.into());
        let late = u64::from(report.age_ms) > self.config.expiration.as_millis();
        let until_ms = said_ms.saturating_add(self.config.expiration.as_millis());
        Use { slot, mixed: if late { 0 } else { mixed }, until_ms }
    }

    /// A further attempt: draws that hit what was tried do not count; when too many do, the first that is left is taken
    /// from a random place on.
    fn untried(&self, request: &Pick<'_>) -> Choice {
        let ready = request.endpoints.ready();
        let untried = |index: &usize| !request.is_tried(ready[*index].slot);
        let mut draws = (0..8).map(|_| self.draw.one(ready.len())).filter(untried);
        if let Some(first) = draws.next() {
            let alone = Choice { slot: ready[first].slot, reason: LOAD };
            return draws.find(|second| *second != first).map_or(alone, |second| self.better(ready, first, second));
        }
        let start = host::random_below(ready.len() as u32) as usize;
        let (before, after) = ready.split_at(start);
        let left = after.iter().chain(before).find(|e| !request.is_tried(e.slot));
        Choice { slot: left.unwrap_or(&ready[start]).slot, reason: LOAD }
    }
}

plimsoll_sdk::plugin! { summary: "the less used of two random endpoints, by their own reports", balancer: Resource }

#[cfg(test)]
mod tests;
