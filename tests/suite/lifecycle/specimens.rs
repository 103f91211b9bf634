//! `plimsoll plugin test` with components of which is known what it must find.

use plimsoll_mutants::specimens;
use plimsoll_tests::{specimen, wasi_guest_path};

use super::conformance::{broken, report, test};
use super::stderr;

/// Which of the specimens whose names begin so are not judged as they should be.
fn misjudged(beginning: &str) -> Vec<String> {
    let components = specimens().into_iter().filter(|of| of.name.starts_with(beginning) && of.runs_as_component);
    let misjudged = components.filter_map(|of| {
        let config = of.config.map(|config| ["--config", config]);
        let arguments = ["--profile", of.selection, "--steps", "2000", "--json"];
        let arguments: Vec<&str> = arguments.into_iter().chain(config.into_iter().flatten()).collect();
        let told = report(&test(&specimen(&of.name), &of.name.replace('/', "-"), &arguments));
        let broken = broken(&told);
        (broken != Vec::from_iter(of.breaks)).then(|| format!("{of:?}, and was found to break {broken:?}: {told:#}"))
    });
    misjudged.collect()
}

fn each_is_judged_rightly(beginnings: &[&str]) {
    let misjudged: Vec<String> = beginnings.iter().flat_map(|beginning| misjudged(beginning)).collect();
    assert!(misjudged.is_empty(), "{}", misjudged.join("\n"));
}

/// Balancers, by their kinds: tests run side by side.
const HASHING: [&str; 3] = ["balancer/Hash/", "balancer/Numbered/", "balancer/Bounded/"];
const OTHERS: [&str; 3] = ["balancer/Turns/", "balancer/Least/", "balancer/Latency/"];
const UNUSUAL: [&str; 7] = [
    "balancer/Tenants/",
    "balancer/Sticky/",
    "balancer/Packing/",
    "balancer/LeastOfAll/",
    "balancer/Dice/",
    "balancer/Deck/",
    "balancer/Streaks/",
];

#[test]
fn of_balancers_it_finds_what_is_wrong_and_nothing_else() {
    let known = |name: &str| HASHING.iter().chain(&OTHERS).chain(&UNUSUAL).any(|beginning| name.starts_with(beginning));
    assert!(specimens().iter().all(|of| known(&of.name) || !of.name.starts_with("balancer/")));
    each_is_judged_rightly(&OTHERS);
}

#[test]
fn so_it_does_of_those_that_hash() {
    each_is_judged_rightly(&HASHING);
}

#[test]
fn so_it_does_of_those_that_are_unusual() {
    each_is_judged_rightly(&UNUSUAL);
}

#[test]
fn so_it_does_of_affinities() {
    each_is_judged_rightly(&["affinity/"]);
}

#[test]
fn so_it_does_of_evaluators() {
    each_is_judged_rightly(&["health/"]);
}

#[test]
fn so_it_does_of_routers() {
    each_is_judged_rightly(&["router/"]);
}

#[test]
fn so_it_does_of_probers() {
    each_is_judged_rightly(&["prober/"]);
}

#[test]
fn so_it_does_of_partitioners() {
    each_is_judged_rightly(&["partitioner/"]);
}

#[test]
fn so_it_does_of_discoveries() {
    each_is_judged_rightly(&["discovery/"]);
}

#[test]
fn what_a_component_is_shows_in_what_it_does() {
    for sound in specimens().into_iter().filter(|of| of.breaks.is_none()) {
        let config = sound.config.map(|config| ["--config", config]);
        let arguments = ["--steps", "2000", "--json"].into_iter().chain(config.into_iter().flatten());
        let told = report(&test(&specimen(&sound.name), "shows", &arguments.collect::<Vec<_>>()));
        let profiles = told["profiles"].as_array().expect("profiles");
        for claimed in sound.selection.split(',') {
            let is_taken = profiles.iter().any(|choice| choice["profile"] == claimed && choice["taken"] == true);
            assert!(is_taken, "{sound:?} is not taken for {claimed}: {profiles:#?}");
        }
    }
}

#[test]
fn what_breaks_a_component_is_made_small_and_can_be_had_again() {
    let of = ["--profile", "affinity/token", "--only", "A5", "--json"];
    let told = report(&test(&specimen("affinity/Cookie/DiesOfLongValues"), "again", &of));
    let property = &told["properties"][0];
    let replay = property["replay"].as_str().expect("a command line");
    assert!(replay.ends_with("it.wasm --profile affinity/token --seed 1 --only A5"), "{replay}");
    // One request is enough.
    let smallest = property["smallest"].as_str().expect("the least that breaks it");
    assert_eq!(smallest.matches("Some(").count(), 1, "{smallest}");
}

/// The component with another import of as many letters.
fn importing(mut component: Vec<u8>, offered: &[u8], other: &[u8]) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = component[at..].windows(offered.len()).position(|window| window == offered) {
        at += found;
        component[at..at + offered.len()].copy_from_slice(other);
    }
    component
}

#[test]
fn what_imports_more_than_there_is_is_not_loaded() {
    let component = specimen("balancer/Turns/None");
    let component = importing(component, b"plimsoll:plugin/random@", b"plimsoll:plugin/socket@");
    let output = test(&component, "imports", &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("it imports `plimsoll:plugin/socket@0.2.0`, which this proxy does not offer"), "{told}");
}

#[test]
fn nor_is_what_imports_more_of_wasi_than_a_toolchain_needs() {
    let component = std::fs::read(wasi_guest_path()).expect("the guest was built");
    let component = importing(component, b"wasi:clocks/monotonic-clock@", b"wasi:sockets/ip-name-lookup@");
    let output = test(&component, "imports-wasi", &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("it imports `wasi:sockets/ip-name-lookup@"), "{told}");
    assert!(told.contains("which this proxy does not offer"), "{told}");
}

#[test]
fn of_what_has_no_schema_no_plugin_is_made() {
    let output = test(&specimen("balancer/Turns/HasNoSchema"), "no-schema", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("config schema of balancer is not a JSON Schema"), "{}", stderr(&output));
}
