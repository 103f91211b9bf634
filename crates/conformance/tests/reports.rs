//! What the suite reports of a broken policy: made small, with what it takes to see it again.

use plimsoll_conformance::{Finding, Profile, Report, Selection, Settings, Verdict, run};
use plimsoll_mutants::{Specimen, specimens};

fn settings(selection: &str) -> Settings {
    Settings { selection: selection.parse().expect("a selection"), ..Settings::default() }
}

fn specimen(name: &str) -> Specimen {
    specimens().into_iter().find(|specimen| specimen.name == name).expect("a specimen of this name")
}

fn report(name: &str, selection: &str) -> Report {
    run(&*specimen(name).native(), &Settings { steps: Some(5000), ..settings(selection) })
}

/// The least that shows that a mutant breaks a property.
fn smallest(name: &str, id: &str) -> String {
    let specimen = specimen(name);
    let report = report(name, specimen.selection);
    let finding = report.properties.iter().find(|finding| finding.id == id).expect("it is tried");
    finding.smallest.clone().unwrap_or_else(|| panic!("nothing small: {finding:?}"))
}

fn broken(report: &Report) -> &Finding {
    report.properties.iter().find(|finding| finding.verdict == Verdict::Broken).expect("something is broken")
}

#[test]
fn what_breaks_a_property_is_made_small() {
    let report = report("balancer/Turns/IgnoresDraining", "balancer");
    let smallest = broken(&report).smallest.clone().expect("an input that breaks it");
    // It takes one that drains among more than 8, and picks until its turn comes.
    let steps =
        smallest.matches("Pick").count() + smallest.matches("Come").count() + smallest.matches("Become").count();
    assert!(steps <= 30 && smallest.contains("Draining"), "{steps}: {smallest}");
}

#[test]
fn a_finding_can_be_had_again_by_its_command_line() {
    let mut settings = settings("balancer");
    settings.file = "my plugin.wasm".into();
    settings.config = Some("{\"a\":\"it's\"}".into());
    settings.seed = 7;
    let report = run(&*specimen("balancer/Turns/RepeatsTried").native(), &settings);
    let replay = broken(&report).replay.clone().expect("a command line");
    assert_eq!(
        replay,
        "plimsoll plugin test 'my plugin.wasm' --profile balancer --seed 7 --only B4 --config '{\"a\":\"it'\\''s\"}'"
    );
    settings.only = vec!["B4".into()];
    let again = run(&*specimen("balancer/Turns/RepeatsTried").native(), &settings);
    assert_eq!(again.properties.len(), 1);
    assert_eq!(broken(&again).reason, broken(&report).reason);
    assert_eq!(broken(&again).smallest, broken(&report).smallest);
}

#[test]
fn the_same_settings_give_the_same_report() {
    let json = |seed| {
        let settings = Settings { seed, steps: Some(1000), ..settings("auto") };
        serde_json::to_string(&run(&*specimen("balancer/Least/None").native(), &settings)).expect("JSON")
    };
    assert_eq!(json(3), json(3));
    assert_ne!(json(3), json(4));
}

#[test]
fn the_json_has_the_shape_that_the_documentation_tells() {
    let report = serde_json::to_value(report("balancer/Turns/RepeatsTried", "auto")).expect("JSON");
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(report["shape"], 1);
    assert_eq!(
        keys(&report),
        [
            "config",
            "passed",
            "plugin",
            "profiles",
            "properties",
            "roles",
            "seed",
            "selection",
            "shape",
            "steps",
            "suite",
            "untested"
        ]
    );
    assert_eq!(keys(&report["plugin"]), ["digest", "name", "version"]);
    assert_eq!(keys(&report["profiles"][0]), ["profile", "taken", "why"]);
    let properties = report["properties"].as_array().expect("a list");
    for property in properties {
        assert_eq!(keys(property), ["id", "measured", "profile", "promise", "reason", "replay", "smallest", "verdict"]);
    }
    let verdict = |id: &str| properties.iter().find(|property| property["id"] == id).map(|p| p["verdict"].clone());
    assert_eq!(verdict("B4"), Some("broken".into()));
    assert_eq!(verdict("B1"), Some("passed".into()));
    assert_eq!(verdict("C1"), Some("skipped".into()));
}

#[test]
fn a_quick_run_is_about_what_holds_for_all() {
    let report = report("balancer/Turns/RepeatsTried", "quick");
    assert_eq!(report.broken(), ["B4"]);
    assert!(report.profiles.iter().all(|c| c.taken == matches!(c.profile, Profile::Generic | Profile::Balancer)));
}

#[test]
fn without_time_nothing_is_begun() {
    let settings = Settings { time: Some(std::time::Duration::ZERO), ..settings("quick") };
    let report = run(&*specimen("balancer/Turns/RepeatsTried").native(), &settings);
    assert!(report.properties.iter().all(|finding| finding.verdict == Verdict::Skipped), "{report}");
}

#[test]
fn what_is_no_profile_is_told_with_what_is() {
    let error = "balancer/fast".parse::<Selection>().expect_err("no profile");
    assert!(error.contains("balancer/fast") && error.contains("balancer/weighted"), "{error}");
    let claimed = "balancer/least".parse::<Selection>().expect("a profile");
    assert_eq!(claimed.misfit(&["router".into()]), Some(Profile::Least));
    assert_eq!(claimed.misfit(&["balancer".into()]), None);
}

#[test]
fn what_breaks_an_affinity_is_made_small() {
    let smallest = smallest("affinity/Cookie/ForgetsForAWeight", "A2");
    // One more endpoint comes, and gets that weight.
    assert_eq!((smallest.matches("Come").count(), smallest.matches("Weigh").count()), (1, 1), "{smallest}");
}

#[test]
fn what_breaks_an_evaluator_is_made_small() {
    let smallest = smallest("health/Thresholds/AddsUp", "H1");
    // Two bad ones, a good one, and a third that is bad but not the third in a row.
    assert_eq!(smallest.matches("false").count(), 3, "{smallest}");
}

#[test]
fn a_table_that_breaks_precedence_is_made_small() {
    let smallest = smallest("router/Gateway/DoesNotCountHeaders", "R2");
    // Two routes are enough.
    assert_eq!(smallest.matches("cluster").count(), 2, "{smallest}");
}

#[test]
fn bytes_that_are_not_minded_in_pieces_are_made_few() {
    let report = report("prober/Lines/MindsPieces", "prober/server-first");
    let finding = report.properties.iter().find(|finding| finding.id == "P1").expect("it is tried");
    let how = finding.reason.clone().expect("a reason");
    assert!(how.contains("byte by byte") || how.contains("in pieces"), "{how}");
    assert!(finding.smallest.as_ref().is_some_and(|bytes| bytes.len() < 80), "{report}");
}
