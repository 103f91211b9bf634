//! Configurations by the API: versions, refusals, going back.

use plimsoll_tests::{Endpoint, Proxy, get};
use serde_json::{Value, json};

use super::json;
use crate::in_front_of;

fn leading_to(endpoint: &Endpoint) -> String {
    format!(
        "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]
",
        endpoint.address()
    )
}

fn put(proxy: &Proxy, config: &str) -> Value {
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()))
}

/// Numbers and origins, newest first.
fn versions(proxy: &Proxy) -> Vec<(u64, String)> {
    let versions = proxy.admin_json("GET", "/v1/config/versions", None);
    let versions = versions.as_array().expect("a list").clone();
    let live: Vec<bool> = versions.iter().map(|version| version["live"] == true).collect();
    assert!(live[0] && live[1..].iter().all(|live| !live), "the newest one is live, and no other: {versions:?}");
    versions
        .iter()
        .map(|version| {
            (version["version"].as_u64().expect("a number"), version["origin"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

#[test]
fn what_was_put_is_live_and_can_be_got() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "");
    let web = proxy.address("web");
    assert_eq!(get(web, "/").text(), "one");
    let config = format!("# with its comments\n{}", leading_to(&two));
    assert_eq!(put(&proxy, &config), json!({ "version": 2 }));
    // The answer comes when all workers have it, so the next request is the first to find out.
    assert_eq!(get(web, "/").text(), "two");
    let got = proxy.admin("GET", "/v1/config", None);
    assert_eq!((got.text(), got.header("content-type")), (config, Some("application/yaml")));
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 2);
    assert_eq!(proxy.metric("plimsoll_config_version"), 2.0);
    // Whatever the number of its version, the listener is where it was.
    assert_eq!(proxy.address("web"), web);
}

#[test]
fn a_change_made_from_an_outdated_version_is_refused() {
    let (one, two, three) = (Endpoint::named("one"), Endpoint::named("two"), Endpoint::named("three"));
    let proxy = in_front_of(&[&one], "", "");
    let put_after = |version: &str, config: &str| {
        proxy.admin_with("PUT", "/v1/config", &[("if-match", version)], Some(config.as_bytes()))
    };
    let got = proxy.admin("GET", "/v1/config", None);
    let version = got.header("etag").expect("an ETag").to_owned();
    let done = put_after(&version, &leading_to(&two));
    assert_eq!((done.status, done.header("etag")), (200, Some("\"2\"")), "{}", done.text());
    let late = put_after(&version, &leading_to(&three));
    assert_eq!((late.status, json(&late)["code"].as_str()), (412, Some("outdated")));
    assert_eq!(get(proxy.address("web"), "/").text(), "two");
    assert_eq!(put_after("two", &leading_to(&three)).status, 400);
    assert_eq!(put_after("*", &leading_to(&three)).status, 200);
    assert_eq!(get(proxy.address("web"), "/").text(), "three");
}

#[test]
fn json_is_taken_as_well() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "");
    let config = json!({
        "listeners": [{ "name": "web", "bind": "127.0.0.1:0", "cluster": "app" }],
        "clusters": [{ "name": "app", "endpoints": [two.address().to_string()] }],
    });
    put(&proxy, &config.to_string());
    assert_eq!(get(proxy.address("web"), "/").text(), "two");
}

#[test]
fn a_bad_one_is_refused_with_all_its_mistakes_and_the_old_one_stays() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let before = proxy.admin("GET", "/v1/config", None).text();
    // Mistakes of shape, and then of meaning, which can only be looked for where the shape is right.
    let shape = "listeners:
  - { name: web, bind: 127.0.0.1:0, cluster: app, port: 80 }
clusters:
  - name: app
    endpoints:
      - { address: 127.0.0.1:9, weight: -1 }
    max_attempts: many
";
    let meaning = "listeners:
  - { name: web, bind: 127.0.0.1:0, cluster: none }
  - { name: web, bind: here, cluster: app }
clusters:
  - name: app
    endpoints:
      - { address: 127.0.0.1:9 }
      - { address: nowhere }
