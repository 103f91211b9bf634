//! `plimsoll plugin test` with components of which is known what it must find.

use plimsoll_mutants::specimens;
use plimsoll_tests::specimen;

use super::conformance::{broken, report, test};
use super::stderr;

/// Which specimens of a role are not judged as they should be.
fn misjudged(role: &str) -> Vec<String> {
    let role = format!("{role}/");
    let of_role = specimens().into_iter().filter(|of| of.name.starts_with(&role) && of.runs_as_component);
    let misjudged = of_role.filter_map(|of| {
        let config = of.config.map(|config| ["--config", config]);
        let arguments = ["--profile", of.selection, "--steps", "2000", "--json"];
        let arguments: Vec<&str> = arguments.into_iter().chain(config.into_iter().flatten()).collect();
        let told = report(&test(&specimen(&of.name), &of.name.replace('/', "-"), &arguments));
        let broken = broken(&told);
        (broken != Vec::from_iter(of.breaks)).then(|| format!("{of:?}, and was found to break {broken:?}: {told:#}"))
    });
    misjudged.collect()
}

#[test]
fn of_balancers_it_finds_what_is_wrong_and_nothing_else() {
    let misjudged = misjudged("balancer");
    assert!(misjudged.is_empty(), "{}", misjudged.join("\n"));
}

#[test]
fn of_what_has_no_schema_no_plugin_is_made() {
    let output = test(&specimen("balancer/Turns/HasNoSchema"), "no-schema", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("config schema of balancer is not a JSON Schema"), "{}", stderr(&output));
}
