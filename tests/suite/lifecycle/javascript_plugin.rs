//! `plimsoll plugin new --language javascript`.

use std::process::Command;

use plimsoll_tests::{Endpoint, get};

use super::{plimsoll, repository, scratch, stderr, stdout};
use crate::in_front_of;

#[test]
fn a_balancer_in_javascript_is_built_sound_and_goes_live() {
    let directory = scratch("new-javascript");
    let output = plimsoll(&directory, &["plugin", "new", "--role", "balancer", "--language", "javascript", "my-js"]);
    assert!(output.status.success() && stdout(&output).contains("npm run build"), "{}", stderr(&output));
    let made = directory.join("my-js");
    std::os::unix::fs::symlink(repository("target/node/node_modules"), made.join("node_modules")).expect("a link");
    let built = Command::new("node").arg("build.js").current_dir(&made).output().expect("node runs");
    assert!(built.status.success(), "`cargo xtask prerequisites` installs what it needs: {}", stderr(&built));
    // Compiling it takes the time that this proxy, which is not optimised, takes; from then on it is at hand.
    let tested = plimsoll(&made, &["plugin", "test", "my-js.wasm", "--profile", "quick"]);
    assert!(tested.status.success(), "{}{}", stdout(&tested), stderr(&tested));

    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin, config: {} }");
    let component = std::fs::read(made.join("my-js.wasm")).expect("the component");
    let live = proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(&component));
    assert_eq!((&live["source"], &live["summary"]), (&"upload".into(), &"takes endpoints in turns, in bursts".into()));
    assert!(!live["imports"].to_string().contains("wasi"), "{live:#}");
    let answers: Vec<String> = (0..4).map(|_| get(proxy.address("web"), "/").text()).collect();
    assert_eq!(answers, ["one", "two", "one", "two"]);
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn what_there_is_no_template_for_is_told() {
    let directory = scratch("new-javascript-router");
    let output = plimsoll(&directory, &["plugin", "new", "--role", "router", "--language", "javascript", "my-js"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("only of a balancer") && !directory.join("my-js").exists(), "{}", stderr(&output));
}