";
    for (bad, mistakes) in [
        (
            shape,
            [("/listeners/0/port", 2), ("/clusters/0/endpoints/0/weight", 6), ("/clusters/0/max_attempts", 7)]
                .as_slice(),
        ),
        (
            meaning,
            &[
                ("/listeners/0/cluster", 2),
                ("/listeners/1", 3),
                ("/listeners/1/bind", 3),
                ("/clusters/0/endpoints/1/address", 8),
            ],
        ),
    ] {
        let response = proxy.admin("PUT", "/v1/config", Some(bad.as_bytes()));
        let body = json(&response);
        assert_eq!((response.status, &body["code"]), (422, &json!("invalid_config")), "{body:#}");
        let errors = body["errors"].as_array().expect("a list");
        assert_eq!(errors.len(), mistakes.len(), "{body:#}");
        for (path, line) in mistakes {
            let error = errors.iter().find(|error| error["path"] == *path);
            let message = error.and_then(|error| error["message"].as_str());
            let message = message.unwrap_or_else(|| panic!("nothing about {path} in {body:#}"));
            assert!(message.starts_with(&format!("line {line}, ")), "{path}: {message}");
        }
    }
    assert_eq!(proxy.admin("GET", "/v1/config", None).text(), before);
    assert_eq!(versions(&proxy), [(1, "start".to_owned())]);
    assert_eq!(get(proxy.address("web"), "/").text(), "one");
}

#[test]
fn what_only_plugins_can_judge_is_told_with_its_line_too() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let bad = "listeners:
  - name: web
    bind: 127.0.0.1:0
    router:
      plugin: rules
      config:
        routes:
          - { cluster: nowhere }
clusters:
  - name: app
    balancer: { plugin: rund-robin }
    endpoints: [ 127.0.0.1:9 ]
  - name: b
    balancer: { plugin: cookie }
    endpoints: [ 127.0.0.1:9 ]
";
    let response = proxy.admin("PUT", "/v1/config", Some(bad.as_bytes()));
    let body = json(&response);
    assert_eq!(response.status, 422, "{body:#}");
    let errors = body["errors"].as_array().expect("a list");
    for (path, line, what) in
        [("/clusters/0/balancer/plugin", 11, "rund-robin"), ("/clusters/1/balancer/plugin", 14, "no balancer")]
    {
        let found = errors.iter().any(|error| {
            let message = error["message"].as_str().unwrap_or_default();
            error["path"] == path && message.starts_with(&format!("line {line}, ")) && message.contains(what)
        });
        assert!(found, "line {line}: {what} in {body:#}");
    }
    let bad = bad.replace("rund-robin", "round-robin").replace("{ plugin: cookie }", "{ plugin: maglev }");
    let response = proxy.admin("PUT", "/v1/config", Some(bad.as_bytes()));
    assert_eq!(response.status, 422, "{}", response.text());
    let message = json(&response)["errors"][0]["message"].clone();
    assert!(
        message.as_str().is_some_and(|message| message.contains("nowhere") && message.starts_with("line 8, ")),
        "{message}"
    );
    assert_eq!(get(proxy.address("web"), "/").text(), "one");
}

#[test]
fn rolling_back_makes_an_earlier_one_a_new_version() {
    let (one, two, three) = (Endpoint::named("one"), Endpoint::named("two"), Endpoint::named("three"));
    let proxy = in_front_of(&[&one], "", "");
    let web = proxy.address("web");
    put(&proxy, &leading_to(&two));
    put(&proxy, &leading_to(&three));
    assert_eq!(get(web, "/").text(), "three");
    assert_eq!(proxy.admin_json("POST", "/v1/config/rollback", None), json!({ "version": 4 }));
    assert_eq!(get(web, "/").text(), "two");
    assert_eq!(proxy.admin_json("POST", "/v1/config/rollback?version=1", None), json!({ "version": 5 }));
    assert_eq!(get(web, "/").text(), "one");
    let origins = [(5, "rollback"), (4, "rollback"), (3, "api"), (2, "api"), (1, "start")];
    assert_eq!(versions(&proxy), origins.map(|(number, origin)| (number, origin.to_owned())));
    assert_eq!(proxy.admin("POST", "/v1/config/rollback?version=99", None).status, 404);
    assert_eq!(get(web, "/").text(), "one");
}

#[test]
fn the_versions_that_are_kept_are_bounded() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    for _ in 0..20 {
        put(&proxy, &leading_to(&one));
    }
    let numbers: Vec<u64> = versions(&proxy).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (6..=21).rev().collect::<Vec<u64>>());
    assert_eq!(proxy.admin("POST", "/v1/config/rollback?version=5", None).status, 404);
    assert_eq!(proxy.admin("POST", "/v1/config/rollback?version=6", None).status, 200);
}

