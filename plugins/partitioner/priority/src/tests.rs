use plimsoll_sdk::testing::{PartitionerBench, endpoint};
use proptest::prelude::*;

use super::*;

/// For each level, how many of its endpoints are ready and how many there are.
fn levels(levels: &[(u32, u32)]) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for (priority, (ready, members)) in levels.iter().enumerate() {
        for n in 0..*members {
            let availability = if n < *ready { Availability::Ready } else { Availability::Unavailable };
            all.push(Endpoint { priority: priority as u32, availability, ..endpoint(all.len() as u32) });
        }
    }
    all
}

/// Shares of the levels in percent, over 20 000 requests.
fn shares(config: &str, given: &[(u32, u32)]) -> Vec<u32> {
    let mut bench = PartitionerBench::<Priority>::new(config).unwrap();
    let groups = bench.endpoints(&levels(given));
    let mut counts = vec![0; groups.len()];
    for _ in 0..20_000 {
        counts[bench.choose(&[]).unwrap() as usize] += 1;
    }
    counts.iter().map(|count| (count + 100) / 200).collect()
}

/// Rounded percentages of random draws: 20 000 of them are within 2 of what is right.
fn near(shares: &[u32], expected: &[u32]) -> bool {
    shares.len() == expected.len() && shares.iter().zip(expected).all(|(share, right)| share.abs_diff(*right) <= 2)
}

#[test]
fn the_next_level_gets_what_the_first_cannot_carry() {
    // Envoy's table for an overprovisioning factor of 1.4.
    for (healthy, first) in [(100, 100), (72, 100), (71, 99), (50, 70), (25, 35), (0, 0)] {
        let shares = shares("{}", &[(healthy, 100), (100, 100)]);
        assert!(near(&shares, &[first, 100 - first]), "{healthy} % healthy: {shares:?}");
    }
}

#[test]
fn when_all_together_are_too_few_each_gets_in_proportion() {
    let shares = shares("{}", &[(25, 100), (25, 100)]);
    assert!(near(&shares, &[50, 50]), "{shares:?}");
}

#[test]
fn levels_may_have_gaps_and_none_may_be_ready() {
    let mut bench = PartitionerBench::<Priority>::new("{}").unwrap();
    assert!(bench.endpoints(&[]).is_empty());
    assert_eq!(bench.choose(&[]), None);
    bench.endpoints(&levels(&[(0, 3), (0, 2)]));
    assert_eq!(bench.choose(&[]), None);
    let mut far = endpoint(9);
    far.priority = 7;
    let groups = bench.endpoints(&[Endpoint { priority: 3, ..endpoint(1) }, far]);
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["priority 3", "priority 7"]);
    assert_eq!(bench.choose(&[]), Some(0));
}

#[test]
fn levels_are_bounded_and_the_last_has_those_beyond() {
    let mut bench = PartitionerBench::<Priority>::new("{}").unwrap();
    let endpoints: Vec<Endpoint> = (0..1500).map(|slot| Endpoint { priority: 2 * slot, ..endpoint(slot) }).collect();
    let groups = bench.endpoints(&endpoints);
    assert_eq!((groups.len(), groups[1022].slots.len(), groups[1023].slots.len()), (1024, 1, 1500 - 1023));
}

#[test]
fn a_factor_out_of_range_is_named() {
    let errors = PartitionerBench::<Priority>::new(r#"{"overprovisioning_percent": 99}"#).unwrap_err();
    assert_eq!(errors[0].path, "/overprovisioning_percent");
}

proptest! {
    #[test]
    fn a_level_without_any_ready_gets_nothing_and_all_is_given(
        given in prop::collection::vec((0..5_u32, 1..5_u32), 1..6),
    ) {
        let given: Vec<(u32, u32)> = given.into_iter().map(|(ready, members)| (ready.min(members), members)).collect();
        let mut bench = PartitionerBench::<Priority>::new("{}").unwrap();
        bench.endpoints(&levels(&given));
        let any = given.iter().any(|(ready, _)| *ready > 0);
        for _ in 0..200 {
            match bench.choose(&[]) {
                Some(level) => prop_assert!(given[level as usize].0 > 0),
                None => prop_assert!(!any),
            }
        }
    }
}
