use plimsoll_sdk::testing::{PartitionerBench, endpoint};
use proptest::prelude::*;

use super::*;

const TWO: &str = r#"{"labels": [{"metadata": "version", "header": "X-Version"}, {"metadata": "tier", "cookie": "tier"}], "fallback": "none"}"#;

fn labelled(slot: u32, labels: &[(&str, &str)]) -> Endpoint {
    let metadata = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Endpoint { metadata, ..endpoint(slot) }
}

fn header(value: &str) -> (Attribute, &str) {
    (Attribute::Header("x-version".into()), value)
}

fn cookie(value: &str) -> (Attribute, &str) {
    (Attribute::Cookie("tier".into()), value)
}

/// Slots that a request may go to.
fn slots(
    bench: &mut PartitionerBench<Subset>,
    endpoints: &[Endpoint],
    asked: &[(Attribute, &str)],
) -> Option<Vec<u32>> {
    let groups = bench.endpoints(endpoints);
    bench.choose(asked).map(|at| groups[at as usize].slots.clone())
}

#[test]
fn who_says_where_the_others_go_lets_none_stray() {
    let is_strict = |config: &str| PartitionerBench::<Subset>::new(config).unwrap().is_strict();
    assert_eq!(["{}", r#"{"fallback":"none"}"#].map(is_strict), [false, true]);
    assert!(is_strict(r#"{"fallback":"default","default":{"version":"1"}}"#));
}

#[test]
fn a_request_reaches_only_what_has_all_the_labels_it_asks_for() {
    let endpoints = [
        labelled(0, &[("version", "1"), ("tier", "gold")]),
        labelled(1, &[("version", "2"), ("tier", "gold")]),
        labelled(2, &[("version", "2"), ("tier", "gold")]),
        labelled(3, &[("version", "2")]),
    ];
    let mut bench = PartitionerBench::<Subset>::new(TWO).unwrap();
    assert_eq!(slots(&mut bench, &endpoints, &[header("2"), cookie("gold")]), Some(vec![1, 2]));
    assert_eq!(slots(&mut bench, &endpoints, &[header("1"), cookie("gold")]), Some(vec![0]));
    assert_eq!(slots(&mut bench, &endpoints, &[header("1"), cookie("free")]), None);
    assert_eq!(slots(&mut bench, &endpoints, &[header("1")]), None);
}

#[test]
fn the_fallback_decides_about_the_rest() {
    let endpoints = [labelled(0, &[("version", "1")]), labelled(1, &[("version", "2")]), endpoint(2)];
    let with = |fallback: &str| PartitionerBench::<Subset>::new(fallback).unwrap();
    assert_eq!(slots(&mut with("{}"), &endpoints, &[header("9")]), Some(vec![0, 1, 2]));
    assert_eq!(slots(&mut with(r#"{"fallback": "none"}"#), &endpoints, &[]), None);
    let default = r#"{"fallback": "default", "default": {"version": "1"}}"#;
    assert_eq!(slots(&mut with(default), &endpoints, &[]), Some(vec![0]));
    assert_eq!(slots(&mut with(default), &endpoints, &[header("2")]), Some(vec![1]));
}

#[test]
fn a_subset_without_a_ready_endpoint_is_as_if_it_were_not_there() {
    let mut down = labelled(0, &[("version", "1")]);
    down.availability = Availability::Unavailable;
    let endpoints = [down, labelled(1, &[("version", "2")])];
    let mut bench = PartitionerBench::<Subset>::new("{}").unwrap();
    assert_eq!(slots(&mut bench, &endpoints, &[header("1")]), Some(vec![0, 1]));
    assert_eq!(slots(&mut bench, &[], &[header("1")]), None);
}

#[test]
fn groups_have_names_of_their_own() {
    let mut bench = PartitionerBench::<Subset>::new(TWO).unwrap();
    let labels = [("a, b", "c"), ("a", "b, c"), ("a\\, b", "c"), ("(fallback)", "")];
    let endpoints: Vec<Endpoint> =
        (0..).zip(labels).map(|(slot, (v, t))| labelled(slot, &[("version", v), ("tier", t)])).collect();
    let names: std::collections::BTreeSet<_> =
        bench.endpoints(&endpoints).into_iter().map(|group| group.name).collect();
    assert_eq!(names.len(), labels.len() + 1, "{names:?}");
    let mut one = PartitionerBench::<Subset>::new("{}").unwrap();
    let names: Vec<_> =
        one.endpoints(&[labelled(0, &[("version", "(fallback)")])]).into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["\\(fallback)", "(fallback)"]);
}

#[test]
fn subsets_are_bounded_and_those_that_are_too_many_are_as_if_they_were_not_there() {
    let mut bench = PartitionerBench::<Subset>::new(r#"{"fallback": "none"}"#).unwrap();
    let version = |slot: u32| labelled(slot, &[("version", slot.to_string().as_str())]);
    let endpoints: Vec<Endpoint> = (0..2000).map(version).collect();
    assert_eq!(bench.endpoints(&endpoints).len(), 1024);
    assert_eq!(slots(&mut bench, &endpoints, &[header("1022")]), Some(vec![1022]));
    assert_eq!(slots(&mut bench, &endpoints, &[header("1023")]), None);
}

#[test]
fn mistakes_are_named() {
    for (config, path) in [
        (r#"{"labels": []}"#, "/labels"),
        (r#"{"labels": [{"metadata": "v"}]}"#, "/labels/0"),
        (r#"{"labels": [{"metadata": "v", "header": "a", "cookie": "b"}]}"#, "/labels/0"),
        (r#"{"fallback": "default"}"#, "/default"),
        (r#"{"default": {"a": "b"}}"#, "/default"),
    ] {
        assert_eq!(PartitionerBench::<Subset>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}

proptest! {
    #[test]
    fn values_that_look_alike_joined_are_kept_apart(first in ".{0,6}", second in ".{0,6}", cut in 0..6_usize) {
        let joined = format!("{first}{second}");
        let at = joined.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(joined.len());
        let (other_first, other_second) = joined.split_at(at);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        [first.as_str(), second.as_str()].iter().for_each(|value| join(&mut a, value.as_bytes()));
        [other_first, other_second].iter().for_each(|value| join(&mut b, value.as_bytes()));
        prop_assert_eq!(a == b, first == other_first);
    }
}
