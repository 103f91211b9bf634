use std::time::Duration;

use crate::latencies::Latencies;

/// How many attempts may be under way, found by how long answers take: as long as they take no longer than when few are under way,
/// more of them do more; from there on each waits at the endpoints for the others. That is the gradient of Envoy's adaptive
/// concurrency and of Netflix's concurrency-limits.
///
/// What answers take without waiting is the base. It is the least that was seen, and measured anew now and then, with fewer attempts
/// under way for a moment, since what had to wait all the time would else pass for the base in the end.
#[derive(Clone, Debug)]
pub struct Concurrency {
    terms: Terms,
    limit: f64,
    base_us: Option<f64>,
    phase: Phase,
    falling: Option<Falling>,
    gathered: Latencies,
    peak: u32,
    /// When the limit was last found.
    found: Duration,
}

/// Within what the limit is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    pub min: u32,
    pub max: u32,
    /// By how much answers may take longer than the base, in percent.
    pub tolerance_percent: u32,
    /// Of the times of answers, the one that counts.
    pub percentile: u32,
    /// How often the base is measured anew.
    pub measure_every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { min: 3, max: 1000, tolerance_percent: 25, percentile: 50, measure_every: Duration::from_secs(30) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Until the base is to be measured.
    Steady { until: Duration },
    /// The base is measured, with a smaller limit than the one to go on with.
    Measuring { since: Duration, then: f64 },
}

/// A limit that goes down, and how long answers took when it began to.
#[derive(Clone, Copy, Debug)]
struct Falling {
    from: f64,
    latency_us: f64,
}

/// What came in a while.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub latencies: Latencies,
    /// The most attempts that were under way at once.
    pub peak: u32,
}

/// Fewer answers say nothing.
const LEAST_ANSWERS: u64 = 10;
/// How long measuring the base takes at the most.
const MEASURED_WITHIN: Duration = Duration::from_secs(5);
/// The limit of the beginning: few enough that the first base is one.
const FIRST: u32 = 8;
/// When the base is first measured again, if not before.
const FIRST_MEASURED: Duration = Duration::from_secs(5);

impl Concurrency {
    pub fn new(terms: Terms) -> Self {
        Self {
            limit: f64::from(FIRST.clamp(terms.min, terms.max)),
            base_us: None,
            phase: Phase::Steady { until: terms.measure_every.min(FIRST_MEASURED) },
            falling: None,
            gathered: Latencies::default(),
            peak: 0,
            found: Duration::ZERO,
            terms,
        }
    }

    /// The limit that is in force.
    pub fn limit(&self) -> u32 {
        let limit = match self.phase {
            Phase::Steady { .. } => self.limit,
            Phase::Measuring { then, .. } => self.measuring(then),
        };
        (limit as u32).clamp(self.terms.min, self.terms.max)
    }

    /// The limit while the base is measured: an eighth less than what a limit that has settled leaves without waiting.
    fn measuring(&self, limit: f64) -> f64 {
        0.875 * (limit - limit.sqrt()) / self.tolerance()
    }

    fn tolerance(&self) -> f64 {
        1.0 + f64::from(self.terms.tolerance_percent) / 100.0
    }

    /// What answers take without waiting, as far as is known.
    pub fn base(&self) -> Option<Duration> {
        self.base_us.map(|us| Duration::from_micros(us as u64))
    }

    /// Hears what came since it was called last; to be called every tenth of a second or so. `now` is the time since the beginning.
    /// Answers the limit from now on. `random` is any number, all with the same probability.
    pub fn hear(&mut self, now: Duration, heard: &Heard, random: impl FnOnce() -> u64) -> u32 {
        self.gathered.add(&heard.latencies);
        self.peak = self.peak.max(heard.peak);
        let latency = self.gathered.percentile(self.terms.percentile).map(f64::from);
        let Some(latency_us) = latency.filter(|_| self.gathered.count() >= LEAST_ANSWERS) else {
            self.give_up_measuring(now);
            return self.limit();
        };
        // What was under way when the limit changed says nothing of the new one.
        if now < self.found + Duration::from_micros(latency_us as u64) {
            return self.limit();
        }
        let peak = self.peak;
        self.found = now;
        (self.gathered, self.peak) = (Latencies::default(), 0);
        match self.phase {
            Phase::Measuring { since, then } => self.measured(now, since, then, (latency_us, peak), random),
            Phase::Steady { until } if now >= until => self.measure(now, latency_us, peak, random),
            Phase::Steady { .. } => self.follow(latency_us, peak),
        }
        self.limit()
    }

