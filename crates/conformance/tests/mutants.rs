//! The suite itself: what is sound passes, and each mutant fails just the property that it breaks.

use plimsoll_conformance::{Report, Settings, Verdict, properties, run};
use plimsoll_mutants::{Specimen, specimens};

fn report(specimen: &Specimen, selection: &str) -> Report {
    let settings = Settings {
        selection: selection.parse().expect("a selection"),
        config: specimen.config.map(Into::into),
        steps: Some(5000),
        ..Settings::default()
    };
    run(&*specimen.native(), &settings)
}

fn sound() -> impl Iterator<Item = Specimen> {
    specimens().into_iter().filter(|specimen| specimen.breaks.is_none())
}

#[test]
fn what_is_sound_keeps_what_it_claims() {
    for specimen in sound() {
        for selection in [specimen.selection, "auto", "quick"] {
            let report = report(&specimen, selection);
            assert!(report.passed(), "{specimen:?}\n{report}");
        }
    }
}

#[test]
fn what_a_policy_is_shows_in_what_it_does() {
    for specimen in sound() {
        let report = report(&specimen, "auto");
        let taken: Vec<&str> = report.profiles.iter().filter(|choice| choice.taken).map(|c| c.profile.name()).collect();
        for claimed in specimen.selection.split(',') {
            assert!(taken.contains(&claimed), "{specimen:?} is not taken for {claimed}, only for {taken:?}");
        }
    }
}

#[test]
fn each_property_can_be_kept() {
    let reports: Vec<Report> = sound().map(|specimen| report(&specimen, specimen.selection)).collect();
    let findings = reports.iter().flat_map(|report| &report.properties);
    let kept: Vec<&str> = findings.filter(|finding| finding.verdict == Verdict::Passed).map(|f| f.id).collect();
    // None of these prepares for endpoints, which B19 is about.
    for (id, _) in properties().filter(|(id, _)| *id != "B19") {
        assert!(kept.contains(&id), "{id}");
    }
}

#[test]
fn each_mutant_fails_the_property_it_breaks_and_no_other() {
    let misjudged = specimens().into_iter().filter(|specimen| specimen.breaks.is_some()).filter_map(|mutant| {
        let report = report(&mutant, mutant.selection);
        let broken = report.broken();
        (broken != Vec::from_iter(mutant.breaks))
            .then(|| format!("{mutant:?}, and was found to break {broken:?}:\n{report}"))
    });
    let misjudged: Vec<String> = misjudged.collect();
    assert!(misjudged.is_empty(), "{}", misjudged.join("\n"));
}

#[test]
fn every_property_has_a_mutant() {
    let broken: Vec<&str> = specimens().into_iter().filter_map(|specimen| specimen.breaks).collect();
    for (id, _) in properties() {
        assert!(broken.contains(&id), "{id}");
    }
}
