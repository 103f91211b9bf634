use plimsoll_sdk::host::LoadReport;
use plimsoll_sdk::testing::{BalancerBench, advance, endpoints, report_load};
use plimsoll_sdk::{Availability, Change, Duration};
use proptest::prelude::*;

use crate::WeightedBySignal;

type Bench = BalancerBench<WeightedBySignal>;

fn bench(weights: &[u32], config: &str) -> Bench {
    let mut bench = Bench::new(config).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

/// A report of so many requests a second and such a utilization, both in thousandths.
fn report(slot: u32, requests_per_second: u32, utilization: u32, errors_per_second: u32) {
    let report = LoadReport { cpu: 0, memory: 0, utilization, requests_per_second, errors_per_second, age_ms: 0 };
    report_load(slot, report);
}

/// How many of so many turns each endpoint gets.
fn turns(bench: &mut Bench, endpoints: usize, picks: usize) -> Vec<usize> {
    let mut counts = vec![0; endpoints];
    // Reports are looked at when outcomes come.
    bench.outcomes(&[]);
    for _ in 0..picks {
        counts[bench.pick_slot(None).unwrap() as usize] += 1;
    }
    counts
}

fn is_about(turns: &[usize], expected: &[usize]) -> bool {
    turns.iter().zip(expected).all(|(turns, expected)| turns.abs_diff(*expected) <= 1)
}

/// Endpoints that have reported for longer than the blackout of `0s`, as of the next look.
const AT_ONCE: &str = r#"{"blackout_period":"0s"}"#;

fn look_again() {
    advance(Duration::from_secs(1));
}

#[test]
fn turns_are_in_proportion_to_requests_for_utilization() {
    let mut bench = bench(&[1, 1, 1], AT_ONCE);
    report(0, 100_000, 500, 0);
    report(1, 100_000, 250, 0);
    report(2, 50_000, 500, 0);
    look_again();
    // 200, 400 and 100
    let counts = turns(&mut bench, 3, 700);
    assert!(is_about(&counts, &[200, 400, 100]), "{counts:?}");
}

#[test]
fn errors_count_as_utilization() {
    for (config, expected) in [
        (AT_ONCE, [200, 100]),
        (r#"{"blackout_period":"0s","error_utilization_penalty":0.0}"#, [150, 150]),
        (r#"{"blackout_period":"0s","error_utilization_penalty":2.0}"#, [225, 75]),
    ] {
        let mut bench = bench(&[1, 1], config);
        report(0, 100_000, 500, 0);
        report(1, 100_000, 500, 50_000);
        look_again();
        let counts = turns(&mut bench, 2, 300);
        assert!(is_about(&counts, &expected), "{config}: {counts:?}");
    }
}

#[test]
fn the_processor_counts_when_the_application_says_nothing() {
    let mut bench = bench(&[1, 1], AT_ONCE);
    report(0, 100_000, 500, 0);
    let by_cpu = LoadReport {
        cpu: 250,
        memory: 900,
        utilization: 0,
        requests_per_second: 100_000,
        errors_per_second: 0,
        age_ms: 0,
    };
    report_load(1, by_cpu);
    look_again();
    assert!(is_about(&turns(&mut bench, 2, 300), &[100, 200]));
}

#[test]
fn a_weight_counts_after_the_blackout_and_until_it_expires() {
    let mut bench = bench(&[1, 1], "");
    let both = || {
        report(0, 100_000, 500, 0);
        report(1, 300_000, 500, 0);
    };
    both();
    look_again();
    assert!(is_about(&turns(&mut bench, 2, 100), &[50, 50]), "not yet");
    for _ in 0..9 {
        both();
        look_again();
    }
    assert!(is_about(&turns(&mut bench, 2, 100), &[25, 75]), "after ten seconds");
    advance(Duration::from_secs(178));
    assert!(is_about(&turns(&mut bench, 2, 100), &[25, 75]), "for three minutes");
    look_again();
    assert!(is_about(&turns(&mut bench, 2, 100), &[50, 50]), "not longer");
    both();
    look_again();
    assert!(is_about(&turns(&mut bench, 2, 100), &[50, 50]), "the blackout begins anew");
}

#[test]
fn who_has_not_reported_gets_the_mean() {
    let mut bench = bench(&[1, 1, 1], AT_ONCE);
    report(0, 100_000, 1000, 0);
    look_again();
    assert!(is_about(&turns(&mut bench, 3, 300), &[100, 100, 100]), "one report is nothing to compare");
    report(1, 300_000, 1000, 0);
    look_again();
    assert!(is_about(&turns(&mut bench, 3, 300), &[50, 150, 100]));
}

#[test]
fn configured_weights_and_warming_up_count_as_well() {
    let mut bench = bench(&[3, 1], AT_ONCE);
    assert!(is_about(&turns(&mut bench, 2, 400), &[300, 100]));
    report(0, 100_000, 500, 0);
    report(1, 300_000, 500, 0);
    look_again();
    assert!(is_about(&turns(&mut bench, 2, 400), &[200, 200]));
    assert!(bench.changes(&[Change::Ramp((1, 100))]));
    assert!(is_about(&turns(&mut bench, 2, 110), &[100, 10]));
}

#[test]
fn an_endpoint_that_was_away_begins_anew() {
    let mut bench = bench(&[1, 1], r#"{"blackout_period":"5s"}"#);
    let both = || {
        report(0, 100_000, 500, 0);
        report(1, 300_000, 500, 0);
    };
    for _ in 0..6 {
        both();
        look_again();
        bench.outcomes(&[]);
    }
    assert!(is_about(&turns(&mut bench, 2, 100), &[25, 75]));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert!(bench.changes(&[Change::Availability((1, Availability::Ready))]));
    both();
    look_again();
    assert!(is_about(&turns(&mut bench, 2, 100), &[50, 50]));
}

#[test]
fn a_negative_penalty_is_refused() {
    let errors = Bench::new(r#"{"error_utilization_penalty":-0.5}"#).unwrap_err();
    assert_eq!(errors[0].path, "/error_utilization_penalty");
}

proptest! {
    #[test]
    fn any_reports_give_a_choice_and_tried_ones_only_when_there_is_no_other(
        weights in prop::collection::vec(0u32..1000, 1..8),
        reports in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 8),
        tried in prop::collection::vec(0u32..8, 1..8),
    ) {
        let mut bench = bench(&weights, AT_ONCE);
        for (slot, (requests, utilization, errors)) in (0..).zip(&reports) {
            report(slot, *requests, *utilization, *errors);
        }
        look_again();
        let usable: Vec<u32> = (0..).zip(&weights).filter(|(_, w)| **w > 0).map(|(slot, _)| slot).collect();
        let left: Vec<u32> = usable.iter().copied().filter(|slot| !tried.contains(slot)).collect();
        for picked in [bench.pick_slot(None), bench.pick_again(None, &tried)] {
            prop_assert_eq!(picked.is_none(), usable.is_empty());
            prop_assert!(picked.is_none_or(|slot| usable.contains(&slot)));
        }
        if !left.is_empty() {
            prop_assert!(left.contains(&bench.pick_again(None, &tried).unwrap()));
        }
    }
}
