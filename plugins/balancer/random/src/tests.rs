use plimsoll_sdk::testing::{BalancerBench, endpoints};

use crate::Random;

fn bench(weights: &[u32]) -> BalancerBench<Random> {
    let mut bench = BalancerBench::new("").unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

#[test]
fn shares_follow_the_weights() {
    const PICKS: u32 = 100_000;
    let weights = [1, 2, 3, 10, 0];
    let mut bench = bench(&weights);
    let mut picked = [0_u32; 5];
    (0..PICKS).for_each(|_| picked[bench.pick_slot(None).unwrap() as usize] += 1);
    // Pearson's test with 3 degrees of freedom: 30.7 is exceeded once in a million runs.
    let chi_square: f64 = (0..4)
        .map(|slot| {
            let expected = f64::from(PICKS) * f64::from(weights[slot]) / 16.0;
            (f64::from(picked[slot]) - expected).powi(2) / expected
        })
        .sum();
    assert!(chi_square < 30.7, "{picked:?}: {chi_square}");
    assert_eq!(picked[4], 0);
}

#[test]
fn a_further_attempt_goes_elsewhere_while_there_is_an_elsewhere() {
    let mut bench = bench(&[1000, 1, 1]);
    for _ in 0..100 {
        assert_ne!(bench.pick_again(None, &[0]), Some(0));
        assert_eq!(bench.pick_again(None, &[0, 2]), Some(1));
    }
    assert!(bench.pick_again(None, &[0, 1, 2]).is_some());
}

#[test]
fn without_endpoints_there_is_none() {
    assert_eq!(bench(&[]).pick_slot(None), None);
    assert_eq!(bench(&[0, 0]).pick_slot(None), None);
}
