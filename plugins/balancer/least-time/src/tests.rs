use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, reset, seed, set_in_flight, set_now_ms};
use plimsoll_sdk::{Availability, Change, Outcome, OutcomeClass};
use proptest::prelude::*;

use crate::LeastTime;

fn bench(weights: &[u32], config: &str) -> BalancerBench<LeastTime> {
    reset();
    let config = format!(r#"{{"random_start":false{config}}}"#);
    let mut bench = BalancerBench::new(&config).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn outcome(slot: u32, class: OutcomeClass, first_byte_ms: u32, total_ms: u32) -> Outcome {
    Outcome { slot, class, status: 200, first_byte_us: first_byte_ms * 1000, total_us: total_ms * 1000 }
}

fn answered(slot: u32, ms: u32) -> Outcome {
    outcome(slot, OutcomeClass::Success, ms, ms)
}

fn letters(bench: &mut BalancerBench<LeastTime>, turns: usize) -> String {
    (0..turns).map(|_| bench.pick_slot(None).map_or('-', |slot| char::from(b'a' + slot as u8))).collect()
}

/// nginx's module, to the letter, with `fail_timeout=10s`.
#[derive(Clone, Default)]
struct Peer {
    weight: u64,
    connections: u64,
    current_weight: i64,
    response_time: u64,
    checked: u64,
    inflight_reqs: u64,
    inflight_last: u64,
    inflight_reqs_changed: u64,
    inflight_time: u64,
}

fn average(average: u64, v: u64) -> u64 {
    if average > 0 { (0.5 + (v as f64 * 0.05 + average as f64 * 0.95)) as u64 } else { v }
}

impl Peer {
    fn eta(&self, now_ms: u64) -> u64 {
        let mut rt = self.response_time;
        let now = now_ms / 1000;
        if now - self.checked > 10 {
            rt >>= ((now - self.checked) / 11).min(63);
        }
        if self.inflight_reqs > 0 {
            rt = rt.max(self.inflight_time);
        }
        if rt > 5000 {
            rt = 5000;
        } else {
            rt += 20 - rt % 20;
        }
        rt * (1 + self.connections)
    }
}

struct Nginx {
    peers: Vec<Peer>,
    inflight: bool,
}

impl Nginx {
    fn pick(&mut self, tried: &[u32], now_ms: u64) -> Option<usize> {
        let (mut best, mut best_eta, mut many) = (None::<usize>, 0, false);
        for i in 0..self.peers.len() {
            if tried.contains(&(i as u32)) {
                continue;
            }
            let peer = &mut self.peers[i];
            if let Some(each) = peer.inflight_last.checked_div(peer.inflight_reqs) {
                let ift = each + (now_ms - peer.inflight_reqs_changed);
                peer.inflight_time = average(peer.inflight_time, ift);
            }
            let (eta, weight) = (self.peers[i].eta(now_ms), self.peers[i].weight);
            match best.map(|b| (eta * self.peers[b].weight).cmp(&(best_eta * weight))) {
                None | Some(std::cmp::Ordering::Less) => (best, best_eta, many) = (Some(i), eta, false),
                Some(std::cmp::Ordering::Equal) => many = true,
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        let first = best?;
        let (mut chosen, mut total) = (first, 0);
        if many {
            for i in first..self.peers.len() {
                let eta = self.peers[i].eta(now_ms);
                if tried.contains(&(i as u32))
                    || eta * self.peers[chosen].weight != self.peers[chosen].eta(now_ms) * self.peers[i].weight
                {
                    continue;
                }
                self.peers[i].current_weight += self.peers[i].weight as i64;
                total += self.peers[i].weight as i64;
                if self.peers[i].current_weight > self.peers[chosen].current_weight {
                    chosen = i;
                }
            }
        }
        let peer = &mut self.peers[chosen];
        peer.current_weight -= total;
        if self.inflight {
            if peer.inflight_reqs > 0 {
                peer.inflight_last += (now_ms - peer.inflight_reqs_changed) * peer.inflight_reqs;
            }
            peer.inflight_reqs_changed = now_ms;
            peer.inflight_reqs += 1;
        }
        if now_ms / 1000 - peer.checked > 10 {
            peer.checked = now_ms / 1000;
        }
        peer.connections += 1;
        Some(chosen)
    }

    fn ended(&mut self, i: usize, took: u64, now_ms: u64) {
        let peer = &mut self.peers[i];
        peer.connections -= 1;
        if self.inflight {
            if peer.inflight_reqs == 1 {
                peer.inflight_last = 0;
            } else {
                peer.inflight_last += (now_ms - peer.inflight_reqs_changed) * peer.inflight_reqs;
                peer.inflight_last -= took;
                peer.inflight_reqs_changed = now_ms;
            }
            peer.inflight_reqs -= 1;
        }
        peer.response_time = average(peer.response_time, took);
    }
}

#[test]
fn the_quicker_is_taken_until_its_load_outweighs_it() {
    let mut bench = bench(&[1, 1], "");
    assert!(bench.wants_outcomes());
    bench.outcomes(&[answered(0, 30), answered(1, 110)]);
    // 40 ms a piece against 120.
    assert_eq!(letters(&mut bench, 3), "aaa");
    set_in_flight(0, 1);
    assert_eq!(letters(&mut bench, 3), "aaa");
    set_in_flight(0, 2);
    assert_eq!(letters(&mut bench, 4), "abab");
    set_in_flight(0, 3);
    assert_eq!(letters(&mut bench, 2), "bb");
}

#[test]
fn times_in_the_same_step_are_the_same() {
    let mut bench = bench(&[1, 1, 2], "");
    bench.outcomes(&[answered(0, 1), answered(1, 19), answered(2, 20)]);
    // 20 ms, 20 ms, and 40 ms for twice the weight.
    assert_eq!(letters(&mut bench, 8), "cabccabc");
}

#[test]
fn beyond_five_seconds_only_loads_count() {
    let mut bench = bench(&[1, 1], "");
    bench.outcomes(&[answered(0, 6000), answered(1, 60_000)]);
    set_in_flight(0, 1);
    assert_eq!(letters(&mut bench, 2), "bb");
}

#[test]
fn a_sample_has_a_weight_of_one_in_twenty() {
    let mut bench = bench(&[1, 1], "");
    bench.outcomes(&[answered(0, 100), answered(1, 110)]);
    // One answer after a second moves 100 ms to 145.
    bench.outcomes(&[answered(0, 1000)]);
    assert_eq!(letters(&mut bench, 1), "b");
    bench.outcomes(&[answered(1, 710)]);
    // Both are within 140 and 160 now.
    assert_eq!(letters(&mut bench, 4), "abab");
}

#[test]
fn one_that_was_slow_is_tried_again() {
    let mut bench = bench(&[1, 1], "");
    assert_eq!(letters(&mut bench, 2), "ab");
    bench.outcomes(&[answered(0, 100), answered(1, 700)]);
    let back = (0..100).find(|second| {
        set_now_ms(second * 1000);
        bench.outcomes(&[]);
        bench.pick_slot(None) == Some(1)
    });
    // 700 ms, halved each 11 s: 87 after the third time. In that second the other one's own time is halved as well, as it
    // is once in 11 s also for one in use.
    assert_eq!(back, Some(34));
    // It has been tried, so that what is known of it counts again.
    assert_eq!(letters(&mut bench, 3), "aaa");
}

#[test]
fn failures_say_nothing_about_the_time() {
    let mut bench = bench(&[1, 1], "");
    bench.outcomes(&[answered(0, 100), answered(1, 200)]);
    for class in [
        OutcomeClass::ServerError,
        OutcomeClass::ConnectFailure,
        OutcomeClass::Timeout,
        OutcomeClass::Reset,
        OutcomeClass::ClientAbort,
    ] {
        bench.outcomes(&vec![outcome(1, class, 0, 0); 100]);
        assert_eq!(letters(&mut bench, 3), "aaa", "{class:?}");
    }
}

#[test]
fn the_time_to_the_last_byte_can_count_instead() {
    for (config, expected) in [("", "aa"), (r#","time":"last_byte""#, "bb")] {
        let mut bench = bench(&[1, 1], config);
        bench.outcomes(&[outcome(0, OutcomeClass::Success, 10, 900), outcome(1, OutcomeClass::Success, 100, 200)]);
        assert_eq!(letters(&mut bench, 2), expected, "{config}");
    }
}

#[test]
fn attempts_that_do_not_come_back_count_while_they_are_under_way() {
    for (config, expected) in [("", "aa"), (r#","inflight":true"#, "bb")] {
        let mut bench = bench(&[1, 1], config);
        bench.outcomes(&[answered(0, 50), answered(1, 210)]);
        assert_eq!(bench.pick_slot(None), Some(0));
        set_in_flight(0, 1);
        set_now_ms(2000);
        // For 2 s now.
        assert_eq!(letters(&mut bench, 2), expected, "{config}");
    }
}

#[test]
fn attempts_that_the_host_sent_elsewhere_are_forgotten() {
    let mut bench = bench(&[1, 1], r#","inflight":true"#);
    bench.outcomes(&[answered(0, 50), answered(1, 210)]);
    // The host has none under way there.
    assert_eq!(letters(&mut bench, 5), "aaaaa");
    set_now_ms(100_000);
    assert!(letters(&mut bench, 5).contains('a'));
}

#[test]
fn workers_begin_at_different_turns() {
    let mut counts = [0_u32; 4];
    for n in 0..8000 {
        seed(n);
        let mut bench = BalancerBench::<LeastTime>::new("").unwrap();
        bench.endpoints(&endpoints(&[3, 1, 2, 2]));
        counts[bench.pick_slot(None).unwrap() as usize] += 1;
    }
    // Without a time for anybody the heaviest has the least for its weight.
    assert_eq!(counts, [8000, 0, 0, 0]);
    let mut counts = [0_u32; 4];
    for n in 0..8000 {
        seed(n);
        let mut bench = BalancerBench::<LeastTime>::new("").unwrap();
        bench.endpoints(&endpoints(&[1; 4]));
        counts[bench.pick_slot(None).unwrap() as usize] += 1;
    }
    let chi_squared: f64 = counts.iter().map(|&n| (f64::from(n) - 2000.0).powi(2) / 2000.0).sum();
    // 3 degrees of freedom, alpha 1e-6.
    assert!(chi_squared < 30.7, "{counts:?}: {chi_squared}");
}

#[test]
fn endpoints_that_stay_keep_their_times() {
    let mut bench = bench(&[1, 1, 1], "");
    bench.outcomes(&[answered(0, 100), answered(1, 300), answered(2, 500)]);
    for availability in [Availability::Unavailable, Availability::Ready] {
        assert!(bench.changes(&[Change::Availability((0, availability))]));
    }
    assert_eq!(letters(&mut bench, 2), "aa");
    assert!(bench.changes(&[Change::Removed(0), Change::Put(endpoint(9))]));
    assert_eq!(bench.pick_slot(None), Some(9), "what is new is tried");
}

#[test]
fn absurd_input_has_a_defined_answer() {
    assert_eq!(bench(&[], "").pick_slot(None), None);
    assert_eq!(bench(&[0, 0], "").pick_again(None, &[1]), None);
    assert_eq!(bench(&[0, 1], "").pick_again(None, &[1]), Some(1));
    let mut heavy = bench(&[1 << 31, u32::MAX, 1], r#","inflight":true"#);
    for now_ms in [u64::MAX, 0, u64::MAX / 2] {
        set_now_ms(now_ms);
        (0..3).for_each(|slot| set_in_flight(slot, u32::MAX));
        let longest = Outcome { total_us: u32::MAX, first_byte_us: u32::MAX, ..answered(0, 0) };
        heavy.outcomes(&[longest, answered(77, 5), outcome(1, OutcomeClass::Reset, 0, 0)]);
        assert!((0..100).all(|_| heavy.pick_slot(None).is_some()));
    }
    let mut many = bench(&vec![1; 10_000], "");
    many.outcomes(&(0..1024).map(|slot| answered(slot, 1000)).collect::<Vec<_>>());
    assert!((0..100).all(|_| many.pick_slot(None).is_some_and(|slot| slot >= 1024)));
    assert!(many.changes(&[Change::Removed(3), Change::Removed(3), Change::Put(endpoint(3)), Change::Weight((3, 9))]));
    assert!(many.pick_slot(None).is_some());
}

#[test]
fn mistakes_in_the_options_are_told() {
    let mistakes = |config| BalancerBench::<LeastTime>::new(config).unwrap_err();
    let errors = mistakes(r#"{"halve_after":"10ms"}"#);
    assert_eq!((&errors[0].path[..], &errors[0].message[..]), ("/halve_after", "expected 1s to 1h, not 10ms"));
    assert_eq!(mistakes(r#"{"time":"first_byte"}"#)[0].path, "/time");
}

proptest! {
    #[test]
    fn every_pick_is_nginx_s(
        weights in prop::collection::vec(1u32..5, 2..8),
        inflight: bool,
        steps in prop::collection::vec((0u64..3000, prop::collection::vec(0u32..8, 0..3), 0usize..20), 1..120),
    ) {
        let mut bench = bench(&weights, if inflight { r#","inflight":true"# } else { "" });
        let peers = weights.iter().map(|&weight| Peer { weight: weight.into(), ..Peer::default() }).collect();
        let mut nginx = Nginx { peers, inflight };
        // nginx's clock is far from 0.
        let mut now_ms = 1_000_000;
        let mut under_way: Vec<(usize, u64)> = Vec::new();
        for (passed, tried, ends) in steps {
            now_ms += passed;
            set_now_ms(now_ms);
            // The time is looked at when outcomes come.
            bench.outcomes(&[]);
            if ends < under_way.len() {
                let (slot, since) = under_way.swap_remove(ends);
                nginx.ended(slot, now_ms - since, now_ms);
                bench.outcomes(&[answered(slot as u32, (now_ms - since) as u32)]);
            }
            (0..).zip(&nginx.peers).for_each(|(slot, peer)| set_in_flight(slot, peer.connections as u32));
            if (0..weights.len() as u32).all(|slot| tried.contains(&slot)) {
                continue;
            }
            let expected = nginx.pick(&tried, now_ms).unwrap();
            let got = if tried.is_empty() { bench.pick_slot(None) } else { bench.pick_again(None, &tried) };
            prop_assert_eq!(got, Some(expected as u32));
            under_way.push((expected, now_ms));
        }
    }
}
