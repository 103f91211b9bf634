//! `plimsoll check`, and what the command line itself says.

use std::path::Path;

use super::{plimsoll, repository, scratch, stderr, stdout};

#[test]
fn a_good_configuration_is_summed_up() {
    let directory = repository("tests/fixtures/config/good");
    for file in names(&directory, ".yaml") {
        let output = plimsoll(&directory, &["check", &file]);
        let said = stdout(&output);
        assert!(output.status.success(), "{file}: {}", stderr(&output));
        assert!(said.starts_with(&format!("{file}: ok, ")) && said.contains(" listeners, "), "{said}");
    }
}

#[test]
fn the_examples_are_good() {
    let directory = repository("examples/quickstart");
    let output = plimsoll(&directory, &["check", "plimsoll.yaml"]);
    assert_eq!(
        (stdout(&output).as_str(), output.status.code()),
        ("plimsoll.yaml: ok, 1 listeners, 1 clusters\n", Some(0))
    );
}

#[test]
fn every_mistake_of_a_bad_one_is_told_with_its_line() {
    let directory = repository("tests/fixtures/config/bad");
    let files = names(&directory, ".yaml");
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let output = plimsoll(&directory, &["check", &file]);
        let wanted = std::fs::read_to_string(directory.join(file.replace(".yaml", ".txt"))).expect("what is expected");
        assert_eq!((output.status.code(), stderr(&output).trim_end()), (Some(2), wanted.trim_end()), "{file}");
        assert_eq!(stdout(&output), "", "{file}");
    }
}

#[test]
fn who_misspells_a_plugin_hears_what_was_meant_of_its_role() {
    let directory = scratch("check-misspelled");
    let check = |cluster: &str| {
        let config = format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, {cluster} }} ]"
        );
        std::fs::write(directory.join("config.yaml"), config).expect("the configuration");
        stderr(&plimsoll(&directory, &["check", "config.yaml"]))
    };
    let said = |balancer: &str| check(&format!("balancer: {{ plugin: {balancer} }}, endpoints: [ 127.0.0.1:9 ]"));
    assert!(said("round_robbin").contains("plugin `round_robbin` is not known; did you mean `round-robin`?"));
    // There is a prober `redis`.
    let all = said("redi");
    assert!(all.contains("`redi` is not known; of the role balancer are: failover, first, "), "{all}");
    assert!(!all.contains("rules"), "{all}");
    // None ships with the proxy.
    let none = check("discover: [ { plugin: consul } ]");
    assert!(
        none.contains("`consul` is not known, and none of the role discovery is; name one under `plugins`"),
        "{none}"
    );
}

#[test]
fn mistakes_that_plugins_find_have_their_lines_too() {
    let directory = scratch("check-plugins");
    let config = "listeners:
  - name: web
    bind: 127.0.0.1:0
    cluster: app
clusters:
  - name: app
    balancer: { plugin: nonsense }
    health:
      probe:
        plugin: http
        config: { path: 7 }
    endpoints: [ 127.0.0.1:9 ]
plugins:
  - { name: mine, path: not-there.wasm }
";
    std::fs::write(directory.join("config.yaml"), config).expect("the configuration");
    let output = plimsoll(&directory, &["check", "config.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    for (line, what) in [(7, "nonsense"), (11, "path"), (14, "not-there.wasm")] {
        let place = format!("config.yaml:{line}:");
        assert!(said.lines().any(|told| told.starts_with(&place) && told.contains(what)), "{place} {what} in\n{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = scratch("check-missing");
    for arguments in [["check", "nowhere.yaml", "--log=info"], ["run", "--config", "nowhere.yaml"]] {
        let output = plimsoll(&directory, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("nowhere.yaml") && said.to_lowercase().contains("no such file"), "{said}");
    }
}

#[test]
fn checking_opens_no_socket() {
    let directory = scratch("check-sockets");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket");
    let config = format!(
        "admin: {{ bind: \"{address}\" }}
listeners: [ {{ name: web, bind: \"{address}\", cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ 127.0.0.1:9 ] }} ]"
    );
    // Both on one address would be a mistake of its own.
    let config = config.replacen(&address.to_string(), "127.0.0.2:0", 1);
    std::fs::write(directory.join("config.yaml"), config).expect("the configuration");
    assert_eq!(plimsoll(&directory, &["check", "config.yaml"]).status.code(), Some(0));
    let output = plimsoll(&directory, &["run", "--config", "config.yaml"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).contains(&address.to_string()), "{}", stderr(&output));
}

#[test]
fn help_names_every_subcommand() {
    let directory = repository(".");
    let output = plimsoll(&directory, &["--help"]);
    let help = stdout(&output);
    assert!(output.status.success());
    for subcommand in ["run", "check", "demo", "plugin", "simulate", "schema", "completions"] {
        let listed = |line: &str| line.trim_start().starts_with(&format!("{subcommand} "));
        assert!(help.lines().any(listed), "{subcommand} in\n{help}");
        assert!(plimsoll(&directory, &[subcommand, "--help"]).status.success(), "{subcommand}");
    }
    let version = plimsoll(&directory, &["--version"]);
    assert_eq!(stdout(&version).trim(), format!("plimsoll {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_2() {
    let directory = repository(".");
    for arguments in
        [&[][..], &["serve"], &["run"], &["check"], &["run", "--config", "a", "--to", "b"], &["plugin", "new", "x"]]
    {
        let output = plimsoll(&directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("Usage: plimsoll"), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn completions_know_the_subcommands() {
    let directory = repository(".");
    for shell in ["bash", "zsh", "fish"] {
        let output = plimsoll(&directory, &["completions", shell]);
        let script = stdout(&output);
        assert!(output.status.success(), "{shell}");
        assert!(["check", "demo", "inspect"].iter().all(|subcommand| script.contains(subcommand)), "{shell}: {script}");
    }
    let script = stdout(&plimsoll(&directory, &["completions", "bash"]));
    let completed = std::process::Command::new("bash")
        .args(["-c", &format!("{script}\nCOMP_WORDS=(plimsoll che); COMP_CWORD=1; _plimsoll plimsoll che plimsoll; echo ${{COMPREPLY[*]}}")])
        .output()
        .expect("bash runs");
    assert_eq!(stdout(&completed).trim(), "check", "{}", stderr(&completed));
}

#[test]
fn the_schema_for_editors_agrees_with_check() {
    let directory = scratch("check-schema");
    let schema = serde_json::from_str(&stdout(&plimsoll(&directory, &["schema"]))).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    let with_endpoints = |endpoints: serde_json::Value| {
        serde_json::json!({
            "listeners": [{ "name": "web", "bind": "127.0.0.1:0", "cluster": "app", "timeouts": { "request": "off" } }],
            "clusters": [{ "name": "app", "endpoints": endpoints, "hash_on": ["source_address", { "header": "x" }] }],
        })
    };
    for (endpoints, good) in [
        (serde_json::json!(["127.0.0.1:9", { "address": "127.0.0.1:8", "weight": 2 }]), true),
        (serde_json::json!([{ "addres": "127.0.0.1:9" }]), false),
        (serde_json::json!([9]), false),
    ] {
        let config = with_endpoints(endpoints);
        std::fs::write(directory.join("config.json"), config.to_string()).expect("the configuration");
        let output = plimsoll(&directory, &["check", "config.json"]);
        assert_eq!(output.status.success(), good, "{config}: {}", stderr(&output));
        assert_eq!(validator.is_valid(&config), good, "{config}");
    }
}

fn names(directory: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the fixtures are there");
    let names = entries.map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(ending)).collect()
}