#[test]
fn saving_writes_the_file_that_the_proxy_was_started_with() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "");
    let file = proxy.directory().join("config.yaml");
    let before = std::fs::read_to_string(&file).expect("the file is there");
    put(&proxy, &leading_to(&two));
    assert_eq!(std::fs::read_to_string(&file).expect("the file is there"), before);
    proxy.admin_json("PUT", "/v1/config?save=true", Some(leading_to(&two).as_bytes()));
    assert_eq!(std::fs::read_to_string(&file).expect("the file is there"), leading_to(&two));
    // A bad one is not written either.
    assert_eq!(proxy.admin("PUT", "/v1/config?save=true", Some(b"listeners: 1")).status, 422);
    assert_eq!(std::fs::read_to_string(&file).expect("the file is there"), leading_to(&two));
}

#[test]
fn an_address_that_is_taken_refuses_the_whole_configuration() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket");
    let config = leading_to(&two)
        .replace("listeners: [", &format!("listeners: [ {{ name: more, bind: {address}, cluster: app }},"));
    let response = proxy.admin("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!((response.status, json(&response)["code"].as_str()), (409, Some("bind_failed")));
    assert!(response.text().contains(&address.to_string()), "{}", response.text());
    assert_eq!(get(proxy.address("web"), "/").text(), "one");
    drop(taken);
    put(&proxy, &config);
    assert_eq!(get(proxy.address("more"), "/").text(), "two");
}

#[test]
fn what_is_misspelt_in_a_query_is_refused_and_nothing_changes() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "");
    let config = leading_to(&two);
    let endpoint = format!("/v1/clusters/app/endpoints/{}", one.address());
    for (method, path, query, known) in [
        ("PUT", "/v1/config", "dryrun=true", "save, dry_run"),
        ("PUT", "/v1/config", "save=true&force=1", "save, dry_run"),
        ("GET", "/v1/config", "version=1", "none"),
        ("POST", "/v1/config/rollback", "to=1", "version"),
        ("PATCH", &endpoint, "weight=3", "none"),
        ("PUT", "/v1/plugins/random", "conformence=off", "conformance"),
        ("POST", "/v1/plugins/random/release", "now", "none"),
        ("GET", "/metrics", "name=x", "none"),
        ("GET", "/healthz", "verbose", "none"),
        ("HEAD", "/healthz", "verbose", "none"),
    ] {
        let response = proxy.admin(method, &format!("{path}?{query}"), Some(config.as_bytes()));
        assert_eq!(response.status, 400, "{method} {path}?{query}: {}", response.text());
        if method != "HEAD" {
            let body = json(&response);
            assert_eq!(body["code"], "bad_query", "{body}");
            let message = body["message"].as_str().unwrap_or_default();
            assert!(message.starts_with("unknown query parameter `") && message.contains(known), "{message}");
        }
    }
    let twice = proxy.admin("PUT", "/v1/config?dry_run=true&dry_run=false", Some(config.as_bytes()));
    assert_eq!(twice.status, 400);
    let body = proxy.admin("PATCH", &endpoint, Some(b"{\"wieght\": 3}"));
    assert!(body.status == 400 && body.text().contains("wieght"), "{}", body.text());
    assert_eq!(versions(&proxy), [(1, "start".to_owned())]);
    assert_eq!(get(proxy.address("web"), "/").text(), "one");
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one], "", "");
    let (web, file) = (proxy.address("web"), proxy.directory().join("config.yaml"));
    let before = (proxy.admin("GET", "/v1/config", None).text(), std::fs::read_to_string(&file).expect("a file"));
    let config = format!(
        "workers: 2
listeners:
  - {{ name: more, bind: 127.0.0.2:0, cluster: b }}
  - {{ name: web, bind: 127.0.0.1:0, cluster: app }}
clusters:
  - {{ name: b, balancer: {{ plugin: random }}, endpoints: [ 127.0.0.1:9 ] }}
  - name: app
    max_attempts: 7
    endpoints:
      - {{ address: \"{}\", weight: 5 }}
      - \"{}\"
",
        one.address(),
        two.address()
    );
    let told = proxy.admin_json("PUT", "/v1/config?dry_run=true&save=true", Some(config.as_bytes()));
    let (one_id, two_id) = (format!("app/{}", one.address()), format!("app/{}", two.address()));
    let nothing = json!({ "added": [], "removed": [], "changed": [] });
    assert_eq!(told["version"], 1, "{told:#}");
    let changes = &told["would_change"];
    assert_eq!(changes["listeners"], json!({ "added": ["more"], "removed": [], "changed": [] }), "{told:#}");
    assert_eq!(changes["clusters"], json!({ "added": ["b"], "removed": [], "changed": ["app"] }), "{told:#}");
    let mut added = [two_id, "b/127.0.0.1:9".to_owned()];
    added.sort();
    assert_eq!(changes["endpoints"], json!({ "added": added, "removed": [], "changed": [one_id] }), "{told:#}");
    assert_eq!(changes["plugins"], json!({ "added": ["random"], "removed": [], "changed": [] }), "{told:#}");
    assert_eq!(changes["after_restart"], json!(["workers", "admin"]), "{told:#}");
    let after = (proxy.admin("GET", "/v1/config", None).text(), std::fs::read_to_string(&file).expect("a file"));
    assert_eq!(after, before);
    assert_eq!(versions(&proxy), [(1, "start".to_owned())]);
    assert_eq!(get(web, "/").text(), "one");
    // The same as it is: only where things stand differs.
    let same = format!("\n\n{}", before.0);
    let told = proxy.admin_json("PUT", "/v1/config?dry_run=true", Some(same.as_bytes()));
    for part in ["listeners", "clusters", "endpoints", "plugins"] {
        assert_eq!(told["would_change"][part], nothing, "{told:#}");
    }
}

#[test]
fn a_dry_run_refuses_what_would_be_refused() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let config = leading_to(&one);
    let dry = |config: &str| proxy.admin("PUT", "/v1/config?dry_run=true", Some(config.as_bytes()));
    assert_eq!(dry("listeners: 1").status, 422);
    assert_eq!(dry(&config.replace("name: app,", "name: app, balancer: { plugin: nobody },")).status, 422);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    let response = dry(&config.replace("127.0.0.1:0", &address));
    assert_eq!((response.status, json(&response)["code"].as_str()), (409, Some("bind_failed")));
    let outdated =
        proxy.admin_with("PUT", "/v1/config?dry_run=true", &[("if-match", "\"7\"")], Some(config.as_bytes()));
    assert_eq!(outdated.status, 412);
}

