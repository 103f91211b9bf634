//! What a plugin is asked and answers on live traffic is recorded, and played bit for bit to any version of it.

use std::path::PathBuf;
use std::process::{Command, Output};

use plimsoll_tests::{Endpoint, Proxy, get, guest, guest_path, request, wait_for};
use serde_json::{Value, json};

use super::json;
use crate::PLIMSOLL;

/// A recording and versions of its plugin, in files that are gone at the end.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // A test that failed early may not have made it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Files {
    fn named(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-recording-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, bytes).expect("a file");
        file
    }

    /// Ends and fetches the recording of a plugin.
    fn fetched(&self, proxy: &Proxy, plugin: &str) -> PathBuf {
        proxy.admin_json("POST", &format!("/v1/plugins/{plugin}/recording/end"), None);
        let recording = proxy.admin("GET", &format!("/v1/plugins/{plugin}/recording"), None);
        assert_eq!(recording.status, 200, "{}", recording.text());
        self.put("recording", &recording.body)
    }
}

fn export(plugin: &str) -> Vec<u8> {
    let exported = Command::new(PLIMSOLL).args(["plugin", "export", plugin, "--output", "-"]).output();
    exported.expect("the program runs").stdout
}

fn replay(recording: &PathBuf, component: &PathBuf) -> (Output, Value) {
    let command = ["plugin", "replay", "--json"];
    let output = Command::new(PLIMSOLL).args(command).arg(recording).arg(component).output().expect("it runs");
    let account = serde_json::from_slice(&output.stdout);
    let account = account.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output, account)
}

fn counts(account: &Value) -> (u64, u64, u64) {
    let count = |name: &str| account[name].as_u64().expect("a number");
    (count("decisions"), count("same"), count("different"))
}

fn with_balancer(workers: usize, endpoints: &[&Endpoint], balancer: &str) -> Proxy {
    let listed: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let listed = listed.join(", ");
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: {workers}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: {balancer} }}, endpoints: [ {listed} ] }} ]"
        ),
    )
}

fn begin(proxy: &Proxy, plugin: &str, bounds: &str) -> Value {
    proxy.admin_json("PUT", &format!("/v1/plugins/{plugin}/recording{bounds}"), None)
}

#[test]
fn the_same_version_decides_a_recording_bit_for_bit_as_it_did() {
    let endpoints = ["one", "two", "three", "four"].map(Endpoint::named);
    // Random, by counters and by what became of attempts; on two workers.
    for balancer in ["least-request", "round-robin", "peak-ewma"] {
        let files = Files::named(balancer);
        let proxy = with_balancer(2, &endpoints.each_ref(), balancer);
        (0..20).for_each(|_| drop(get(proxy.address("web"), "/")));
        let begun = begin(&proxy, balancer, "");
        assert_eq!(
            (&begun["state"], &begun["max_bytes"], &begun["max_seconds"]),
            (&json!("running"), &json!(16 << 20), &json!(60))
        );
        // Some at the same time.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20).for_each(|_| drop(get(proxy.address("web"), "/"))));
            }
        });
        let third = format!("/v1/clusters/app/endpoints/{}", endpoints[2].address());
        proxy.admin_json("PATCH", &third, Some(br#"{"weight": 7}"#));
        (0..40).for_each(|_| drop(get(proxy.address("web"), "/")));
        let recording = files.fetched(&proxy, balancer);
        let (output, account) = replay(&recording, &files.put("same.wasm", &export(balancer)));
        let (decisions, same, different) = counts(&account);
        assert!(decisions >= 120 && same == decisions && different == 0, "{balancer}: {account:#}");
        assert!(output.status.success());
        assert_eq!(account["recorded"], account["played"]);
    }
}

