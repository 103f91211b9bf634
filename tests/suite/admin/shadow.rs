//! A candidate decides beside the live version of a plugin, and nothing comes of it but counts.

use std::time::{Duration, Instant};

use plimsoll_tests::{Endpoint, Proxy, Response, get, guest, guest_path, request, wait_for};
use serde_json::{Value, json};

use super::events::Events;
use super::json;
use crate::{PLIMSOLL, in_front_of};

fn put(proxy: &Proxy, name: &str, component: &[u8]) -> Response {
    put_by(proxy, name, component, "")
}

fn put_by(proxy: &Proxy, name: &str, component: &[u8], conditions: &str) -> Response {
    proxy.admin("PUT", &format!("/v1/plugins/{name}/shadow?conformance=off{conditions}"), Some(component))
}

/// The shadow of the plugin, once it has ended.
fn ended(proxy: &Proxy, name: &str) -> Value {
    wait_for("the shadow to end", || Some(shadow(proxy, name)).filter(|report| report["state"] != "running"))
}

fn ended_as(proxy: &Proxy, name: &str, state: &str) -> f64 {
    proxy.metric(&format!(r#"plimsoll_plugin_shadows_ended_total{{plugin="{name}",state="{state}"}}"#))
}

fn shadow(proxy: &Proxy, name: &str) -> Value {
    proxy.admin_json("GET", &format!("/v1/plugins/{name}"), None)["shadow"].clone()
}

fn decisions(proxy: &Proxy, name: &str, role: &str) -> Value {
    shadow(proxy, name)["roles"][role]["decisions"].clone()
}

fn counted(same: u64, different: u64, candidate_faults: u64, live_faults: u64) -> Value {
    json!({
        "same": same, "different": different, "candidate_faults": candidate_faults, "live_faults": live_faults,
    })
}

/// The status of a refusal and its code.
fn refused(response: &Response) -> (u16, String) {
    (response.status, json(response)["code"].as_str().unwrap_or_default().to_owned())
}

/// The same component with other bytes: a custom section of no content at its end.
fn same_but_for_its_digest(component: &[u8]) -> Vec<u8> {
    [component, &[0, 2, 1, b'x']].concat()
}

/// What answers so many requests.
fn answers(proxy: &Proxy, count: usize) -> Vec<String> {
    (0..count).map(|_| get(proxy.address("web"), "/").text()).collect()
}

/// A proxy with a plugin `subject` that is this guest.
fn with_subject(live: &str, endpoints: &[&Endpoint], balancer: &str, cluster: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    Proxy::start(PLIMSOLL, &subject(live, &addresses.join(", "), balancer, cluster))
}

fn subject(live: &str, endpoints: &str, balancer: &str, cluster: &str) -> String {
    format!(
        "admin: {{ bind: \"127.0.0.1:0\" }}
workers: 1
plugins: [ {{ name: subject, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: subject, config: {balancer} }}, endpoints: [ {endpoints} ], {cluster} }} ]",
        guest_path(live),
    )
}

