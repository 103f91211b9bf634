//! `plimsoll plugin new`, `build`, `inspect`, `export`, `wit` and `dev`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll_tests::{Endpoint, Proxy, get, request, wait_for};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{plimsoll, repository, scratch, stderr, stdout};
use crate::PLIMSOLL;

const ROLES: [&str; 7] = ["router", "balancer", "partitioner", "affinity", "health", "prober", "discovery"];

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
fn of_every_role_passes_its_tests_and_the_suite_and_is_used() {
    let directory = scratch("new-plugin");
    let mut plugins = Vec::new();
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

        // With the configuration of its plugin.toml, without which some would not be tested.
        let output = plimsoll(&made, &["plugin", "test", "--profile", "quick", &component.to_string_lossy()]);
        assert_eq!(output.status.code(), Some(0), "{role}: {}{}", stdout(&output), stderr(&output));
        plugins.push(format!("{{ name: {name}, path: {:?} }}", component.canonicalize().expect("the component")));
    }
    are_used(&plugins);
}

/// Requests are decided by one plugin of each role.
fn are_used(plugins: &[String]) {
    let (old, new) = (Endpoint::named("old"), Endpoint::named("new"));
    let list = format!("[\"{}\"]", new.address());
    let registry = Endpoint::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{list}", list.len()));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {} ]
listeners:
  - name: web
    bind: 127.0.0.1:0
    router: {{ plugin: my-router, config: {{ beta: new, stable: old }} }}
clusters:
  - name: old
    balancer: {{ plugin: my-balancer, config: {{ burst: 2 }} }}
    affinity: {{ plugin: my-affinity, config: {{ header: x-session }} }}
    partitioners: [ {{ plugin: my-partitioner, config: {{ label: tier }} }} ]
    health:
      evaluator: {{ plugin: my-health, config: {{ slow: 20s }} }}
      probe: {{ plugin: my-prober, interval: 100ms, config: {{ greeting: \"HTTP/1.1 400\" }} }}
    endpoints: [ {{ address: \"{}\", metadata: {{ tier: standard }} }} ]
  - {{ name: new, discover: [ {{ plugin: my-discovery, config: {{ cluster: registry, path: /list }} }} ] }}
  - {{ name: registry, endpoints: [ \"{}\" ] }}",
            plugins.join(", "),
            old.address(),
            registry.address()
        ),
    );
    let web = proxy.address("web");
    assert_eq!(request(web, "GET", "/", &[("cookie", "beta=1")], None).text(), "new");
    assert_eq!(request(web, "GET", "/", &[("x-session", "s")], None).text(), "old");
    for role in ["router", "balancer", "partitioner", "affinity"] {
        let calls = format!("plimsoll_plugin_calls_total{{plugin=\"my-{role}\"");
        assert!(proxy.metric(&calls) > 0.0, "{role} decides");
    }
    // An endpoint that waits to be asked greets nobody, which the two others find out together.
    wait_for("the evaluator to hear of the prober", || {
        let report = proxy.admin_json("GET", "/v1/clusters/old", None);
        (report["endpoints"][0]["health"] == "unhealthy").then_some(())
    });
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn nothing_but_the_program_is_needed_to_begin_and_every_change_goes_live() {
    let directory = scratch("new-plugin-dev");
    let output = plimsoll(&directory, &["plugin", "new", "--role", "balancer", "my-lb"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let made = directory.join("my-lb");
    let endpoint = Endpoint::named("a");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    );
    let said = directory.join("said");
    let to = format!("http://{}", proxy.admin_address());
    let dev = Command::new(PLIMSOLL)
        .args(["plugin", "dev", "my-lb", "--to", &to])
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", shared_target())
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&said).expect("a file"))
        .stderr(Stdio::null())
        .spawn();
    let _dev = Ended(dev.expect("the binary runs"));
    let said = || std::fs::read_to_string(&said).expect("what it says");
    wait_for("the first version to be live", || said().contains("live as my-lb").then_some(()));
    let using = format!(
        "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: my-lb }}, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    );
    proxy.admin_json("PUT", "/v1/config", Some(using.as_bytes()));
    let source = std::fs::read_to_string(made.join("src/lib.rs")).expect("the source");
    let begins = "let ready = request.endpoints.ready();";
    assert!(source.contains(begins), "{source}");
    let warns = format!("{begins}\n        host::log::warn(\"hot\");");
    std::fs::write(made.join("src/lib.rs"), source.replace(begins, &warns)).expect("the source");
    wait_for("the second version to be live", || (said().matches("live as my-lb").count() == 2).then_some(()));
    wait_for("what the plugin says", || {
        assert_eq!(get(proxy.address("web"), "/").text(), "a");
        said().contains("warn: hot").then_some(())
    });
}

/// Killed at the end.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_contract_is_printed_and_written() {
    let directory = scratch("wit");
    let output = plimsoll(&directory, &["plugin", "wit"]);
    let text = stdout(&output);
    assert!(text.contains("// balancer.wit\n") && text.contains("package plimsoll:plugin@"), "{text}");
    let output = plimsoll(&directory, &["plugin", "wit", "--output", "wit"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for entry in std::fs::read_dir(repository("wit")).expect("the contract").flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "wit") {
            let written = std::fs::read(directory.join("wit").join(entry.file_name())).expect("the same file");
            assert!(written == std::fs::read(entry.path()).expect("a file"), "{:?}", entry.file_name());
        }
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
        let output = plimsoll(&directory, &["plugin", "new", "--role", "balancer", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
    std::fs::create_dir(directory.join("mine")).expect("a directory");
    let output = plimsoll(&directory, &["plugin", "new", "--role", "balancer", "mine"]);
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
    let refused = |name: &str| {
        let output = plimsoll(&directory, &["plugin", "export", name]);
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert!(refused("ruels").contains("did you mean `rules`?"));
    let all = refused("nothing-like-it");
    assert!(all.contains("there are: ") && all.contains("maglev"), "{all}");
}
