//! Evaluators of health: sound ones pass, and each broken one fails just the property that it breaks.

mod native;

use native::{Fault, Kind, Native};
use plimsoll_conformance::{Report, Settings, Verdict, run};

const KINDS: [Kind; 2] = [Kind::Thresholds, Kind::Rate];

fn report(kind: Kind, fault: Fault, selection: &str) -> Report {
    let selection = selection.parse().expect("a selection");
    let settings = Settings { selection, steps: Some(2000), ..Settings::default() };
    let report = run(&Native::new(kind, fault), &settings);
    eprintln!("{kind:?} {fault:?}\n{report}\n");
    report
}

fn claims(kind: Kind) -> &'static str {
    match kind {
        Kind::Thresholds => "health/thresholds,health/ejecting",
        Kind::Rate => "health/thresholds,health/rate",
    }
}

#[test]
fn sound_evaluators_keep_what_they_claim_and_show_what_they_are() {
    for kind in KINDS {
        let of_claims = report(kind, Fault::None, claims(kind));
        assert!(of_claims.passed(), "{kind:?}: {:?}", of_claims.broken());
        let shown = report(kind, Fault::None, "auto");
        assert!(shown.passed(), "{kind:?}: {:?}", shown.broken());
        let taken: Vec<&str> = shown.profiles.iter().filter(|choice| choice.taken).map(|c| c.profile.name()).collect();
        let expected: Vec<&str> = ["generic", "health"].into_iter().chain(claims(kind).split(',')).collect();
        assert_eq!(taken, expected, "{kind:?}");
        let skipped = of_claims.properties.iter().filter(|finding| finding.verdict == Verdict::Skipped);
        for finding in skipped {
            let reason = finding.reason.as_deref().unwrap_or_default();
            assert!(reason.ends_with("is not taken"), "{}: {reason}", finding.id);
        }
    }
}

pub(crate) const MUTANTS: [(Fault, Kind, &str); 18] = [
    (Fault::AddsUp, Kind::Thresholds, "H1"),
    (Fault::PunishesRecovery, Kind::Thresholds, "H2"),
    (Fault::RepeatsItself, Kind::Thresholds, "H3"),
    (Fault::ForgivesWithTime, Kind::Thresholds, "H4"),
    (Fault::BlamesForClients, Kind::Thresholds, "H5"),
    (Fault::HasNoLongest, Kind::Thresholds, "H6"),
    (Fault::NeedsNoVolume, Kind::Rate, "H8"),
    (Fault::GivesUp, Kind::Thresholds, "H9"),
    (Fault::TrustsTheClock, Kind::Thresholds, "H10"),
    (Fault::HoldsItAgainstTheSlot, Kind::Thresholds, "H11"),
    (Fault::BlamesTheNext, Kind::Thresholds, "H12"),
    (Fault::Leaks, Kind::Thresholds, "G5h"),
    (Fault::IsNeverTheSame, Kind::Thresholds, "G7h"),
    (Fault::DiesOfForeignState, Kind::Thresholds, "G8h"),
    (Fault::JudgesStrangers, Kind::Rate, "G9h"),
    (Fault::DiesAtTheEndOfTime, Kind::Rate, "G10h"),
    (Fault::SurvivesItsDestruction, Kind::Thresholds, "G11h"),
    (Fault::SharesItsRecords, Kind::Thresholds, "G12h"),
];

#[test]
fn each_mutant_fails_the_property_it_breaks_and_no_other() {
    let mut others = Vec::new();
    for (fault, kind, property) in MUTANTS {
        let broken = report(kind, fault, claims(kind)).broken();
        if broken != [property] {
            others.push(format!("{fault:?} breaks {broken:?} instead of {property}"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn what_breaks_a_property_is_made_small() {
    let report = report(Kind::Thresholds, Fault::AddsUp, "health/thresholds");
    let finding = report.properties.iter().find(|finding| finding.id == "H1").expect("it is tried");
    // Two bad ones, a good one, and a third that is bad but not the third in a row.
    assert_eq!(finding.smallest.as_deref().map(|smallest| smallest.matches("false").count()), Some(3), "{finding:?}");
}