#[test]
fn a_candidate_decides_beside_the_live_version_without_effect() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_subject("first", &[&one, &two], "{}", "");
    let begun = json(&put(&proxy, "subject", guest("last")));
    assert_eq!((&begun["state"], &begun["roles"]["balancer"]["decisions"]), (&json!("running"), &counted(0, 0, 0, 0)));
    assert!(answers(&proxy, 40).iter().all(|answer| answer == "one"));
    let report = shadow(&proxy, "subject");
    assert_eq!(report["roles"]["balancer"]["decisions"], counted(0, 40, 0, 0));
    let difference = &report["differences"][0];
    assert_eq!((&difference["role"], &difference["scope"]), (&json!("balancer"), &json!("app")));
    assert_eq!(
        (&difference["asked"], &difference["live"], &difference["candidate"]),
        (&json!("no key"), &json!(one.address().to_string()), &json!(two.address().to_string()))
    );
    for side in ["live_call_us", "candidate_call_us"] {
        assert!(report["roles"]["balancer"][side].as_f64() > Some(0.0), "{side}: {report:#}");
    }
    let different = r#"plimsoll_plugin_shadow_decisions_total{plugin="subject",role="balancer",result="different"}"#;
    assert_eq!(proxy.metric(different), 40.0);
    let calls = |plugin| proxy.metric(&format!(r#"plimsoll_plugin_calls_total{{plugin="{plugin}",role="balancer"}}"#));
    assert!(calls("subject+shadow") >= 40.0);
    // It is no version of the plugin that could be gone back to.
    assert_eq!(proxy.admin("POST", "/v1/plugins/subject/rollback", None).status, 409);

    let ended = proxy.admin_json("DELETE", "/v1/plugins/subject/shadow", None);
    assert_eq!(
        (&ended["state"], &ended["roles"]["balancer"]["decisions"]["different"]),
        (&json!("deleted"), &json!(40))
    );
    assert_eq!(answers(&proxy, 4), ["one"; 4]);
    assert_eq!(shadow(&proxy, "subject"), ended, "what came of it is told, and nothing is counted any more");
    let metrics = proxy.admin("GET", "/metrics", None).text();
    assert!(!metrics.contains("shadow_decisions_total{") && !metrics.contains("subject+shadow"), "{metrics}");
}

#[test]
fn what_decides_alike_and_hears_of_the_same_agrees() {
    let endpoints = ["one", "two", "three"].map(Endpoint::named);
    let proxy =
        in_front_of(&endpoints.each_ref(), "", "balancer: { plugin: round-robin, config: { random_start: false } }");
    let shipped = std::process::Command::new(PLIMSOLL)
        .args(["plugin", "export", "round-robin", "--output", "-"])
        .output()
        .map(|output| output.stdout)
        .expect("the program runs");
    assert_eq!(put(&proxy, "round-robin", &same_but_for_its_digest(&shipped)).status, 200);
    answers(&proxy, 10);
    assert_eq!(decisions(&proxy, "round-robin", "balancer"), counted(10, 0, 0, 0));
    // Both hear of it.
    let third = format!("/v1/clusters/app/endpoints/{}", endpoints[2].address());
    proxy.admin_json("PATCH", &third, Some(br#"{"enabled": false}"#));
    answers(&proxy, 10);
    assert_eq!(decisions(&proxy, "round-robin", "balancer"), counted(20, 0, 0, 0));
}

#[test]
fn a_candidate_that_is_promoted_is_live_as_an_upload_is() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_subject("first", &[&one, &two], "{}", "");
    let candidate = json(&put(&proxy, "subject", guest("last")));
    let live = proxy.admin_json("POST", "/v1/plugins/subject/promote", None);
    assert_eq!((&live["digest"], &live["source"]), (&candidate["digest"], &json!("upload")));
    assert_eq!(answers(&proxy, 4), ["two"; 4]);
    assert_eq!(shadow(&proxy, "subject")["state"], "promoted");
    assert_eq!(refused(&proxy.admin("POST", "/v1/plugins/subject/promote", None)), (404, "no_shadow".into()));
    assert_eq!(refused(&put(&proxy, "subject", guest("last"))), (409, "is_live".into()));
    proxy.admin_json("POST", "/v1/plugins/subject/rollback", None);
    assert_eq!(answers(&proxy, 4), ["one"; 4]);
}

#[test]
fn a_candidate_that_fails_harms_nobody_and_ends_by_itself() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    for (fault, kind) in [("trap", "trap"), ("loop", "deadline"), ("lie", "invalid_answer")] {
        let proxy = with_subject("first", &[&one, &two], &format!("{{ fault: {fault} }}"), "");
        assert_eq!(put(&proxy, "subject", guest("faulty")).status, 200);
        let ended = wait_for("the shadow to end", || {
            assert_eq!(answers(&proxy, 2), ["one"; 2]);
            let report = shadow(&proxy, "subject");
            (report["state"] == "faulty").then_some(report)
        });
        assert!(ended["faults"][kind].as_u64() >= Some(5), "{ended:#}");
        assert!(ended["roles"]["balancer"]["decisions"]["candidate_faults"].as_u64() >= Some(5), "{ended:#}");
        assert_eq!(ended["recent_faults"][0]["kind"], kind);
        let live = proxy.admin_json("GET", "/v1/plugins/subject", None);
        assert_eq!((&live["plugin"]["state"], &live["faults"]), (&json!("healthy"), &json!({})));
        assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
    }
}

#[test]
fn a_router_has_a_candidate_and_what_both_saw_is_told_without_secrets() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
plugins: [ {{ name: way, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: way, config: {{ clusters: [ a, b ] }} }} }} ]
clusters: [ {{ name: a, endpoints: [ \"{}\" ] }}, {{ name: b, endpoints: [ \"{}\" ] }} ]",
            guest_path("astray"),
            one.address(),
            two.address()
        ),
    );
    assert_eq!(put(&proxy, "way", guest("faulty")).status, 200);
    let headers = [("authorization", "Basic c2VjcmV0"), ("cookie", "session=c2VjcmV0")];
    for _ in 0..10 {
        assert_eq!(request(proxy.address("web"), "GET", "/where", &headers, None).text(), "two");
    }
    let report = shadow(&proxy, "way");
    assert_eq!(report["roles"]["router"]["decisions"], counted(0, 10, 0, 0));
    let difference = &report["differences"][0];
    let asked = "path `/where`, header authorization (not shown), cookie session (not shown)";
    assert_eq!(
        (&difference["asked"], &difference["live"], &difference["candidate"]),
        (&json!(asked), &json!("forward to `b`"), &json!("forward to `a`"))
    );
}

#[test]
fn balancers_of_groups_have_candidates_too() {
    let endpoints = ["one", "two", "three"].map(Endpoint::named);
    let listed = |versions: [&str; 3]| {
        let listed = endpoints.iter().zip(versions).map(|(endpoint, version)| {
            format!("{{ address: \"{}\", metadata: {{ version: \"{version}\" }} }}", endpoint.address())
        });
        listed.collect::<Vec<_>>().join(", ")
    };
    let config = |versions| subject("first", &listed(versions), "{}", "partitioners: [ { plugin: subset } ]");
    let proxy = Proxy::start(PLIMSOLL, &config(["1", "1", "2"]));
    let ask = |version| request(proxy.address("web"), "GET", "/", &[("x-version", version)], None).text();
    assert_eq!((ask("1"), ask("2")), ("one".into(), "three".into()));
    assert_eq!(put(&proxy, "subject", guest("last")).status, 200);
    assert_eq!((ask("1"), ask("2")), ("one".into(), "three".into()));
    assert_eq!(decisions(&proxy, "subject", "balancer"), counted(1, 1, 0, 0));
    // A group that there was not before.
    proxy.admin_json("PUT", "/v1/config", Some(config(["1", "3", "3"]).as_bytes()));
    assert_eq!((ask("1"), ask("3")), ("one".into(), "two".into()));
    assert_eq!(decisions(&proxy, "subject", "balancer"), counted(2, 2, 0, 0));
}

#[test]
fn a_shadow_goes_on_through_reloads_until_they_have_no_place_for_it() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let listed = format!("\"{}\", \"{}\"", one.address(), two.address());
    let proxy = Proxy::start(PLIMSOLL, &subject("first", &listed, "{}", ""));
    let apply = |config: &str| proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!(put(&proxy, "subject", guest("faulty")).status, 200);
    answers(&proxy, 3);
    // The policy is another one now, and has a candidate as well.
    apply(&subject("first", &listed, "{ path_prefix: /x }", ""));
    answers(&proxy, 3);
    assert_eq!(decisions(&proxy, "subject", "balancer"), counted(6, 0, 0, 0));
    // `first` takes whatever it is given, and the candidate does not.
    apply(&subject("first", &listed, "{ unknown: 1 }", ""));
    let ended = shadow(&proxy, "subject");
    assert_eq!(ended["state"], "unfit", "{ended:#}");
    assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains("unknown")), "{ended:#}");
    assert_eq!(answers(&proxy, 4), ["one"; 4]);

    apply(&subject("first", &listed, "{}", ""));
    assert_eq!(put(&proxy, "subject", guest("faulty")).status, 200);
    proxy.admin_json("PUT", "/v1/plugins/subject?conformance=off", Some(guest("last")));
    assert_eq!(shadow(&proxy, "subject")["state"], "superseded");
    assert_eq!(answers(&proxy, 4), ["two"; 4]);
}

