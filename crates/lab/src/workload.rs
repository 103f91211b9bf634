use crate::balancer::Asked;
use crate::numbers::{exp, exponential, mix, normal, pow, uniform};
use crate::scenario::{Arrivals, Keys, Scenario, Service};

/// A request before anybody has chosen an endpoint for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) at_us: u64,
    /// How long it keeps an endpoint of speed 1 busy.
    pub(crate) demand_us: f64,
    pub(crate) asked: Asked,
    pub(crate) worker: u32,
}

/// The requests of a scenario, one after the other. They follow from the seed alone: every balancer is given the same.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    scenario: &'a Scenario,
    workers: u32,
    now_us: f64,
    number: usize,
    in_burst: bool,
    /// When the rate changes next.
    turn_us: f64,
    /// Random numbers of one thing are not those of another: other service times leave the arrivals as they are.
    arrivals: fastrand::Rng,
    service: fastrand::Rng,
    keys: KeyDraw,
    spread: fastrand::Rng,
    kinds: fastrand::Rng,
}

impl<'a> Workload<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let random = |number: u64| fastrand::Rng::with_seed(mix(scenario.seed ^ mix(number)));
        Self {
            scenario,
            workers: scenario.workers * scenario.proxies,
            now_us: 0.0,
            number: 0,
            in_burst: true,
            turn_us: 0.0,
            arrivals: random(1),
            service: random(2),
            keys: KeyDraw::new(scenario.keys, random(3)),
            spread: random(4),
            kinds: random(6),
        }
    }

    /// The time of the next arrival.
    fn arrival(&mut self) -> Option<f64> {
        match &self.scenario.arrivals {
            Arrivals::Poisson { rate } => Some(self.now_us + exponential(&mut self.arrivals) * 1e6 / rate),
            Arrivals::Bursty { calm_rate, burst_rate, calm_us, burst_us } => {
                let mut at_us = self.now_us;
                loop {
                    let rate = if self.in_burst { burst_rate } else { calm_rate };
                    let next_us = at_us + exponential(&mut self.arrivals) * 1e6 / rate;
                    if next_us < self.turn_us {
                        return Some(next_us);
                    }
                    // Arrivals of the old rate that come after its end do not count; the law has no memory.
                    at_us = self.turn_us;
                    self.in_burst = !self.in_burst;
                    let mean_us = if self.in_burst { burst_us } else { calm_us };
                    self.turn_us += exponential(&mut self.arrivals) * *mean_us as f64;
                }
            }
            Arrivals::Recorded(records) => records.get(self.number).map(|record| record.at_us as f64),
        }
    }

    fn demand_us(&mut self) -> f64 {
        let random = &mut self.service;
        match self.scenario.service {
            Service::Constant { us } => us,
            Service::Exponential { mean_us } => mean_us * exponential(random),
            Service::LogNormal { median_us, sigma } => median_us * exp(sigma * normal(random)),
            Service::Pareto { least_us, most_us, shape } => {
                let within = 1.0 - pow(least_us / most_us, shape);
                let rest = 1.0 - (1.0 - uniform(random)) * within;
                (least_us * pow(rest, -1.0 / shape)).min(most_us)
            }
        }
    }
}

impl Workload<'_> {
    /// Of which kind the next request is.
    fn kind(&mut self) -> u32 {
        let shares = &self.scenario.kinds;
        if shares.is_empty() {
            return 0;
        }
        let mut left = uniform(&mut self.kinds) * shares.iter().sum::<f64>();
        let place = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        place.unwrap_or(shares.len() - 1) as u32
    }
}

impl Iterator for Workload<'_> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        let at_us = self.arrival().filter(|at_us| *at_us < self.scenario.duration_us as f64)?;
        let record = match &self.scenario.arrivals {
            Arrivals::Recorded(records) => records.get(self.number),
            _ => None,
        };
        self.now_us = at_us;
        self.number += 1;
        let drawn = (self.demand_us(), self.keys.draw());
        Some(Job {
            at_us: at_us as u64,
            demand_us: record.and_then(|record| record.demand_us).unwrap_or(drawn.0),
            asked: Asked { key: record.and_then(|record| record.key).or(drawn.1), kind: self.kind() },
            worker: self.spread.u32(..self.workers),
        })
    }
}

/// Draws keys.
#[derive(Debug)]
struct KeyDraw {
    count: u32,
    /// For a law that is not even: the probability of a key of at most this rank.
    up_to: Vec<f64>,
    random: fastrand::Rng,
}

impl KeyDraw {
    fn new(keys: Keys, random: fastrand::Rng) -> Self {
        match keys {
            Keys::None => Self { count: 0, up_to: Vec::new(), random },
            Keys::Uniform { count } => Self { count, up_to: Vec::new(), random },
            Keys::Zipf { count, exponent } => {
                let mut total = 0.0;
                let mut up_to: Vec<f64> = (1..=count)
                    .map(|rank| {
                        total += pow(f64::from(rank), -exponent);
                        total
                    })
                    .collect();
                up_to.iter_mut().for_each(|share| *share /= total);
                Self { count, up_to, random }
            }
        }
    }

    fn draw(&mut self) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = if self.up_to.is_empty() {
            self.random.u32(..self.count)
        } else {
            let point = uniform(&mut self.random);
            (self.up_to.partition_point(|share| *share < point) as u32).min(self.count - 1)
        };
        Some(key_of(rank))
    }
}

/// Hash of the key of a rank.
pub(crate) fn key_of(rank: u32) -> u64 {
    mix(0x6b65_7973 ^ (u64::from(rank) << 20))
}
