//! What happens to endpoints, and what proxies make of it.

use crate::simple::{Kind, Simple, endpoint, play, queues};
use plimsoll_lab::{Asked, BATCH, Balancer, Event, Keys, Scenario, Service, What, run};

fn event(seconds: u64, slot: u32, what: What) -> Event {
    Event { at_us: seconds * 1_000_000, slot, what }
}

/// Ten endpoints at which requests hardly ever wait.
fn idle(seconds: u64, events: Vec<Event>) -> Scenario {
    Scenario {
        endpoints: (0..10).map(|number| endpoint(&format!("e{number}"), 50)).collect(),
        service: Service::Constant { us: 10_000.0 },
        events,
        ..queues(10, 0.5, seconds)
    }
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_does_not() {
    let scenario = Scenario { keys: Keys::Zipf { count: 100, exponent: 1.0 }, ..queues(10, 0.8, 20) };
    let one = play(&scenario, Kind::TwoChoices);
    assert_eq!(serde_json::to_string(&one).ok(), serde_json::to_string(&play(&scenario, Kind::TwoChoices)).ok());
    assert_ne!(one, play(&Scenario { seed: 12, ..scenario }, Kind::TwoChoices));
}

#[test]
fn all_balancers_are_given_the_same_requests() {
    let scenario = queues(10, 0.5, 20);
    let requests = [Kind::Random, Kind::Turns, Kind::Shortest].map(|kind| play(&scenario, kind).over_time.requests);
    assert_eq!(requests[0], requests[1]);
    assert_eq!(requests[1], requests[2]);
}

#[test]
fn a_slow_endpoint_holds_up_who_takes_turns() {
    let scenario = idle(30, vec![event(10, 3, What::Slow { factor: 10.0 }), event(20, 3, What::Recover)]);
    let measured = play(&scenario, Kind::Turns);
    let p99 = &measured.over_time.p99;
    assert!(p99[20].is_some_and(|us| us < 11_000), "{:?}", p99[20]);
    assert!(p99[50].is_some_and(|us| us > 90_000), "{:?}", p99[50]);
    assert!(p99[80].is_some_and(|us| us < 11_000), "{:?}", p99[80]);
    assert!((measured.imbalance - 1.0).abs() < 0.01, "{}", measured.imbalance);
    assert!(measured.endpoints[3].in_flight[50] > 5.0 * measured.endpoints[4].in_flight[50]);
}

#[test]
fn refused_requests_are_tried_elsewhere_and_others_are_not() {
    for (what, fails) in [(What::Refuse, false), (What::Error, true), (What::Hang, true)] {
        let scenario =
            Scenario { timeout_us: 500_000, ..idle(30, vec![event(10, 3, what), event(20, 3, What::Recover)]) };
        let measured = play(&scenario, Kind::Turns);
        // A tenth of the requests of a third of the time, of which a tenth is warm-up.
        let share = measured.failed.total as f64 / measured.requests as f64;
        let expected = if fails { 0.1 * 10.0 / 27.0 } else { 0.0 };
        assert!((share - expected).abs() < 0.002, "{what:?}: {share}");
        let kinds = (measured.failed.error > 0, measured.failed.timeout > 0, measured.failed.refused > 0);
        assert_eq!(kinds, (what == What::Error, what == What::Hang, false), "{what:?}");
        assert_eq!(measured.latency_us.p999.is_none(), fails, "what failed is slower than all");
        // Nothing is left behind.
        assert_eq!(measured.failed.overflow + measured.failed.no_room + measured.failed.no_endpoint, 0);
    }
}

#[test]
fn health_takes_out_who_fails_and_puts_back_who_recovered() {
    let events = vec![event(10, 3, What::Error), event(20, 3, What::Recover)];
    let scenario = Scenario { notice_us: Some(2_000_000), ..idle(30, events) };
    let measured = play(&scenario, Kind::Random);
    let failed: Vec<bool> = measured.over_time.failed.iter().map(|failed| *failed > 0).collect();
    // From 10 s to 12 s; a slice is 0.3 s.
    assert!(failed[34..39].iter().all(|failed| *failed) && failed[41..].iter().all(|failed| !failed), "{failed:?}");
    assert!(measured.endpoints[3].in_flight[60] == 0.0 && measured.endpoints[3].in_flight[90] > 0.0);
}

#[test]
fn endpoints_join_and_leave() {
    let events = vec![event(10, 9, What::Join), event(20, 0, What::Leave)];
    let measured = play(&idle(30, events), Kind::Turns);
    assert_eq!(measured.failed.total, 0);
    let busy = |slot: usize, slice: usize| measured.endpoints[slot].in_flight[slice] > 0.0;
    assert!(!busy(9, 20) && busy(9, 50) && busy(0, 50) && !busy(0, 80));
    // What is due is due for the time that it was there.
    assert!((measured.imbalance - 1.0).abs() < 0.02, "{}", measured.imbalance);
}

#[test]
fn whoever_warms_up_begins_with_little() {
    let scenario = Scenario { slow_start_us: 5_000_000, ..idle(30, vec![event(10, 9, What::Join)]) };
    let ramps = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    struct Listening(Simple, std::rc::Rc<std::cell::RefCell<Vec<u32>>>);
    impl Balancer for Listening {
        fn set_now_ms(&mut self, _: u64) {}
        fn set_endpoints(&mut self, members: &[plimsoll_lab::Member]) {
            self.1.borrow_mut().extend(members.iter().filter(|member| member.slot == 9).map(|member| member.ramp));
            self.0.set_endpoints(members);
        }
        fn pick(&mut self, worker: u32, asked: Asked, tried: &[u32]) -> Result<Option<u32>, plimsoll_lab::Fault> {
            self.0.pick(worker, asked, tried)
        }
        fn begin(&mut self, worker: u32, slot: u32) {
            self.0.begin(worker, slot);
        }
        fn end(&mut self, worker: u32, outcome: &plimsoll_lab::Outcome) {
            self.0.end(worker, outcome);
        }
        fn wants_outcomes(&self) -> bool {
            false
        }
        fn outcomes(&mut self, _: u32, _: &[plimsoll_lab::Outcome]) {
            panic!("nobody asked");
        }
        fn report_load(&mut self, _: u32, _: u32, _: plimsoll_lab::LoadReport) {}
    }
    let mut make = || -> Result<Box<dyn Balancer>, String> {
        Ok(Box::new(Listening(Simple::new(Kind::Random, &scenario), ramps.clone())))
    };
    run(&scenario, &mut make, None, &mut |_| {}).expect("it can be made");
    let ramps = ramps.borrow();
    assert_eq!((ramps.first(), ramps.last()), (Some(&100), Some(&1000)));
    assert!(ramps.is_sorted() && ramps.len() > 15, "{ramps:?}");
}

#[test]
fn proxies_know_nothing_of_each_other() {
    let one = Scenario { proxies: 1, workers: 8, ..queues(10, 0.9, 100) };
    let eight = Scenario { proxies: 8, workers: 1, ..one.clone() };
    let (one, eight) = (play(&one, Kind::Shortest), play(&eight, Kind::Shortest));
    assert!(
        eight.latency_us.mean > one.latency_us.mean.map(|us| us * 2),
        "{:?} {:?}",
        one.latency_us,
        eight.latency_us
    );
}

#[test]
fn what_waits_for_room_goes_in_turn_or_gives_up() {
    let full = |queue_timeout_us| {
        let mut scenario = Scenario { queue_timeout_us, ..queues(4, 0.9, 50) };
        scenario.endpoints.iter_mut().for_each(|endpoint| endpoint.max_connections = 1);
        scenario
    };
    // One queue in the proxy instead of four at endpoints, and nobody gives up: better than the shortest queue.
    let patient = play(&full(60_000_000), Kind::Random);
    assert_eq!(patient.failed.total, 0);
    let at_endpoints = play(&queues(4, 0.9, 50), Kind::Random);
    assert!(patient.latency_us.mean < at_endpoints.latency_us.mean.map(|us| us / 2));
    assert!(patient.endpoints.iter().all(|endpoint| endpoint.in_flight.iter().all(|mean| *mean <= 1.0)));
    let hasty = play(&full(1000), Kind::Random);
    assert!(hasty.failed.no_room > 0 && hasty.failed.total == hasty.failed.no_room);
}

#[test]
fn who_fails_or_lies_is_stood_in_for() {
    for kind in [Kind::Broken, Kind::Liar] {
        let measured = play(&queues(10, 0.5, 20), kind);
        assert!(measured.faults >= measured.requests, "{kind:?}");
        assert_eq!(measured.failed.total, 0);
        assert!(measured.imbalance < 1.2, "{}", measured.imbalance);
    }
}

#[test]
fn overload_is_bounded() {
    let measured = play(&queues(2, 3000.0, 1), Kind::Random);
    assert!(measured.failed.overflow > 0, "{:?}", measured.failed);
}

#[test]
fn outcomes_come_in_batches_to_the_worker_whose_they_are() {
    let scenario = queues(10, 0.8, 20);
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut make = || -> Result<Box<dyn Balancer>, String> {
        let mut simple = Simple::new(Kind::Random, &scenario);
        simple.told = told.clone();
        Ok(Box::new(simple))
    };
    run(&scenario, &mut make, None, &mut |_| {}).expect("it can be made");
    let told = told.borrow();
    assert!(told.iter().all(|(_, outcomes)| (1..=BATCH).contains(outcomes)));
    // Every 20 ms at the most, on each of four workers.
    assert!(told.len() <= 4 * 50 * 20 + 4 && told.len() > 2000, "{}", told.len());
    let of_worker = |worker| told.iter().filter(|(of, _)| *of == worker).map(|(_, count)| count).sum::<usize>();
    assert!((0..4).all(|worker| of_worker(worker) > 3500), "{:?}", of_worker(0));
}

#[test]
fn keys_that_move_are_counted() {
    let events = vec![event(10, 4, What::Leave), event(20, 4, What::Join)];
    let scenario = Scenario { keys: Keys::Uniform { count: 500 }, ..idle(30, events) };
    let moved = |kind| play(&scenario, kind).keys_moved;
    let highest = moved(Kind::Highest).expect("it goes by keys");
    assert_eq!(highest.len(), 2);
    for change in &highest {
        assert!((change.moved - 0.1).abs() < 0.02 && (change.had_to - 0.1).abs() < 0.02, "{change:?}");
    }
    let modulo = moved(Kind::Modulo).expect("it goes by keys");
    assert!(modulo.iter().all(|change| change.moved > 0.8), "{modulo:?}");
    assert_eq!(moved(Kind::Random), None);
    assert_eq!(moved(Kind::Turns), None);
    let revisits = |kind| play(&scenario, kind).revisits.expect("there are keys");
    assert!(revisits(Kind::Highest) > 0.97 && revisits(Kind::Modulo) < 0.97);
    assert!((revisits(Kind::Random) - 0.1).abs() < 0.02);
}
