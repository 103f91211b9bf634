//! The suite itself: sound balancers pass, and each broken one fails just the property that it breaks.

mod affinity;
mod health;
mod native;

use native::{Fault, Kind, Native};
use plimsoll_conformance::{Finding, Profile, Report, Selection, Settings, Verdict, properties, run};

fn settings(selection: &str) -> Settings {
    Settings { selection: selection.parse().expect("a selection"), ..Settings::default() }
}

fn report(kind: Kind, fault: Fault, selection: &str) -> Report {
    let config = (kind == Kind::Bounded).then(|| r#"{"hash_balance_factor":125}"#.to_owned());
    let settings = Settings { steps: Some(5000), config, ..settings(selection) };
    let report = run(&Native::new(kind, fault), &settings);
    eprintln!("{kind:?} {fault:?}\n{report}\n");
    report
}

/// What a kind claims to be.
fn claims(kind: Kind) -> &'static str {
    match kind {
        Kind::Turns => "balancer/weighted,balancer/smooth,balancer/uniform,balancer/ramp,balancer/spread",
        Kind::Hash => "balancer/consistent,balancer/proportional,balancer/minimal,balancer/ramp",
        Kind::Numbered => "balancer/numbered,balancer/proportional,balancer/minimal,balancer/ramp",
        Kind::Bounded => "balancer/consistent,balancer/proportional,balancer/minimal,balancer/bounded",
        Kind::Least => "balancer/least,balancer/uniform,balancer/spread",
        Kind::Latency => "balancer/latency,balancer/least,balancer/uniform",
    }
}

const KINDS: [Kind; 6] = [Kind::Turns, Kind::Hash, Kind::Numbered, Kind::Bounded, Kind::Least, Kind::Latency];

#[test]
fn sound_balancers_keep_what_they_claim() {
    for kind in KINDS {
        let report = report(kind, Fault::None, claims(kind));
        assert!(report.passed(), "{kind:?}: {:?}", report.broken());
    }
}

#[test]
fn what_a_balancer_is_shows_in_what_it_does() {
    for kind in KINDS {
        let report = report(kind, Fault::None, "auto");
        assert!(report.passed(), "{kind:?}: {:?}", report.broken());
        let taken: Vec<&str> = report.profiles.iter().filter(|choice| choice.taken).map(|c| c.profile.name()).collect();
        for claimed in claims(kind).split(',') {
            assert!(taken.contains(&claimed), "{kind:?} is not taken for {claimed}, only for {taken:?}");
        }
    }
}

const MUTANTS: [(Fault, Kind, &str, &str); 41] = [
    (Fault::ChangesItsDescription, Kind::Turns, "generic", "G1"),
    (Fault::CreatesOnce, Kind::Turns, "generic", "G2"),
    (Fault::DiesOfGarbage, Kind::Turns, "generic", "G3"),
    (Fault::ImportsSockets, Kind::Turns, "generic", "G4"),
    (Fault::Leaks, Kind::Turns, "", "G5"),
    (Fault::LooksAtEachTooOften, Kind::Least, "", "G6"),
    (Fault::IsNeverTheSame, Kind::Turns, "", "G7"),
    (Fault::DiesOfForeignState, Kind::Turns, "", "G8"),
    (Fault::DiesOfEarlyOutcomes, Kind::Turns, "", "G9"),
    (Fault::DiesOfHeavyWeights, Kind::Turns, "", "G10"),
    (Fault::SurvivesItsDestruction, Kind::Turns, "", "G11"),
    (Fault::SharesItsTurns, Kind::Turns, "", "G12"),
    (Fault::IgnoresDraining, Kind::Turns, "", "B1"),
    (Fault::ChoosesFromNone, Kind::Turns, "", "B2"),
    (Fault::SkipsTheOnlyOne, Kind::Turns, "", "B3"),
    (Fault::RepeatsTried, Kind::Turns, "", "B4"),
    (Fault::TakesAnyChanges, Kind::Turns, "", "B5"),
    (Fault::TellsWholeFromChanges, Kind::Hash, "", "B6"),
    (Fault::TakesWeightZero, Kind::Turns, "", "B7"),
    (Fault::IgnoresPriority, Kind::Turns, "", "B16"),
    (Fault::AdoptsAnything, Kind::Hash, "", "B19"),
    (Fault::IgnoresWeights, Kind::Turns, "balancer/weighted,balancer/uniform,balancer/ramp,balancer/spread", "B8"),
    (Fault::Bursts, Kind::Turns, "balancer/weighted,balancer/smooth", "B8b"),
    (Fault::FavoursOne, Kind::Turns, "balancer/weighted,balancer/smooth,balancer/uniform,balancer/ramp", "B9"),
    (Fault::IgnoresRamp, Kind::Turns, "", "B14"),
    (Fault::StartsInStep, Kind::Turns, "", "B17"),
    (Fault::StartsAlike, Kind::Turns, "", "B18"),
    (Fault::IgnoresSlots200, Kind::Least, "", "B11"),
    (Fault::IgnoresLoad, Kind::Least, "", "B12"),
    (Fault::NeverForgets, Kind::Latency, "", "B13"),
    (Fault::GoesBySlot, Kind::Hash, "", "B10"),
    (Fault::ShufflesWhenOneGoes, Kind::Hash, "balancer/consistent", "C1"),
    (Fault::MovesSomeWhenOneGoes, Kind::Hash, "", "C1b"),
    (Fault::ShufflesWhenOneComes, Kind::Hash, "", "C2"),
    (Fault::ForgetsWhoCameBack, Kind::Hash, "", "C3"),
    (Fault::IsUneven, Kind::Hash, "", "C4"),
    (Fault::IgnoresWeightsOfKeys, Kind::Hash, "", "C5"),
    (Fault::HasNoBound, Kind::Bounded, "", "C6"),
    (Fault::RemembersStrangers, Kind::Hash, "", "C7"),
    (Fault::ShufflesForAWeight, Kind::Hash, "", "C8"),
    (Fault::ShufflesWhileOneIsDown, Kind::Hash, "", "C9"),
];