#[test]
fn what_a_balancer_has_seen_of_requests_is_recorded() {
    let files = Files::named("shown");
    let endpoints = ["zero", "one", "two"].map(Endpoint::named);
    for (by, field) in [("x-want", "x-want"), ("keys", "x-a")] {
        let listed: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
plugins: [ {{ name: shown, path: {:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: shown, config: {{ by: {by} }} }}
    hash_on: [ {{ header: x-a }} ]
    endpoints: [ {} ]",
                guest_path("shown"),
                listed.join(", ")
            ),
        );
        begin(&proxy, "shown", "");
        for want in ["0", "1", "2", "1"] {
            request(proxy.address("web"), "GET", "/", &[(field, want)], None);
        }
        let recording = files.fetched(&proxy, "shown");
        let (_, account) = replay(&recording, &files.put("same.wasm", guest("shown")));
        assert_eq!(counts(&account), (4, 4, 0), "{by}: {account:#}");
        let (_, account) = replay(&recording, &files.put("first.wasm", guest("first")));
        // The first version takes any configuration, and goes to the first endpoint.
        assert_eq!(counts(&account), (4, if by == "keys" { 0 } else { 1 }, if by == "keys" { 4 } else { 3 }), "{by}");
    }
}

#[test]
fn what_endpoints_say_of_their_load_is_recorded_as_it_comes_and_decides_again() {
    let files = Files::named("loads");
    // 1: 0.9 and 1: 0.1 of the processor.
    let endpoints = [("busy", "Cc3MzMzMzOw/"), ("idle", "CZqZmZmZmbk/")].map(|(name, report)| {
        Endpoint::answering(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nendpoint-load-metrics-bin: {report}\r\n\r\n{name}"
        ))
    });
    let proxy = with_balancer(1, &endpoints.each_ref(), "resource }, load_reports: true, limits: { ");
    begin(&proxy, "resource", "");
    let is_idle = || get(proxy.address("web"), "/").text() == "idle";
    wait_for("the idle one to be taken", || (0..30).all(|_| is_idle()).then_some(()));
    let recording = files.fetched(&proxy, "resource");
    let (_, account) = replay(&recording, &files.put("same.wasm", &export("resource")));
    let (decisions, same, different) = counts(&account);
    assert!(decisions >= 30 && same == decisions && different == 0, "{account:#}");
    let text = std::fs::read_to_string(&recording).expect("text");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let said = events.iter().find(|event| event["event"] == "loads").expect("loads");
    assert!([900, 100].map(Value::from).contains(&said["loads"][0][1]["load"]["cpu"]), "{said:#}");
    // By them the recorded instance came to where the live one did.
    let decided = events.iter().filter(|event| event["event"] == "decision").rev().take(20);
    assert!(decided.clone().all(|event| event["answer"] == event["live"]), "{text}");
    // Without them it would not.
    let without: String =
        text.lines().filter(|line| !line.contains(r#""event":"loads""#)).map(|l| format!("{l}\n")).collect();
    let (_, account) = replay(&files.put("without", without.as_bytes()), &files.put("same.wasm", &export("resource")));
    assert!(counts(&account).2 > 0, "{account:#}");
}

#[test]
fn ticks_are_recorded_in_their_place() {
    let files = Files::named("ticks");
    let endpoints = ["one", "two"].map(Endpoint::named);
    let listed: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let config = format!(
        "workers: 1
plugins: [ {{ name: ticking, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: ticking, config: {{ every_ms: 300 }} }}, endpoints: [ {} ] }} ]",
        guest_path("ticking"),
        listed.join(", ")
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    let ask = || drop(get(proxy.address("web"), "/"));
    begin(&proxy, "ticking", "");
    (0..10).for_each(|_| ask());
    // The recorded instance is ticked beside the live one.
    let ticks = || proxy.metric("plimsoll_plugin_gauge{plugin=\"ticking\",name=\"balancer_ticks\"}");
    let before = ticks();
    wait_for("ticks", || (ticks() >= before + 3.0).then_some(()));
    (0..10).for_each(|_| ask());
    let recording = files.fetched(&proxy, "ticking");
    let (_, account) = replay(&recording, &files.put("same.wasm", guest("ticking")));
    assert_eq!(counts(&account), (20, 20, 0), "{account:#}");
    let text = std::fs::read_to_string(&recording).expect("text");
    assert!(text.contains(r#""event":"tick""#));
}

#[test]
fn what_is_recorded_begins_with_what_the_live_version_has_saved() {
    let files = Files::named("saved");
    let endpoints = ["one", "two", "three"].map(Endpoint::named);
    let proxy = with_balancer(1, &endpoints.each_ref(), "round-robin");
    proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(guest("turns")));
    assert_eq!(get(proxy.address("web"), "/").text(), "one");
    begin(&proxy, "round-robin", "");
    (0..5).for_each(|_| drop(get(proxy.address("web"), "/")));
    let recording = files.fetched(&proxy, "round-robin");
    let text = std::fs::read_to_string(&recording).expect("text");
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let decisions: Vec<Value> = events.filter(|event| event["event"] == "decision").collect();
    assert!(decisions.len() == 5 && decisions.iter().all(|decision| decision["answer"] == decision["live"]), "{text}");
    let (_, account) = replay(&recording, &files.put("turns.wasm", guest("turns")));
    assert_eq!(counts(&account), (5, 5, 0), "{account:#}");
}

#[test]
fn balancers_of_groups_are_recorded_too() {
    let files = Files::named("groups");
    let endpoints = ["one", "two", "three", "four"].map(Endpoint::named);
    let config = |versions: [&str; 4]| {
        let listed = endpoints.iter().zip(versions).map(|(endpoint, version)| {
            format!("{{ address: \"{}\", metadata: {{ version: \"{version}\" }} }}", endpoint.address())
        });
        let listed = listed.collect::<Vec<_>>().join(", ");
        format!(
            "workers: 1
admin: {{ bind: \"127.0.0.1:0\" }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - {{ name: app, balancer: {{ plugin: random }}, partitioners: [ {{ plugin: subset }} ], endpoints: [ {listed} ] }}"
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config(["1", "1", "2", "2"]));
    let ask = |version| drop(request(proxy.address("web"), "GET", "/", &[("x-version", version)], None));
    ["1", "2"].iter().for_each(|version| ask(version));
    begin(&proxy, "random", "");
    ["1", "2", "1", "2"].iter().for_each(|version| ask(version));
    // One group goes, and another comes.
    proxy.admin_json("PUT", "/v1/config", Some(config(["1", "1", "3", "3"]).as_bytes()));
    ["1", "3", "3", "1"].iter().for_each(|version| ask(version));
    let recording = files.fetched(&proxy, "random");
    let (_, account) = replay(&recording, &files.put("random.wasm", &export("random")));
    assert_eq!(counts(&account), (8, 8, 0), "{account:#}");
    let text = std::fs::read_to_string(&recording).expect("text");
    assert!(text.contains(r#""event":"part""#) && text.contains(r#""event":"remove""#), "{text}");
}

#[test]
fn another_version_is_told_apart_by_what_it_decides_otherwise() {
    let files = Files::named("other");
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_balancer(1, &[&one, &two], "round-robin");
    begin(&proxy, "round-robin", "?max_bytes=1MiB&max_time=10m");
    (0..10).for_each(|_| drop(get(proxy.address("web"), "/")));
    let recording = files.fetched(&proxy, "round-robin");
    let (output, account) = replay(&recording, &files.put("last.wasm", guest("last")));
    assert_eq!((output.status.code(), counts(&account)), (Some(1), (10, 5, 5)));
    let difference = &account["differences"][0];
    assert_eq!(difference["recorded"], format!("`{}` in slot 0", one.address()));
    assert_eq!(difference["played"], format!("`{}` in slot 1", two.address()));
    // The same every time.
    assert_eq!(replay(&recording, &files.put("last.wasm", guest("last"))).1, account);
    let printed =
        Command::new(PLIMSOLL).args(["plugin", "replay"]).args([&recording, &files.0.join("last.wasm")]).output();
    let printed = String::from_utf8(printed.expect("it runs").stdout).expect("text");
    assert!(printed.contains("decisions  10: 5 the same, 5 different\n  line "), "{printed}");
}

#[test]
fn routers_are_recorded_with_what_they_saw() {
    let files = Files::named("router");
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
admin: {{ bind: \"127.0.0.1:0\" }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    router:
      plugin: rules
      config:
        routes:
          - {{ match: {{ headers: {{ x-to: {{ exact: two }} }} }}, cluster: two }}
          - {{ match: {{ path_prefix: /gone }}, respond: {{ status: 410, body: gone }} }}
          - {{ cluster: one }}
clusters: [ {{ name: one, endpoints: [ \"{}\" ] }}, {{ name: two, endpoints: [ \"{}\" ] }} ]",
            one.address(),
            two.address()
        ),
    );
    begin(&proxy, "rules", "");
    for _ in 0..5 {
        assert_eq!(request(proxy.address("web"), "GET", "/", &[("x-to", "two")], None).text(), "two");
        assert_eq!(get(proxy.address("web"), "/").text(), "one");
        assert_eq!(get(proxy.address("web"), "/gone").status, 410);
    }
    let recording = files.fetched(&proxy, "rules");
    let (_, account) = replay(&recording, &files.put("rules.wasm", &export("rules")));
    assert_eq!(counts(&account), (15, 15, 0), "{account:#}");
    // A version that needs another configuration says so.
    let other = files.put("astray.wasm", guest("astray"));
    let output = Command::new(PLIMSOLL).args(["plugin", "replay"]).args([&recording, &other]).output();
    let said = String::from_utf8(output.expect("it runs").stderr).expect("text");
    assert!(said.contains("for `web` there can be no router"), "{said}");
}

#[test]
fn a_recording_is_bounded_and_harms_nobody() {
    let one = Endpoint::named("one");
    let proxy = with_balancer(1, &[&one], "round-robin");
    let state = || proxy.admin_json("GET", "/v1/plugins/round-robin", None)["recording"]["state"].clone();
    let refused = |method: &str, path: &str| {
        let response = proxy.admin(method, &format!("/v1/plugins/round-robin/{path}"), None);
        (response.status, json(&response)["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(state(), Value::Null);
    assert_eq!(refused("GET", "recording"), (404, "no_recording".into()));
    for wrong in ["max_bytes=0", "max_bytes=1GiB", "max_time=2h", "max_time=0s", "max_time=long", "bytes=1"] {
        assert_eq!(refused("PUT", &format!("recording?{wrong}")), (400, "bad_query".into()), "{wrong}");
    }
    begin(&proxy, "round-robin", "?max_bytes=4KiB");
    assert_eq!(refused("GET", "recording"), (409, "is_recorded".into()));
    assert_eq!(refused("PUT", "recording"), (409, "is_accompanied".into()));
    let component = proxy.admin("PUT", "/v1/plugins/round-robin/shadow?conformance=off", Some(guest("first")));
    assert_eq!(component.status, 409, "{}", component.text());
    (0..100).for_each(|_| assert_eq!(get(proxy.address("web"), "/").text(), "one"));
    wait_for("the recording to be full", || (state() == "full").then_some(()));
    let recording = wait_for("the recording", || {
        Some(proxy.admin("GET", "/v1/plugins/round-robin/recording", None)).filter(|fetched| fetched.status == 200)
    });
    assert!(recording.body.len() < 5 << 10 && recording.body.ends_with(b"\n"), "{}", recording.text());
    begin(&proxy, "round-robin", "?max_time=1s");
    wait_for("the recording to time out", || (state() == "timed_out").then_some(()));
    assert_eq!(proxy.admin("DELETE", "/v1/plugins/round-robin/recording", None).status, 200);
    assert_eq!(state(), Value::Null);
    proxy.admin_json("PUT", "/v1/plugins/round-robin/shadow?conformance=off", Some(guest("first")));
    assert_eq!(refused("PUT", "recording"), (409, "is_accompanied".into()));
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let files = Files::named("damaged");
    let component = files.put("first.wasm", guest("first"));
    let head = r#"{"event":"recording","format":1,"plugin":"first","version":"1.0.0","digest":""}"#;
    for (text, says) in [
        (String::new(), "does not begin as a recording does"),
        ("hello".to_owned(), "line 1"),
        (head.replace("1,", "2,"), "format 2"),
        (format!("{head}\n{{}}\n"), "line 2"),
        (format!("{head}\n{{\"event\":\"remove\",\"policy\":0}}\n"), "before there is an instance"),
    ] {
        let recording = files.put("recording", text.as_bytes());
        let output = Command::new(PLIMSOLL).args(["plugin", "replay"]).args([&recording, &component]).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{text}: {said}");
    }
}
