//! `plimsoll plugin new`, `build` and `inspect`.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_tests::{Endpoint, Proxy, get};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{plimsoll, repository, scratch, stderr, stdout};
use crate::PLIMSOLL;

const ROLES: [&str; 7] = ["router", "balancer", "partitioner", "affinity", "health", "prober", "filter"];

/// Where all these crates are built, so that the SDK is compiled once for all of them. It is kept between runs.
fn shared_target() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugin-target");
    std::fs::create_dir_all(&directory).expect("a directory to build in");
    directory
}

/// Begins a plugin with the SDK of this checkout.
fn new_plugin(directory: &Path, role: &str, name: &str) -> PathBuf {
    let sdk = repository("sdk");
    let sdk = sdk.to_str().expect("paths of this repository are UTF-8");
    let output = plimsoll(directory, &["plugin", "new", "--role", role, name, "--sdk-path", sdk]);
    assert!(output.status.success(), "{role}: {}", stderr(&output));
    assert!(stdout(&output).contains("plimsoll plugin build"), "{}", stdout(&output));
    let made = directory.join(name);
    // `plugin build` builds in `target` of the crate.
    std::os::unix::fs::symlink(shared_target(), made.join("target")).expect("a link");
    made
}

/// Builds without the network: what a plugin needs, this repository has needed before.
fn build(directory: &Path) -> PathBuf {
    let output = Command::new(PLIMSOLL)
        .args(["plugin", "build"])
        .env("CARGO_NET_OFFLINE", "true")
        .current_dir(directory)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    let (path, size) = said.trim_end().split_once(" (").expect("path and size");
    let path = PathBuf::from(path);
    let bytes = std::fs::metadata(&path).expect("the component is there").len();
    assert_eq!(size, format!("{bytes} bytes)"));
    path
}

#[test]
fn of_every_role_passes_its_own_tests_and_is_what_it_says() {
    let directory = scratch("new-plugin");
    for role in ROLES {
        let name = format!("my-{role}");
        let made = new_plugin(&directory, role, &name);
        let tested = Command::new(env!("CARGO"))
            .args(["test", "--offline", "--quiet"])
            .env("CARGO_TARGET_DIR", shared_target())
            .current_dir(&made)
            .output()
            .expect("cargo runs");
        assert!(tested.status.success(), "{role}: {}{}", stdout(&tested), stderr(&tested));
        let tests_passed = |line: &str| line.starts_with("test result: ok. ") && !line.contains(" 0 passed");
        assert!(stdout(&tested).lines().any(tests_passed), "{role}: {}", stdout(&tested));

        let component = build(&made);
        let output = plimsoll(&made, &["plugin", "inspect", "--json", &component.to_string_lossy()]);
        assert!(output.status.success(), "{role}: {}", stderr(&output));
        let told: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!((told["name"].as_str(), told["version"].as_str()), (Some(name.as_str()), Some("0.1.0")));
        assert_eq!(told["roles"], serde_json::json!([role]));
    }
}

#[test]
fn it_can_be_used_as_soon_as_it_is_built() {
    let directory = scratch("new-plugin-used");
    let component = build(&new_plugin(&directory, "balancer", "my-lb"));
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: my-lb, path: \"{}\" }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: my-lb, config: {{ burst: 3 }} }}
    endpoints: [ \"{}\", \"{}\" ]",
            component.display(),
            one.address(),
            two.address()
        ),
    );
    let web = proxy.address("web");
    let answers: Vec<String> = (0..7).map(|_| get(web, "/").text()).collect();
    assert_eq!(answers, ["one", "one", "one", "two", "two", "two", "one"]);
}

#[test]
fn inspecting_shows_what_a_component_is() {
    let directory = scratch("new-plugin-inspected");
    let component = build(&new_plugin(&directory, "balancer", "my-lb"));
    let bytes = std::fs::read(&component).expect("the component");
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = component.to_string_lossy();
    let output = plimsoll(&directory, &["plugin", "inspect", &path]);
    let text = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key} in {text}"));
        line.trim().to_owned()
    };
    assert!(text.starts_with("my-lb 0.1.0\n"), "{text}");
    assert_eq!((value("roles"), value("size")), ("balancer".to_owned(), format!("{} bytes", bytes.len())));
    assert_eq!(value("sha256"), digest);
    assert!(
        text.contains("configuration as balancer:\n") && text.contains("Requests that one endpoint gets in a row.")
    );
    let told: Value =
        serde_json::from_str(&stdout(&plimsoll(&directory, &["plugin", "inspect", "--json", &path]))).expect("JSON");
    assert_eq!((&told["digest"], &told["size_bytes"]), (&Value::from(digest), &Value::from(bytes.len())));
    let imports: Vec<&str> = told["imports"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(value("imports"), if imports.is_empty() { "none".to_owned() } else { imports.join(", ") });
    assert!(!imports.contains(&"wasi"), "{imports:?}");
}

#[test]
fn what_is_no_component_is_told() {
    let directory = scratch("new-plugin-broken");
    std::fs::write(directory.join("text.wasm"), "no component").expect("a file");
    for (file, what) in [("text.wasm", "text.wasm"), ("nowhere.wasm", "nowhere.wasm")] {
        let output = plimsoll(&directory, &["plugin", "inspect", file]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(stderr(&output).starts_with("error: ") && stderr(&output).contains(what), "{}", stderr(&output));
    }
}

#[test]
fn names_are_checked_and_nothing_is_overwritten() {
    let directory = scratch("new-plugin-names");
    for name in ["My-Plugin", "1st", "a/b", "..", "under_score"] {
        let output = plimsoll(&directory, &["plugin", "new", "--role", "filter", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
    std::fs::create_dir(directory.join("mine")).expect("a directory");
    let output = plimsoll(&directory, &["plugin", "new", "--role", "filter", "mine"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("mine exists already"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(&directory).expect("the directory").count(), 1);
}

#[test]
fn what_is_shipped_can_be_exported() {
    let directory = scratch("export");
    let output = plimsoll(&directory, &["plugin", "export", "rules"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let component = std::fs::read(directory.join("rules.wasm")).expect("the component");
    let shown = plimsoll(&directory, &["plugin", "inspect", "--json", "rules.wasm"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&shown["name"], &shown["roles"][0]), (&"rules".into(), &"router".into()));
    let output = plimsoll(&directory, &["plugin", "export", "rules", "--output", "-"]);
    assert!(output.stdout == component, "standard output has the same");
    let output = plimsoll(&directory, &["plugin", "export", "ruels"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there are: ") && stderr(&output).contains("maglev"), "{}", stderr(&output));
}
