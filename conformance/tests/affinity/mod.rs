//! Affinities: sound ones pass, and each broken one fails just the property that it breaks.

mod native;

use native::{Fault, Kind, Native};
use plimsoll_conformance::{Report, Settings, Verdict, run};

const KINDS: [Kind; 2] = [Kind::Cookie, Kind::Session];

fn report(kind: Kind, fault: Fault, selection: &str) -> Report {
    let selection = selection.parse().expect("a selection");
    let settings = Settings { selection, steps: Some(2000), ..Settings::default() };
    let report = run(&Native { kind, fault }, &settings);
    eprintln!("{kind:?} {fault:?}\n{report}\n");
    report
}

fn claims(kind: Kind) -> &'static str {
    match kind {
        Kind::Cookie => "affinity/token,affinity/opaque",
        Kind::Session => "affinity/table,affinity/dated",
    }
}

#[test]
fn sound_affinities_keep_what_they_claim_and_show_what_they_are() {
    for kind in KINDS {
        let of_claims = report(kind, Fault::None, claims(kind));
        assert!(of_claims.passed(), "{kind:?}: {:?}", of_claims.broken());
        let shown = report(kind, Fault::None, "auto");
        assert!(shown.passed(), "{kind:?}: {:?}", shown.broken());
        let taken: Vec<&str> = shown.profiles.iter().filter(|choice| choice.taken).map(|c| c.profile.name()).collect();
        let expected: Vec<&str> = ["generic", "affinity"].into_iter().chain(claims(kind).split(',')).collect();
        assert_eq!(taken, expected, "{kind:?}");
        let skipped = of_claims.properties.iter().filter(|finding| finding.verdict == Verdict::Skipped);
        for finding in skipped {
            let reason = finding.reason.as_deref().unwrap_or_default();
            assert!(reason.ends_with("is not taken"), "{}: {reason}", finding.id);
        }
    }
}

pub(crate) const MUTANTS: [(Fault, Kind, &str); 20] = [
    (Fault::ForgetsSome, Kind::Cookie, "A1"),
    (Fault::ForgetsForAWeight, Kind::Cookie, "A2"),
    (Fault::LosesWhoDrains, Kind::Session, "A3"),
    (Fault::KeepsItsFirstToken, Kind::Cookie, "A4"),
    (Fault::DiesOfLongValues, Kind::Cookie, "A5"),
    (Fault::TakesWhatIsAddedTo, Kind::Cookie, "A5b"),
    (Fault::EndsEarlyForOne, Kind::Session, "A6"),
    (Fault::IsUnknownElsewhere, Kind::Session, "A7"),
    (Fault::GoesBySlotElsewhere, Kind::Cookie, "A7b"),
    (Fault::InheritsClients, Kind::Session, "A8"),
    (Fault::ShowsTheHash, Kind::Cookie, "A9"),
    (Fault::Leaks, Kind::Session, "A10"),
    (Fault::KeepsTheFirst, Kind::Session, "A10b"),
    (Fault::Alternates, Kind::Cookie, "A12"),
    (Fault::SetsALength, Kind::Cookie, "A13"),
    (Fault::DiesOfForeignState, Kind::Cookie, "G8a"),
    (Fault::DiesBeforeEndpoints, Kind::Cookie, "G9a"),
    (Fault::DiesOfTheLastGeneration, Kind::Session, "G10a"),
    (Fault::AsksForMoreWhenCreatedAgain, Kind::Cookie, "G11a"),
    (Fault::SharesItsTable, Kind::Session, "G12a"),
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
fn what_is_given_and_not_known_again_is_broken_and_not_skipped() {
    let report = report(Kind::Cookie, Fault::NeverVerifies, "auto");
    assert_eq!(report.broken(), ["A1"]);
}

#[test]
fn what_breaks_a_property_is_made_small() {
    let report = report(Kind::Cookie, Fault::ForgetsForAWeight, "affinity");
    let finding = report.properties.iter().find(|finding| finding.id == "A2").expect("it is tried");
    let smallest = finding.smallest.as_deref().expect("changes that break it");
    // One more endpoint comes, and gets that weight.
    assert_eq!((smallest.matches("Come").count(), smallest.matches("Weigh").count()), (1, 1), "{smallest}");
}
