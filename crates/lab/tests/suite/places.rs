//! Where endpoints are, what they remember, and who comes back to them.

use std::num::NonZeroUsize;

use plimsoll_lab::{Balancer, Endpoint, Event, Keys, Measured, Memory, Scenario, Service, What, run};

use crate::simple::{Kind, Simple, endpoint, play, queues};

/// Four endpoints at which hardly anybody waits, which take 10 ms.
fn four() -> Scenario {
    Scenario {
        endpoints: (0..4).map(|number| endpoint(&format!("e{number}"), 50)).collect(),
        service: Service::Constant { us: 10_000.0 },
        ..queues(4, 0.5, 30)
    }
}

#[test]
fn who_goes_to_another_zone_is_answered_later_and_counted() {
    let zones = ["a", "a", "a", "b"];
    let endpoints: Vec<Endpoint> = four()
        .endpoints
        .into_iter()
        .zip(zones)
        .map(|(endpoint, zone)| Endpoint { zone: zone.into(), ..endpoint })
        .collect();
    let scenario = Scenario { endpoints, zones: vec!["a".into()], other_zone_us: 7000, ..four() };
    let measured = play(&scenario, Kind::Turns);
    let share = measured.other_zone.expect("zones are known");
    assert!((share - 0.25).abs() < 0.01, "{share}");
    let (p50, p99) = (measured.latency_us.p50.expect("a time"), measured.latency_us.p99.expect("a time"));
    assert!((9_900..10_100).contains(&p50) && (16_800..17_200).contains(&p99), "{p50} {p99}");
    assert_eq!(play(&four(), Kind::Turns).other_zone, None);
    // Of two proxies each is near to what the other is far from.
    let two = Scenario { zones: vec!["a".into(), "b".into()], proxies: 2, ..scenario };
    let share = play(&two, Kind::Turns).other_zone.expect("zones are known");
    assert!((share - 0.5).abs() < 0.03, "{share}");
}

#[test]
fn what_an_endpoint_remembers_takes_it_less_time() {
    let memory = Some(Memory { keys: NonZeroUsize::new(150).expect("not 0"), miss_factor: 5.0 });
    let scenario = Scenario { keys: Keys::Uniform { count: 400 }, memory, ..four() };
    let by_key = play(&scenario, Kind::Highest);
    let anywhere = play(&scenario, Kind::Random);
    // A quarter of the keys each has room, all of them have not.
    assert!(by_key.in_memory.expect("they remember") > 0.95, "{:?}", by_key.in_memory);
    let share = anywhere.in_memory.expect("they remember");
    assert!((share - 150.0 / 400.0).abs() < 0.03, "{share}");
    assert!((9_900..10_100).contains(&by_key.latency_us.p50.expect("a time")));
    assert!((49_500..50_500).contains(&anywhere.latency_us.p50.expect("a time")));
    assert_eq!(play(&four(), Kind::Random).in_memory, None);
}

/// With clients that come back to who has answered them.
fn bound(scenario: &Scenario) -> Measured {
    let mut make = || -> Result<Box<dyn Balancer>, String> {
        let mut simple = Simple::new(Kind::Random, scenario);
        simple.binds = true;
        Ok(Box::new(simple))
    };
    run(scenario, &mut make, None, &mut |_| {}).expect("it can be made")
}

#[test]
fn who_is_bound_comes_back_until_the_endpoint_is_gone() {
    let scenario = Scenario { keys: Keys::Uniform { count: 100 }, ..four() };
    let stays = bound(&scenario).revisits.expect("there are keys");
    assert!(stays > 0.999, "{stays}");
    assert!(play(&scenario, Kind::Random).revisits.expect("there are keys") < 0.3);
    let events = vec![Event { at_us: 15_000_000, slot: 2, what: What::Leave }];
    let leaves = bound(&Scenario { events, ..scenario });
    assert_eq!((leaves.failed.total, leaves.faults), (0, 0));
    let stays = leaves.revisits.expect("there are keys");
    assert!((0.95..0.999).contains(&stays), "{stays}");
}

#[test]
fn who_is_bound_waits_for_room_there() {
    let mut scenario = Scenario { keys: Keys::Uniform { count: 1 }, ..queues(4, 0.1, 20) };
    scenario.endpoints.iter_mut().for_each(|endpoint| endpoint.max_connections = 1);
    let measured = bound(&scenario);
    let of_one = measured.endpoints.iter().filter(|endpoint| endpoint.attempts > 0).count();
    assert_eq!((of_one, measured.failed.total), (1, 0));
    assert!(measured.latency_us.p99 > play(&scenario, Kind::Random).latency_us.p99);
}

#[test]
fn kinds_of_requests_come_by_their_shares() {
    let seen = std::rc::Rc::new(std::cell::RefCell::new([0_u32; 3]));
    let scenario = Scenario { kinds: vec![2.0, 0.0, 6.0], ..four() };
    let mut make = || -> Result<Box<dyn Balancer>, String> {
        let mut simple = Simple::new(Kind::Random, &scenario);
        simple.kinds = seen.clone();
        Ok(Box::new(simple))
    };
    run(&scenario, &mut make, None, &mut |_| {}).expect("it can be made");
    let [one, none, other] = *seen.borrow();
    let share = f64::from(one) / f64::from(one + other);
    assert!(none == 0 && (share - 0.25).abs() < 0.02, "{one} {none} {other}");
}