#[test]
fn what_cannot_be_a_candidate_is_refused() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "balancer: { plugin: round-robin }");
    assert_eq!(refused(&put(&proxy, "none", guest("first"))), (404, "unknown_plugin".into()));
    assert_eq!(refused(&put(&proxy, "rules", guest("first"))), (409, "nothing_to_shadow".into()));
    assert_eq!(refused(&put(&proxy, "round-robin", b"garbage")), (422, "not_wasm".into()));
    // The gate is that of an upload.
    let unsound = plimsoll_tests::specimen("balancer/Turns/RepeatsTried");
    let response = proxy.admin("PUT", "/v1/plugins/round-robin/shadow", Some(&unsound));
    assert_eq!(refused(&response), (422, "unsound".into()));
    assert_eq!(shadow(&proxy, "round-robin"), Value::Null);
}

#[test]
fn a_candidate_begins_with_what_the_live_version_knows() {
    let endpoints = ["one", "two", "three"].map(Endpoint::named);
    let proxy = with_subject("turns", &endpoints.each_ref(), "{}", "");
    assert_eq!(answers(&proxy, 4), ["one", "two", "three", "one"]);
    assert_eq!(put(&proxy, "subject", &same_but_for_its_digest(guest("turns"))).status, 200);
    assert_eq!(answers(&proxy, 3), ["two", "three", "one"]);
    assert_eq!(decisions(&proxy, "subject", "balancer"), counted(3, 0, 0, 0));
}

