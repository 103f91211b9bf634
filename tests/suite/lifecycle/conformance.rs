//! `plimsoll plugin test`.

use std::process::Output;

use plimsoll_tests::{example_plugin, guest};
use serde_json::Value;

use super::{plimsoll, scratch, stderr, stdout};

/// Holds a component against the suite.
pub(super) fn test(component: &[u8], name: &str, arguments: &[&str]) -> Output {
    let directory = scratch(&format!("conformance-{name}"));
    std::fs::write(directory.join("it.wasm"), component).expect("a file");
    plimsoll(&directory, &[&["--log", "off", "plugin", "test", "it.wasm"], arguments].concat())
}

pub(super) fn report(output: &Output) -> Value {
    serde_json::from_str(&stdout(output))
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

pub(super) fn broken(report: &Value) -> Vec<&str> {
    let properties = report["properties"].as_array().expect("properties");
    let broken = properties.iter().filter(|property| property["verdict"] == "broken");
    broken.filter_map(|property| property["id"].as_str()).collect()
}

#[test]
fn a_sound_plugin_passes_and_is_taken_for_what_it_shows_itself_to_be() {
    let output =
        test(&example_plugin("tenant-pin"), "sound", &["--json", "--steps", "1000", "--report", "report.json"]);
    let told = report(&output);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    assert_eq!((&told["shape"], &told["passed"]), (&1.into(), &true.into()));
    assert_eq!(told["plugin"]["name"], "tenant-pin");
    assert_eq!(told["plugin"]["digest"].as_str().map(str::len), Some(64));
    let taken = |name: &str| {
        let profiles = told["profiles"].as_array().expect("profiles");
        profiles.iter().find(|profile| profile["profile"] == name).map(|profile| profile["taken"].clone())
    };
    assert_eq!(taken("balancer/consistent"), Some(true.into()));
    assert_eq!(taken("balancer/uniform"), Some(false.into()));
    let properties = told["properties"].as_array().expect("properties");
    assert!(properties.iter().any(|property| property["measured"]["max/mean"].is_f64()), "{told:#}");
}

#[test]
fn what_the_report_says_is_what_the_file_says() {
    let directory = scratch("conformance-file");
    std::fs::write(directory.join("it.wasm"), guest("last")).expect("a file");
    let arguments = ["plugin", "test", "it.wasm", "--profile", "quick", "--json", "--report", "report.json"];
    let output = plimsoll(&directory, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let file = std::fs::read_to_string(directory.join("report.json")).expect("the report");
    assert_eq!(file, stdout(&output));
}

#[test]
fn an_unsound_plugin_fails_with_what_it_broke_and_how_to_see_it_again() {
    let lie = ["--config", r#"{"fault":"lie"}"#];
    let output = test(guest("faulty"), "liar", &lie);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("BROKEN  B1"), "{}", stdout(&output));
    assert!(stderr(&output).contains("is not sound"), "{}", stderr(&output));
    let again = r#"plimsoll plugin test it.wasm --profile auto --seed 1 --only B1 --config '{"fault":"lie"}'"#;
    assert!(stdout(&output).contains(again), "{}", stdout(&output));

    let output = test(guest("faulty"), "liar-again", &[&lie[..], &["--only", "B1", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let told = report(&output);
    assert_eq!(broken(&told), ["B1"]);
    // One pick is enough.
    let smallest = told["properties"][0]["smallest"].as_str().expect("the least that breaks it");
    assert_eq!(smallest.matches("Pick").count(), 1, "{smallest}");
}

#[test]
fn an_endless_loop_and_a_trap_end_as_findings() {
    for fault in ["loop", "trap", "grow"] {
        let config = format!(r#"{{"fault":"{fault}"}}"#);
        let output = test(guest("faulty"), fault, &["--config", &config, "--only", "B3", "--steps", "100", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{fault}: {}", stderr(&output));
        assert_eq!(broken(&report(&output)), ["B3"], "{fault}");
    }
}

#[test]
fn a_claim_that_does_not_hold_is_told() {
    let output = test(guest("last"), "claim", &["--profile", "balancer/uniform", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told = report(&output);
    assert_eq!(broken(&told), ["B9"]);
    assert_eq!(told["selection"], "balancer/uniform");
}

#[test]
fn wrong_use_is_told_from_a_broken_plugin() {
    let last = guest("last");
    for (name, arguments, says) in [
        ("profile", &["--profile", "balancer/fast"][..], "balancer/weighted"),
        ("config", &["--config", "{"], "not JSON"),
        ("only", &["--only", "Z9"], "expected one of G1"),
    ] {
        let output = test(last, name, arguments);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{name}: {}", stderr(&output));
    }
    let router =
        std::fs::read(super::repository("target/plugins/components/rules.wasm")).expect("built-in plugins are built");
    let output = test(&router, "role", &["--profile", "balancer/least"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("router"), "{}", stderr(&output));

    let output = test(b"no component", "text", &[]);
    assert_eq!(output.status.code(), Some(1), "what is no component is not sound");
    assert!(stderr(&output).contains("it.wasm"), "{}", stderr(&output));
}

#[test]
fn a_plugin_that_needs_a_configuration_is_asked_what_can_be_asked_without() {
    let router =
        std::fs::read(super::repository("target/plugins/components/rules.wasm")).expect("built-in plugins are built");
    let told = report(&test(&router, "needs-config", &["--json"]));
    let verdict = |report: &Value, id: &str| {
        let properties = report["properties"].as_array().expect("properties");
        properties.iter().find(|property| property["id"] == id).map(|property| property["verdict"].clone())
    };
    assert_eq!((verdict(&told, "G2"), verdict(&told, "G3")), (Some("skipped".into()), Some("passed".into())));
    let config = r#"{"routes":[{"respond":{"status":200}}]}"#;
    let told = report(&test(&router, "has-config", &["--json", "--config", config]));
    assert_eq!(verdict(&told, "G2"), Some("passed".into()));
    let output = test(&router, "wrong-config", &["--json", "--config", "{}"]);
    assert_eq!((output.status.code(), broken(&report(&output))), (Some(1), vec!["G2"]));
}

#[test]
fn a_role_that_nothing_can_be_said_of_is_no_pass() {
    let output = test(guest("needy"), "untested", &["--profile", "quick"]);
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    assert!(stdout(&output).contains("NOT TESTED  balancer: "), "{}", stdout(&output));
    assert!(stderr(&output).contains("give it a configuration"), "{}", stderr(&output));
    let output = test(guest("needy"), "tested", &["--profile", "quick", "--config", r#"{"on":true}"#]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

#[test]
fn claims_and_configurations_stand_beside_the_component() {
    let directory = scratch("conformance-claims");
    std::fs::write(directory.join("it.wasm"), guest("first")).expect("a file");
    let claims = "profiles = [\"balancer/weighted\"]\n[[configurations]]\nbalancer = {}\n";
    std::fs::write(directory.join("plugin.toml"), claims).expect("a file");
    let output = plimsoll(&directory, &["plugin", "test", "it.wasm", "--only", "B8", "--json"]);
    assert_eq!((output.status.code(), broken(&report(&output))), (Some(1), vec!["B8"]), "{}", stderr(&output));
    std::fs::write(directory.join("plugin.toml"), "profiles = [\"router/gateway\"]").expect("a file");
    let output = plimsoll(&directory, &["plugin", "test", "it.wasm", "--only", "G14", "--json"]);
    assert_eq!((output.status.code(), broken(&report(&output))), (Some(1), vec!["G14"]), "{}", stderr(&output));
    std::fs::write(directory.join("plugin.toml"), "[[configurations]]\nrouter = {}").expect("a file");
    let output = plimsoll(&directory, &["plugin", "test", "it.wasm"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a configuration for `router`, and the roles are: balancer"));
}

#[test]
fn memory_and_grants_are_those_that_are_asked_for() {
    let output = test(guest("needy"), "memory", &["--memory", "64KiB"]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("memory"), "{}", stderr(&output));
    let output = test(guest("hoarder"), "grants", &["--grants", "log"]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("not granted"), "{}", stderr(&output));
}
