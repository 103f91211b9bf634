//! What proxies do about attempts that fail or are late, and what comes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::simple::{Kind, Simple, endpoint, play, queues};
use plimsoll_lab::{
    Balancer, EjectionBounds, Evaluator, Event, Measured, Member, Opinion, Outcome, Policy, Resilience, Scenario,
    Service, Terms, What, run,
};

fn event(seconds: u64, slot: u32, what: What) -> Event {
    Event { at_us: seconds * 1_000_000, slot, what }
}

/// All endpoints are slow for five seconds, and work on what nobody waits for any more.
fn storm(max_attempts: u32, resilience: Resilience) -> Measured {
    let slow = (0..4).map(|slot| event(20, slot, What::Slow { factor: 4.0 }));
    let events = slow.chain((0..4).map(|slot| event(25, slot, What::Recover))).collect();
    let scenario = Scenario {
        endpoints: (0..4).map(|number| endpoint(&format!("e{number}"), 8)).collect(),
        service: Service::Exponential { mean_us: 20_000.0 },
        timeout_us: 250_000,
        works_on_abandoned: true,
        max_attempts,
        resilience,
        events,
        ..queues(16, 0.7, 60)
    };
    play(&scenario, Kind::TwoChoices)
}

fn retries(budget_percent: u32) -> Resilience {
    let mut policy = Policy::default();
    policy.budget.percent = budget_percent;
    if budget_percent == 100 {
        policy.budget.min = u32::MAX;
    }
    Resilience { policy, idempotent: true, ..Resilience::default() }
}

/// Share of the requests of the last nine seconds that failed, half a minute after what was wrong.
fn failing_still(measured: &Measured) -> f64 {
    let over_time = &measured.over_time;
    let sum = |of: &[u64]| of[85..].iter().sum::<u64>() as f64;
    sum(&over_time.failed) / sum(&over_time.requests)
}

#[test]
fn a_storm_of_retries_outlives_its_cause_unless_they_have_a_budget() {
    let [one, without, within] = [storm(1, retries(20)), storm(3, retries(100)), storm(3, retries(20))];
    assert_eq!(failing_still(&one), 0.0);
    assert!(failing_still(&without) > 0.5, "{}", failing_still(&without));
    assert!(failing_still(&within) < 0.01, "{}", failing_still(&within));
}

#[test]
fn a_limit_that_finds_itself_keeps_answers_coming_while_endpoints_are_slow() {
    let with = Resilience { concurrency: Some(Terms::default()), ..retries(20) };
    let (plain, limited) = (storm(3, retries(20)), storm(3, with));
    assert!(failing_still(&limited) < 0.01, "{}", failing_still(&limited));
    assert!(limited.failed.total * 3 < plain.failed.total * 2, "{:?} {:?}", limited.failed, plain.failed);
}

#[test]
fn a_hedge_is_not_held_up_by_a_slow_endpoint() {
    let events = vec![event(10, 3, What::Slow { factor: 30.0 })];
    let scenario = Scenario {
        endpoints: (0..10).map(|number| endpoint(&format!("e{number}"), 50)).collect(),
        service: Service::Constant { us: 10_000.0 },
        events,
        ..queues(10, 0.5, 30)
    };
    let with = |hedge_after| {
        let policy = Policy { hedge_after, ..Policy::default() };
        let resilience = Resilience { policy, idempotent: true, ..Resilience::default() };
        play(&Scenario { resilience, ..scenario.clone() }, Kind::Turns)
    };
    let (plain, hedged) = (with(None), with(Some(Duration::from_millis(20))));
    assert!(plain.latency_us.p99.is_some_and(|us| us > 250_000), "{:?}", plain.latency_us);
    assert!(hedged.latency_us.p99.is_some_and(|us| us < 35_000), "{:?}", hedged.latency_us);
    let attempts = |of: &Measured| of.endpoints.iter().map(|endpoint| endpoint.attempts).sum::<u64>();
    // A tenth of the requests of two thirds of the time, or a little more.
    let more = attempts(&hedged) as f64 / attempts(&plain) as f64;
    assert!((1.05..1.1).contains(&more), "{more}");
    assert_eq!((hedged.failed.total, plain.failed.total), (0, 0));
}

#[test]
fn errors_are_tried_elsewhere_where_that_is_wanted() {
    let events = vec![event(10, 3, What::Error)];
    let scenario = Scenario {
        endpoints: (0..10).map(|number| endpoint(&format!("e{number}"), 50)).collect(),
        service: Service::Constant { us: 10_000.0 },
        events,
        ..queues(10, 0.5, 30)
    };
    let mut resilience = retries(20);
    let failed = |resilience: &Resilience| {
        play(&Scenario { resilience: resilience.clone(), ..scenario.clone() }, Kind::Turns).failed.total
    };
    assert!(failed(&resilience) > 100);
    resilience.policy.on.statuses = [plimsoll_lab::ERROR].into();
    assert_eq!(failed(&resilience), 0);
}

/// Ejects whoever fails, for a second, and tells what it was asked.
#[derive(Debug, Default)]
struct Strict {
    out: Vec<(u32, u64)>,
}

impl Evaluator for Strict {
    fn set_endpoints(&mut self, members: &[Member]) {
        assert!(!members.is_empty());
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    fn outcomes(&mut self, now_ms: u64, batch: &[Outcome]) -> Vec<Opinion> {
        let failed: BTreeSet<u32> =
            batch.iter().filter(|outcome| outcome.class.is_failure()).map(|outcome| outcome.slot).collect();
        self.out.extend(failed.iter().map(|slot| (*slot, now_ms + 1000)));
        failed.into_iter().map(|slot| Opinion { slot, is_healthy: false }).collect()
    }

    fn tick_ms(&self) -> Option<u64> {
        Some(100)
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Opinion> {
        let over = self.out.extract_if(.., |(_, until)| *until <= now_ms);
        over.map(|(slot, _)| Opinion { slot, is_healthy: true }).collect()
    }
}

/// How many of all requests fail, of which some endpoints answer every one with an error for a second.
fn failing_of(slots: u32, max_percent: Option<u32>) -> f64 {
    let errors = (0..slots).map(|slot| event(10, slot, What::Error));
    let events = errors.chain((0..slots).map(|slot| event(20, slot, What::Recover))).collect();
    let ejection = max_percent.map(|max_percent| EjectionBounds { max_percent, min_available: 1 });
    let resilience = Resilience { ejection, ..Resilience::default() };
    let scenario = Scenario { events, resilience, max_attempts: 1, ..queues(10, 0.3, 30) };
    let mut make = || -> Result<Box<dyn Balancer>, String> { Ok(Box::new(Simple::new(Kind::Random, &scenario))) };
    let measured = run(&scenario, &mut make, Some(Box::new(Strict::default())), &mut |_| {}).expect("it can be made");
    let endpoint_is_back = measured.endpoints[0].in_flight[95] > 0.0;
    assert!(endpoint_is_back, "ejections end");
    measured.failed.total as f64 / measured.requests as f64
}

#[test]
fn endpoints_are_ejected_by_how_attempts_end_within_bounds() {
    // A third of the time, a tenth of the requests.
    let without = failing_of(1, None);
    assert!((0.03..0.04).contains(&without), "{without}");
    assert!(failing_of(1, Some(50)) < without / 10.0, "{}", failing_of(1, Some(50)));
    // Of five, two stay in.
    let bounded = failing_of(5, Some(30));
    assert!(bounded > failing_of(5, Some(50)) * 4.0, "{bounded} {}", failing_of(5, Some(50)));
}
