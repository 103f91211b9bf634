//! Takes turns in proportion to what the endpoints could take by their own reports: what they get done a second, divided
//! by how busy that makes them. [`schedule`] has the turns.

mod schedule;
mod weight;

use plimsoll_sdk::prelude::*;
use schedule::Schedule;
use weight::{Terms, Weight};

/// When reports count, and for how much.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long an endpoint must have reported before its weight counts.
    blackout_period: Duration,
    /// Without a report for so long, its weight counts no more.
    weight_expiration_period: Duration,
    /// How often weights are looked at, from 100ms on.
    weight_update_period: Duration,
    /// Factor of the share of errors, which is added to the utilization.
    #[schemars(range(min = 0))]
    error_utilization_penalty: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            blackout_period: Duration::from_secs(10),
            weight_expiration_period: Duration::from_secs(180),
            weight_update_period: Duration::from_secs(1),
            error_utilization_penalty: 1.0,
        }
    }
}

/// Takes turns.
#[derive(Debug)]
pub struct WeightedBySignal {
    terms: Terms,
    update_period_ms: u64,
    /// In ascending order of slots, of all endpoints.
    weights: Vec<Weight>,
    schedule: Schedule,
    /// Those that may be chosen, in ascending order of slots.
    ready: Vec<Ready>,
    update_at_ms: u64,
}

const LEAST_UPDATE_PERIOD_MS: u64 = 100;

impl Balancer for WeightedBySignal {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let penalty = config.error_utilization_penalty;
        if !penalty.is_finite() || penalty < 0.0 {
            return Err(ConfigErrors::at("/error_utilization_penalty", "expected a number from 0 on"));
        }
        let terms = Terms {
            blackout_ms: config.blackout_period.as_millis(),
            expiration_ms: config.weight_expiration_period.as_millis(),
            penalty,
        };
        let update_period_ms = config.weight_update_period.as_millis().max(LEAST_UPDATE_PERIOD_MS);
        Ok(Self {
            terms,
            update_period_ms,
            weights: Vec::new(),
            schedule: Schedule::default(),
            ready: Vec::new(),
            update_at_ms: 0,
        })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let mut known = std::mem::take(&mut self.weights).into_iter().peekable();
        let weight_of = |endpoint: &Endpoint| {
            while known.next_if(|weight| weight.slot < endpoint.slot).is_some() {}
            // One that comes back begins anew, and so does another endpoint at the same slot.
            known
                .next_if(|weight| weight.slot == endpoint.slot)
                .filter(|weight| {
                    weight.id_hash == endpoint.id_hash && endpoint.availability != Availability::Unavailable
                })
                .unwrap_or_else(|| Weight::new(endpoint.slot, endpoint.id_hash))
        };
        self.weights = endpoints.iter().map(weight_of).collect();
        self.ready = endpoints.ready().to_vec();
        self.update();
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    /// Reports come with answers, so this is the time to look at them, and no request waits for it.
    fn outcomes(&mut self, _outcomes: &[Outcome]) {
        if host::now_ms() >= self.update_at_ms {
            self.update();
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let slot = match request.tried {
            [] => self.schedule.next(),
            tried => self.schedule.next_without(tried).or_else(|| self.schedule.next()),
        };
        slot.map(Choice::slot)
    }
}

impl WeightedBySignal {
    fn update(&mut self) {
        let now_ms = host::now_ms();
        self.update_at_ms = now_ms + self.update_period_ms;
        for weight in &mut self.weights {
            weight.update(&self.terms, now_ms, host::reported_load(weight.slot));
        }
        let weight_of = |slot: u32| {
            let at = self.weights.binary_search_by_key(&slot, |weight| weight.slot).ok()?;
            self.weights[at].get(&self.terms, now_ms)
        };
        let own: Vec<Option<f64>> = self.ready.iter().map(|e| weight_of(e.slot)).collect();
        let known = own.iter().flatten().count();
        // Two at least, or there is nothing to compare; who has none gets the mean.
        let mean = own.iter().flatten().sum::<f64>() / known as f64;
        let share = |own: &Option<f64>| if known < 2 { 1.0 } else { own.unwrap_or(mean) };
        self.schedule.set(self.ready.iter().zip(&own).map(|(e, own)| (e.slot, share(own) * f64::from(e.weight))));
    }
}

plimsoll_sdk::plugin! {
    summary: "takes turns, in proportion to what endpoints can take by their own reports",
    balancer: WeightedBySignal
}

#[cfg(test)]
mod tests;
