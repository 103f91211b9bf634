//! `plimsoll plugin new --language`.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_tests::{Endpoint, Proxy, get, request};

use super::{plimsoll, repository, scratch, stderr, stdout};
use crate::{PLIMSOLL, in_front_of};

/// Begins a plugin `my-lb`, and answers its directory.
fn begun(role: &str, language: &str, next: &str) -> PathBuf {
    let directory = scratch(&format!("new-{language}-{role}"));
    let output = plimsoll(&directory, &["plugin", "new", "--role", role, "--language", language, "my-lb"]);
    assert!(output.status.success() && stdout(&output).contains(next), "{}{}", stdout(&output), stderr(&output));
    directory.join("my-lb")
}

/// Builds it with these programs before others, and answers the component.
fn built(made: &Path, programs: Option<PathBuf>) -> PathBuf {
    let mut command = Command::new(PLIMSOLL);
    if let Some(programs) = programs {
        let programs = programs.canonicalize().expect("`cargo xtask prerequisites` installs them");
        let path = std::env::var("PATH").expect("a path");
        command.env("PATH", format!("{}:{path}", programs.display()));
    }
    let output = command.args(["plugin", "build"]).current_dir(made).output().expect("the binary runs");
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(output.status.success(), "`cargo xtask prerequisites` installs what it needs: {said}");
    made.join("target/components/my-lb.wasm")
}

/// It passes the suite.
fn is_sound(made: &Path, component: &Path, profile: &str) {
    // Compiling it takes the time that this proxy, which is not optimised, takes; from then on it is at hand.
    let file = component.to_str().expect("UTF-8");
    let tested = plimsoll(made, &["plugin", "test", file, "--profile", profile]);
    assert!(tested.status.success(), "{}{}", stdout(&tested), stderr(&tested));
}

/// A router passes the suite, and leads requests from the configuration on that names it, with nothing of WASI.
fn routes_once_it_is_live(made: &Path, component: &Path, profile: &str) {
    is_sound(made, component, profile);
    let (new, old) = (Endpoint::named("new"), Endpoint::named("old"));
    let config = |leads: &str| {
        format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, {leads} }} ]
clusters:
  - {{ name: new, endpoints: [ \"{}\" ] }}
  - {{ name: old, endpoints: [ \"{}\" ] }}",
            new.address(),
            old.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("cluster: old"));
    let component = std::fs::read(component).expect("the component");
    let live = proxy.admin_json("PUT", "/v1/plugins/my-lb?conformance=off", Some(&component));
    assert_eq!(live["summary"], "sends clients of the beta to a cluster of their own");
    assert!(!live["imports"].to_string().contains("wasi"), "{live:#}");
    let led = config("router: { plugin: my-lb, config: { beta: new, stable: old } }");
    proxy.admin_json("PUT", "/v1/config", Some(led.as_bytes()));
    let web = proxy.address("web");
    assert_eq!(request(web, "GET", "/", &[("cookie", "beta=1")], None).text(), "new");
    assert_eq!(get(web, "/").text(), "old");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

/// A balancer passes the suite, and takes the place of `round-robin`, with nothing of WASI.
fn is_sound_and_goes_live(made: &Path, component: &Path, profile: &str) {
    is_sound(made, component, profile);

    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin, config: {} }");
    let component = std::fs::read(component).expect("the component");
    let live = proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(&component));
    assert_eq!((&live["source"], &live["summary"]), (&"upload".into(), &"takes endpoints in turns, in bursts".into()));
    assert!(!live["imports"].to_string().contains("wasi"), "{live:#}");
    let answers: Vec<String> = (0..4).map(|_| get(proxy.address("web"), "/").text()).collect();
    assert_eq!(answers, ["one", "two", "one", "two"]);
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_balancer_in_javascript_is_built_sound_and_goes_live() {
    let made = begun("balancer", "javascript", "npm install");
    std::os::unix::fs::symlink(repository("target/node/node_modules"), made.join("node_modules")).expect("a link");
    let component = built(&made, None);
    is_sound_and_goes_live(&made, &component, "quick");
}

#[test]
fn a_balancer_in_python_is_built_sound_and_goes_live() {
    let made = begun("balancer", "python", "pip install");
    let component = built(&made, Some(repository("target/python/bin")));
    is_sound_and_goes_live(&made, &component, "quick");
}

#[test]
fn a_balancer_in_c_is_built_sound_and_goes_live() {
    let made = begun("balancer", "c", "cd my-lb, plimsoll plugin build");
    let component = built(&made, None);
    let size = std::fs::metadata(&component).expect("the component").len();
    assert!(size < 50_000, "{size} bytes");
    is_sound_and_goes_live(&made, &component, "auto");
}

#[test]
fn a_router_in_javascript_is_built_sound_and_goes_live() {
    let made = begun("router", "javascript", "npm install");
    std::os::unix::fs::symlink(repository("target/node/node_modules"), made.join("node_modules")).expect("a link");
    let component = built(&made, None);
    routes_once_it_is_live(&made, &component, "quick");
}

#[test]
fn a_router_in_python_is_built_sound_and_goes_live() {
    let made = begun("router", "python", "pip install");
    let component = built(&made, Some(repository("target/python/bin")));
    routes_once_it_is_live(&made, &component, "quick");
}

#[test]
fn a_router_in_c_is_built_sound_and_goes_live() {
    let made = begun("router", "c", "cd my-lb, plimsoll plugin build");
    let component = built(&made, None);
    let size = std::fs::metadata(&component).expect("the component").len();
    assert!(size < 50_000, "{size} bytes");
    routes_once_it_is_live(&made, &component, "auto");
}

#[test]
fn what_there_is_no_template_for_is_told() {
    let directory = scratch("new-javascript-health");
    let output = plimsoll(&directory, &["plugin", "new", "--role", "health", "--language", "javascript", "my-js"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("only of: balancer, router") && !directory.join("my-js").exists(),
        "{}",
        stderr(&output)
    );
}