#[test]
fn a_slow_candidate_costs_its_deadline_and_not_more() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_subject("first", &[&one, &two], "{ fault: loop }", "");
    assert_eq!(put(&proxy, "subject", guest("faulty")).status, 200);
    // It has 2 ms of processor time for a call, and fails five times before it is left alone; the rest is the machine's.
    let began = Instant::now();
    assert_eq!(answers(&proxy, 200), vec!["one"; 200]);
    let took = began.elapsed();
    let report = ended(&proxy, "subject");
    let deadlines = report["faults"]["deadline"].as_u64();
    assert_eq!((&report["state"], deadlines), (&json!("faulty"), Some(5)), "{report:#}");
    assert!(took < Duration::from_secs(4), "200 requests took {took:?}");
}

#[test]
fn a_candidate_that_meets_its_conditions_is_promoted_by_itself() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_subject("first", &[&one, &two], "{}", "");
    let mut events = Events::of(&proxy);
    let candidate = same_but_for_its_digest(guest("first"));
    let begun = json(&put_by(&proxy, "subject", &candidate, "&promote_after=20&progress_deadline=10m"));
    let conditions =
        json!({ "promote_after": 20, "min_agreement": 100.0, "failure_limit": 0, "progress_deadline_seconds": 600 });
    assert_eq!((&begun["state"], &begun["conditions"]), (&json!("running"), &conditions));
    let begins = events.next("shadow");
    assert_eq!((&begins["plugin"], &begins["state"]), (&json!("subject"), &json!("running")));
    answers(&proxy, 20);
    let report = ended(&proxy, "subject");
    assert_eq!(report["state"], "promoted", "{report:#}");
    let reason = "100.00 % of 20 decisions were those of the live version, with 0 faults";
    assert_eq!((&report["reason"], &report["conditions"]), (&json!(reason), &conditions));
    let ends = events.next("shadow");
    assert_eq!((&ends["state"], &ends["reason"]), (&json!("promoted"), &json!(reason)));
    assert_eq!(ended_as(&proxy, "subject", "promoted"), 1.0);
    let live = proxy.admin_json("GET", "/v1/plugins/subject", None);
    assert_eq!((&live["plugin"]["digest"], &live["plugin"]["source"]), (&begun["digest"], &json!("upload")));
    assert_eq!(answers(&proxy, 4), ["one"; 4]);
}

