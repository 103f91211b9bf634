//! Takes the better of two random endpoints by what it would cost to wait there: the time that answers take, times the
//! attempts under way. [`estimate`] has how long answers take.

mod estimate;

use estimate::Estimates;
use plimsoll_sdk::Draw;
use plimsoll_sdk::prelude::*;

/// What to measure, and how long to remember it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What counts as the time of an answer.
    time: Time,
    /// How fast a slow answer is forgotten: after this time about a third of it counts. 100ms to 1h.
    decay: Duration,
    /// What an answer is taken to need while nothing is known of any endpoint. 1ms to 1h.
    default_time: Duration,
}

/// A time of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Time {
    /// To its first byte.
    Header,
    /// To its last byte.
    LastByte,
}

impl Default for Config {
    fn default() -> Self {
        Self { time: Time::Header, decay: Duration::from_secs(10), default_time: Duration::from_millis(10) }
    }
}

/// Compares two.
#[derive(Debug)]
pub struct PeakEwma {
    time: Time,
    estimates: Estimates,
    draw: Draw,
    mean_weight: f64,
    weights_equal: bool,
}

/// Draws that may hit what was tried already, before the first of the others is taken.
const DRAWS: usize = 8;

impl Balancer for PeakEwma {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let most = Duration::from_secs(3600);
        let spans = [
            ("/decay", config.decay, Duration::from_millis(100)),
            ("/default_time", config.default_time, Duration::from_millis(1)),
        ];
        for (path, span, least) in spans {
            if span < least || span > most {
                errors.push(path, format_args!("expected {least} to {most}, not {span}"));
            }
        }
        errors.or(Self {
            time: config.time,
            estimates: Estimates::new(config.decay, config.default_time),
            draw: Draw::default(),
            mean_weight: 1.0,
            weights_equal: true,
        })
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let ready = endpoints.ready();
        self.draw = Draw::new(endpoints);
        self.estimates.update(ready, host::now_ms());
        let total: f64 = ready.iter().map(|e| f64::from(e.weight)).sum();
        self.mean_weight = total / ready.len().max(1) as f64;
        self.weights_equal = endpoints.weights_equal();
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let (first, second) = match (ready, request.tried) {
            ([], _) => return None,
            ([only], _) => return Some(Choice::slot(only.slot)),
            (_, []) => self.draw.two(ready.len()),
            (_, _) => self.two_untried(request),
        };
        let (load_of_first, load_of_second) = host::in_flight_pair(ready[first].slot, ready[second].slot);
        let cost_of_first = self.cost(first, &ready[first], load_of_first);
        let chosen = if self.cost(second, &ready[second], load_of_second) < cost_of_first { second } else { first };
        Some(Choice::slot(ready[chosen].slot))
    }

    fn outcomes(&mut self, outcomes: &[Outcome]) {
        let now_ms = host::now_ms();
        for outcome in outcomes {
            let us = if self.time == Time::Header { outcome.first_byte_us } else { outcome.total_us };
            match outcome.class {
                OutcomeClass::Success => self.estimates.answered(outcome.slot, us),
                OutcomeClass::ClientAbort => {}
                _ => self.estimates.failed(outcome.slot, outcome.total_us),
            }
        }
        if outcomes.is_empty() {
            self.estimates.pass(now_ms);
        } else {
            self.estimates.learn(now_ms);
        }
    }
}

impl PeakEwma {
    /// The draw sees to the weights already; what counts here is the load for the weight.
    #[inline]
    fn cost(&self, index: usize, endpoint: &Ready, load: u32) -> f64 {
        let load = f64::from(load);
        let for_its_weight =
            if self.weights_equal { load } else { load * self.mean_weight / f64::from(endpoint.weight) };
        self.estimates.us(index) * (1.0 + for_its_weight)
    }

    /// The same twice when only one is left, or anything when none is.
    fn two_untried(&self, request: &Pick<'_>) -> (usize, usize) {
        let ready = request.endpoints.ready();
        let untried = |index: &usize| !request.is_tried(ready[*index].slot);
        let mut draws = (0..DRAWS).map(|_| self.draw.one(ready.len())).filter(untried);
        let start = host::random_below(ready.len() as u32) as usize;
        let Some(first) = draws.next().or_else(|| (start..ready.len()).chain(0..start).find(untried)) else {
            return (start, start);
        };
        (first, draws.find(|index| *index != first).unwrap_or(first))
    }
}

plimsoll_sdk::plugin! { summary: "the better of two by answer times that remember peaks", balancer: PeakEwma }

#[cfg(test)]
mod tests;