#[test]
fn secrets_are_not_shown_and_what_was_shown_can_be_put_back() {
    let one = Endpoint::named("one");
    let config = format!(
        "secret: the-operators-secret # keep it
admin: {{ bind: 127.0.0.1:0, token: \"s3cret-token\" }}
{}",
        leading_to(&one)
    );
    let proxy = Proxy::start(crate::PLIMSOLL, &config);
    let token = [("authorization", "Bearer s3cret-token")];
    let shown = proxy.admin_with("GET", "/v1/config", &token, None).text();
    assert!(!shown.contains("the-operators-secret") && !shown.contains("s3cret-token"), "{shown}");
    assert_eq!(shown, config.replace("the-operators-secret", "\"(redacted)\"").replace("s3cret-token", "(redacted)"));
    let changed = shown.replace("clusters: [", "clusters: [ { name: b, endpoints: [ 127.0.0.1:9 ] },");
    let put = proxy.admin_with("PUT", "/v1/config?save=true", &token, Some(changed.as_bytes()));
    assert_eq!(put.status, 200, "{}", put.text());
    let saved = std::fs::read_to_string(proxy.directory().join("config.yaml")).expect("a file");
    assert!(
        saved.contains("secret: \"the-operators-secret\" # keep it") && saved.contains("token: \"s3cret-token\""),
        "{saved}"
    );
    assert!(!saved.contains("redacted"), "{saved}");
    let shown = proxy.admin_with("GET", "/v1/config", &token, None).text();
    assert_eq!(shown, changed);
    // Where there is none, the placeholder stands for nothing.
    let proxy = in_front_of(&[&one], "", "");
    let refused =
        proxy.admin("PUT", "/v1/config", Some(format!("secret: (redacted)\n{}", leading_to(&one)).as_bytes()));
    assert!(refused.status == 422 && refused.text().contains("/secret"), "{}", refused.text());
}
