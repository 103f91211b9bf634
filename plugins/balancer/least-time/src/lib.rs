//! Takes the endpoint that is expected to need the least time for what it has under way, as nginx's `least_time`. Those
//! that need about as long take smooth turns. [`times`] has how long answers take.

mod times;

use plimsoll_sdk::Turns;
use plimsoll_sdk::prelude::*;
use times::Times;

/// What to measure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What counts as the time of an answer.
    time: Time,
    /// Count how long attempts have been under way, too, where that is longer than answers took.
    inflight: bool,
    /// The time of an endpoint that was not chosen for so long is halved, and again for each further such time, so that it
    /// is tried again. nginx's `fail_timeout`. 1s to 1h.
    halve_after: Duration,
    /// Begin at a random turn, so that workers and machines do not send in step.
    random_start: bool,
}

/// A time of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Time {
    /// To its first byte.
    Header,
    /// To its last byte.
    LastByte,
}

impl Default for Config {
    fn default() -> Self {
        Self { time: Time::Header, inflight: false, halve_after: Duration::from_secs(10), random_start: true }
    }
}

/// Takes the one of the least time.
#[derive(Debug)]
pub struct LeastTime {
    time: Time,
    inflight: bool,
    /// Whether the first endpoints are still to be met at a random turn.
    random_start: bool,
    slots: Vec<u32>,
    times: Times,
    turns: Turns,
    /// Of the ready endpoints, as of the last pick.
    expected: Vec<u64>,
    /// As of the last outcomes, which come every 20 ms.
    now_ms: u64,
}

impl Balancer for LeastTime {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
        if config.halve_after < least || config.halve_after > most {
            let message = format_args!("expected {least} to {most}, not {}", config.halve_after);
            return Err(ConfigErrors::at("/halve_after", message));
        }
        Ok(Self {
            time: config.time,
            inflight: config.inflight,
            random_start: config.random_start,
            slots: Vec::new(),
            times: Times::new(config.halve_after.as_secs()),
            turns: Turns::default(),
            expected: Vec::new(),
            now_ms: 0,
        })
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let ready = endpoints.ready();
        self.now_ms = host::now_ms();
        self.slots = ready.iter().map(|endpoint| endpoint.slot).collect();
        self.times.update(endpoints);
        self.turns.update(endpoints);
        if self.random_start && !ready.is_empty() {
            self.random_start = false;
            self.turns.start_anywhere(endpoints);
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        if let [only] = ready {
            return Some(Choice::slot(only.slot));
        }
        // How long attempts have been under way is to be known exactly; for the rest the last outcomes were a moment ago.
        let now_ms = if self.inflight { host::now_ms() } else { self.now_ms };
        let loads = host::in_flight_many(&self.slots);
        self.expected.clear();
        for (index, (slot, load)) in self.slots.iter().zip(&loads).enumerate() {
            if self.inflight && !request.is_tried(*slot) {
                self.times.look_at_under_way(index, *load, now_ms);
            }
            self.expected.push(self.times.expected(index, *load, now_ms));
        }
        let expected = |index: usize| self.expected.get(index).copied();
        let untried = |index: usize| if request.is_tried(ready[index].slot) { None } else { expected(index) };
        let chosen = if request.tried.is_empty() {
            self.turns.least(ready, expected)
        } else {
            self.turns.least(ready, untried).or_else(|| self.turns.least(ready, expected))
        }?;
        self.times.chosen(chosen, self.inflight, now_ms);
        Some(Choice::slot(ready[chosen].slot))
    }

    fn outcomes(&mut self, outcomes: &[Outcome]) {
        let now_ms = host::now_ms();
        self.now_ms = now_ms;
        for outcome in outcomes {
            let us = if self.time == Time::Header { outcome.first_byte_us } else { outcome.total_us };
            let answered = outcome.class == OutcomeClass::Success;
            if self.inflight {
                let took_us = if answered { us } else { outcome.total_us };
                self.times.ended(outcome.slot, u64::from(took_us) / 1000, now_ms);
            }
            match outcome.class {
                OutcomeClass::Success => self.times.answered(outcome.slot, u64::from(us) / 1000),
                OutcomeClass::ClientAbort => {}
                _ => self.times.failed(outcome.slot, now_ms),
            }
        }
    }
}

plimsoll_sdk::plugin! { summary: "least time for the attempts under way", balancer: LeastTime }

#[cfg(test)]
mod tests;