#[test]
fn a_candidate_that_differs_too_often_is_given_up_and_its_report_stays() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_subject("first", &[&one, &two], "{}", "");
    let mut events = Events::of(&proxy);
    let by = "&promote_after=10&min_agreement=95.5&failure_limit=3";
    assert_eq!(put_by(&proxy, "subject", guest("last"), by).status, 200);
    answers(&proxy, 10);
    let report = ended(&proxy, "subject");
    assert_eq!(report["state"], "aborted", "{report:#}");
    let reason = "0.00 % of 10 decisions were those of the live version, and the least is 95.5 % after 10";
    assert_eq!(report["reason"], reason);
    assert_eq!(report["roles"]["balancer"]["decisions"], counted(0, 10, 0, 0));
    assert!(report["differences"][0]["candidate"].is_string(), "{report:#}");
    events.next("shadow");
    assert_eq!(events.next("shadow")["state"], "aborted");
    assert_eq!(ended_as(&proxy, "subject", "aborted"), 1.0);
    assert_eq!(answers(&proxy, 4), ["one"; 4]);
    proxy.wait_for_log("candidate is no longer in shadow", "least is 95.5 %");
    // Another one may be sent.
    assert_eq!(put_by(&proxy, "subject", guest("last"), "&promote_after=1&min_agreement=0").status, 200);
    answers(&proxy, 1);
    assert_eq!(ended(&proxy, "subject")["state"], "promoted");
    assert_eq!(answers(&proxy, 4), ["two"; 4]);
}

#[test]
fn a_candidate_with_more_faults_than_it_may_have_is_given_up() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = with_subject("first", &[&one, &two], "{ fault: trap, times: 2 }", "");
    assert_eq!(put_by(&proxy, "subject", guest("faulty"), "&failure_limit=0").status, 200);
    answers(&proxy, 1);
    let report = ended(&proxy, "subject");
    assert_eq!((&report["state"], &report["reason"]), (&json!("aborted"), &json!("1 faults, and the limit is 0")));
    assert_eq!(report["recent_faults"][0]["kind"], "trap");
}

#[test]
fn a_candidate_that_has_not_decided_enough_in_time_is_given_up() {
    let one = Endpoint::named("one");
    let proxy = with_subject("first", &[&one], "{}", "");
    assert_eq!(put_by(&proxy, "subject", guest("last"), "&promote_after=1000&progress_deadline=1s").status, 200);
    let report = ended(&proxy, "subject");
    let reason = "1 s have passed, with 0 of 1000 decisions and 0 faults";
    assert_eq!((&report["state"], &report["reason"]), (&json!("aborted"), &json!(reason)));
}

#[test]
fn conditions_that_make_no_sense_are_refused_and_change_nothing() {
    let one = Endpoint::named("one");
    let proxy = with_subject("first", &[&one], "{}", "");
    for wrong in [
        "&promote_after=0",
        "&min_agreement=99",
        "&promote_after=9&min_agreement=101",
        "&failure_limit=-1",
        "&progress_deadline=soon",
        "&progress_deadline=10ms",
        "&max_faults=3",
    ] {
        let response = put_by(&proxy, "subject", guest("last"), wrong);
        assert_eq!(refused(&response), (400, "bad_query".into()), "{wrong}: {}", response.text());
    }
    assert_eq!(shadow(&proxy, "subject"), Value::Null);
}