#[test]
fn each_mutant_fails_the_property_it_breaks_and_no_other() {
    let mut others = Vec::new();
    for (fault, kind, selection, property) in MUTANTS {
        let selection = if selection.is_empty() { claims(kind) } else { selection };
        let broken = report(kind, fault, selection).broken();
        if broken != [property] {
            others.push(format!("{fault:?} breaks {broken:?} instead of {property}"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn every_property_has_a_mutant() {
    let mut broken: Vec<&str> = MUTANTS.iter().map(|(.., broken)| *broken).collect();
    broken.extend(native::router::MUTANTS.map(|(.., broken)| broken));
    broken.extend(native::prober::MUTANTS.map(|(.., broken)| broken));
    broken.extend(native::partitioner::MUTANTS.map(|(.., broken)| broken));
    broken.extend(affinity::MUTANTS.iter().map(|(.., broken)| *broken));
    broken.extend(health::MUTANTS.iter().map(|(.., broken)| *broken));
    for (id, _) in properties() {
        assert!(broken.contains(&id), "{id}");
    }
}

fn broken(report: &Report) -> &Finding {
    report.properties.iter().find(|finding| finding.verdict == Verdict::Broken).expect("something is broken")
}

#[test]
fn what_breaks_a_property_is_made_small() {
    let report = report(Kind::Turns, Fault::IgnoresDraining, "balancer");
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
    let report = run(&Native::new(Kind::Turns, Fault::RepeatsTried), &settings);
    let replay = broken(&report).replay.clone().expect("a command line");
    assert_eq!(
        replay,
        "plimsoll plugin test 'my plugin.wasm' --profile balancer --seed 7 --only B4 --config '{\"a\":\"it'\\''s\"}'"
    );
    settings.only = vec!["B4".into()];
    let again = run(&Native::new(Kind::Turns, Fault::RepeatsTried), &settings);
    assert_eq!(again.properties.len(), 1);
    assert_eq!(broken(&again).reason, broken(&report).reason);
    assert_eq!(broken(&again).smallest, broken(&report).smallest);
}

#[test]
fn the_same_settings_give_the_same_report() {
    let json = |seed| {
        let settings = Settings { seed, steps: Some(1000), ..settings("auto") };
        serde_json::to_string(&run(&Native::new(Kind::Least, Fault::None), &settings)).expect("JSON")
    };
    assert_eq!(json(3), json(3));
    assert_ne!(json(3), json(4));
}

#[test]
fn the_json_has_the_shape_that_the_documentation_tells() {
    let report = serde_json::to_value(report(Kind::Turns, Fault::RepeatsTried, "auto")).expect("JSON");
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
            "suite"
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
    let report = report(Kind::Hash, Fault::RepeatsTried, "quick");
    assert_eq!(report.broken(), ["B4"]);
    assert!(report.profiles.iter().all(|c| c.taken == matches!(c.profile, Profile::Generic | Profile::Balancer)));
}

#[test]
fn without_time_nothing_is_begun() {
    let settings = Settings { time: Some(std::time::Duration::ZERO), ..settings("quick") };
    let report = run(&Native::new(Kind::Turns, Fault::RepeatsTried), &settings);
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