    fn follow(&mut self, latency_us: f64, peak: u32) {
        let base_us = self.base_us.map_or(latency_us, |base_us| base_us.min(latency_us));
        self.base_us = Some(base_us);
        let gradient = (base_us * self.tolerance() / latency_us).clamp(0.5, 2.0);
        let next = gradient * self.limit + self.limit.sqrt();
        let is_used = f64::from(peak) * 2.0 >= self.limit;
        if next > self.limit {
            self.falling = None;
            // Nobody knows what more would do.
            if !is_used {
                return;
            }
        } else {
            self.fall(latency_us);
        }
        self.limit = next.clamp(f64::from(self.terms.min), f64::from(self.terms.max));
    }

    /// Where half as many under way are answered no sooner, it is not their number that makes them slow.
    fn fall(&mut self, latency_us: f64) {
        let Some(falling) = self.falling else {
            self.falling = Some(Falling { from: self.limit, latency_us });
            return;
        };
        if self.limit > falling.from / 2.0 && self.limit > f64::from(self.terms.min) {
            return;
        }
        self.falling = Some(Falling { from: self.limit, latency_us });
        if latency_us > falling.latency_us * 0.8 {
            self.base_us = Some(latency_us);
            self.falling = None;
        }
    }

    fn measure(&mut self, now: Duration, latency_us: f64, peak: u32, random: impl FnOnce() -> u64) {
        if f64::from(peak) > self.measuring(self.limit) {
            self.phase = Phase::Measuring { since: now, then: self.limit };
        } else {
            // No more are under way as it is.
            self.base_us = Some(latency_us);
            self.steady(now, random);
        }
    }

    fn measured(
        &mut self,
        now: Duration,
        since: Duration,
        then: f64,
        (latency_us, peak): (f64, u32),
        random: impl FnOnce() -> u64,
    ) {
        let is_drained = peak <= self.limit();
        if !is_drained && now < since + MEASURED_WITHIN {
            return;
        }
        if is_drained {
            self.base_us = Some(latency_us);
        }
        (self.limit, self.falling) = (then, None);
        self.steady(now, random);
    }

    fn give_up_measuring(&mut self, now: Duration) {
        if let Phase::Measuring { since, then } = self.phase
            && now >= since + MEASURED_WITHIN
        {
            self.limit = then;
            self.phase = Phase::Steady { until: now + self.terms.measure_every };
        }
    }

