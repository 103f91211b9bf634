//! `plimsoll plugin test` with affinities and evaluators of health.

use plimsoll_tests::guest;

use super::conformance::{broken, report, test};

#[test]
fn an_affinity_that_breaks_one_property_fails_that_one_and_no_other() {
    let unsound = guest("unsound-affinity");
    let arguments = ["--steps", "1000", "--json"];
    let told = report(&test(unsound, "affinity", &arguments));
    assert_eq!(broken(&told), Vec::<&str>::new());
    let profiles = told["profiles"].as_array().expect("profiles");
    let taken: Vec<&str> =
        profiles.iter().filter(|profile| profile["taken"] == true).filter_map(|p| p["profile"].as_str()).collect();
    assert_eq!(taken, ["generic", "affinity", "affinity/table", "affinity/dated"]);
    for property in ["A3", "A4", "A5", "A7", "A8", "A10", "A13", "G8a"] {
        let config = format!(r#"{{"breaks":"{property}"}}"#);
        let name = format!("affinity-{property}");
        let output = test(unsound, &name, &[&arguments[..], &["--config", &config]].concat());
        assert_eq!(broken(&report(&output)), [property]);
    }
}

#[test]
fn an_evaluator_that_breaks_one_property_fails_that_one_and_no_other() {
    let unsound = guest("unsound-health");
    let arguments = ["--steps", "2000", "--json"];
    let told = report(&test(unsound, "health", &arguments));
    assert_eq!(broken(&told), Vec::<&str>::new());
    let profiles = told["profiles"].as_array().expect("profiles");
    let taken: Vec<&str> =
        profiles.iter().filter(|profile| profile["taken"] == true).filter_map(|p| p["profile"].as_str()).collect();
    assert_eq!(taken, ["generic", "health", "health/thresholds", "health/ejecting"]);
    for property in ["H1", "H3", "H4", "H5", "H9", "H10", "H11", "H12", "G8h"] {
        let config = format!(r#"{{"breaks":"{property}"}}"#);
        let name = format!("health-{property}");
        let output = test(unsound, &name, &[&arguments[..], &["--config", &config]].concat());
        assert_eq!(broken(&report(&output)), [property]);
    }
}

#[test]
fn what_breaks_an_affinity_is_made_small_and_can_be_had_again() {
    let config = ["--config", r#"{"breaks":"A5"}"#, "--only", "A5", "--json"];
    let told = report(&test(guest("unsound-affinity"), "affinity-again", &config));
    let property = &told["properties"][0];
    let replay = property["replay"].as_str().expect("a command line");
    assert!(replay.ends_with(r#"--only A5 --config '{"breaks":"A5"}'"#), "{replay}");
    // One request is enough.
    let smallest = property["smallest"].as_str().expect("the least that breaks it");
    assert_eq!(smallest.matches("Some(").count(), 1, "{smallest}");
}