    /// Proxies do not measure all at once.
    fn steady(&mut self, now: Duration, random: impl FnOnce() -> u64) {
        let every = self.terms.measure_every;
        self.phase = Phase::Steady { until: now + every + every.mul_f64((random() % 1000) as f64 / 4000.0) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms =
        Terms { min: 3, max: 2000, tolerance_percent: 25, percentile: 50, measure_every: Duration::from_secs(30) };
    const TENTH: Duration = Duration::from_millis(100);

    /// Endpoints that work on so many requests at a time, for so long each: others wait.
    #[derive(Clone, Copy, Debug)]
    struct Endpoints {
        places: f64,
        takes_us: f64,
    }

    impl Endpoints {
        /// A tenth of a second in which `offered` would be under way if they might.
        fn heard(self, limit: u32, offered: f64) -> Heard {
            let under_way = f64::from(limit).min(offered).max(1.0);
            let latency_us = self.takes_us * (under_way / self.places).max(1.0);
            let answers = under_way * 1e5 / latency_us;
            let mut heard = Heard { peak: under_way as u32, ..Heard::default() };
            heard.latencies.note(Latencies::bucket(latency_us as u32), answers.ceil() as u32);
            heard
        }
    }

    /// The limits of so many seconds.
    fn play(
        concurrency: &mut Concurrency,
        from: Duration,
        seconds: u32,
        endpoints: Endpoints,
        offered: f64,
    ) -> Vec<u32> {
        let step = |tenth| {
            let heard = endpoints.heard(concurrency.limit(), offered);
            concurrency.hear(from + TENTH * tenth, &heard, || u64::from(tenth) * 7919)
        };
        (1..=seconds * 10).map(step).collect()
    }

    proptest! {
        #[test]
        fn whatever_is_heard_the_limit_stays_within_its_bounds(
            heard in proptest::collection::vec((0_u32..100_000_000, 0_u32..200, 0_u32..5000, 1_u64..5000), 1..200),
        ) {
            let mut concurrency = Concurrency::new(TERMS);
            let mut now = Duration::ZERO;
            for (latency_us, answers, peak, after_ms) in heard {
                now += Duration::from_millis(after_ms);
                let mut heard = Heard { peak, ..Heard::default() };
                heard.latencies.note(Latencies::bucket(latency_us), answers);
                let limit = concurrency.hear(now, &heard, || u64::from(latency_us));
                prop_assert!((TERMS.min..=TERMS.max).contains(&limit), "{limit}");
                prop_assert_eq!(limit, concurrency.limit());
            }
        }

        #[test]
        fn under_overload_it_settles_where_the_endpoints_are_busy_and_little_waits(
            places in 4_u32..800, takes_us in 500.0_f64..200_000.0,
        ) {
            let endpoints = Endpoints { places: f64::from(places), takes_us };
            let mut concurrency = Concurrency::new(TERMS);
            let limits = play(&mut concurrency, Duration::ZERO, 120, endpoints, 1e6);
            let late = &limits[600..];
            let mean = late.iter().map(|limit| f64::from(*limit)).sum::<f64>() / late.len() as f64;
            let (least, most) = (f64::from(places) * 0.9, f64::from(places) * 2.0 + 12.0);
            prop_assert!(mean > least && mean < most, "{places} places, limit {mean}");
        }
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let endpoints = Endpoints { places: 1000.0, takes_us: 10_000.0 };
        let mut concurrency = Concurrency::new(TERMS);
        let unused = play(&mut concurrency, Duration::ZERO, 60, endpoints, 5.0);
        assert!(unused.iter().all(|limit| *limit < 20), "{unused:?}");
        let used = play(&mut concurrency, Duration::from_secs(60), 20, endpoints, 1e6);
        assert!(used.last().is_some_and(|limit| *limit > 900), "{used:?}");
    }

    #[test]
    fn it_follows_endpoints_that_can_do_less_and_more() {
        let with = |places| Endpoints { places, takes_us: 20_000.0 };
        let mut concurrency = Concurrency::new(TERMS);
        let mut second = 0;
        for places in [200.0, 40.0, 200.0] {
            let limits = play(&mut concurrency, Duration::from_secs(second), 90, with(places), 1e6);
            second += 90;
            let last = f64::from(*limits.last().expect("many"));
            assert!(last > places * 0.8 && last < places * 2.2, "{places} places, limit {last}");
        }
    }

    #[test]
    fn what_takes_longer_whatever_is_under_way_becomes_the_base_at_once() {
        let taking = |takes_us| Endpoints { places: 100.0, takes_us };
        let mut concurrency = Concurrency::new(TERMS);
        play(&mut concurrency, Duration::ZERO, 20, taking(10_000.0), 1e6);
        // A database behind all of them gets slow; there is time until the base is measured.
        let limits = play(&mut concurrency, Duration::from_secs(20), 8, taking(100_000.0), 1e6);
        assert!(limits.last().is_some_and(|limit| *limit > 60), "{limits:?}");
    }

    #[test]
    fn the_base_is_measured_with_fewer_under_way_and_for_a_moment() {
        let endpoints = Endpoints { places: 100.0, takes_us: 10_000.0 };
        let mut concurrency = Concurrency::new(TERMS);
        let limits = play(&mut concurrency, Duration::ZERO, 100, endpoints, 1e6);
        let measuring = limits[250..].iter().filter(|limit| **limit < 90).count();
        assert!((1..=12).contains(&measuring), "{measuring} tenths");
        assert!(concurrency.base().is_some_and(|base| base < Duration::from_millis(12)), "{:?}", concurrency.base());
    }
}
