//! What the access log tells of a request, and how it is reopened.

use std::path::Path;

use plimsoll_tests::{Endpoint, Proxy, Refusing, Signal, get, request, wait_for};
use serde_json::{Value, json};

use crate::PLIMSOLL;

/// One cluster whose first endpoint refuses connections, one with nothing but such, and one with affinity.
fn proxy(access_log: &str, alive: &Endpoint, gone: &Refusing) -> Proxy {
    let alive = alive.address();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {access_log}
listeners:
  - name: web
    bind: 127.0.0.1:0
    router:
      plugin: rules
      config:
        routes:
          - {{ match: {{ path_prefix: /gone }}, cluster: gone }}
          - {{ match: {{ path_prefix: /bound }}, cluster: bound }}
          - {{ match: {{ path_prefix: /app }}, cluster: app }}
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: off }} }} }}
    endpoints: [ {{ id: gone, address: \"{gone}\" }}, {{ id: alive, address: \"{alive}\" }} ]
  - name: gone
    max_attempts: 2
    endpoints: [ {{ id: gone, address: \"{gone}\" }} ]
  - name: bound
    affinity: {{ plugin: cookie }}
    endpoints: [ {{ id: alive, address: \"{alive}\" }} ]
"
        ),
    )
}

fn lines(path: &Path, wanted: usize) -> Vec<String> {
    wait_for("lines in the access log", || {
        let text = std::fs::read_to_string(path).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (text.ends_with('\n') && lines.len() >= wanted).then_some(lines)
    })
}

/// Answers of which one takes two attempts, one that is bound, a failure, and a path without a route: six lines.
fn traffic(proxy: &Proxy) {
    let web = proxy.address("web");
    // Of two turns one begins at the endpoint that refuses.
    assert!((0..2).all(|_| get(web, "/app?x=1").text() == "alive"));
    let bound = get(web, "/bound");
    let cookie = bound.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
    let headers = [("cookie", cookie), ("user-agent", "tests \"1\""), ("referer", "http://a/")];
    assert_eq!(request(web, "GET", "/bound", &headers, None).status, 200);
    assert_eq!(get(web, "/gone").status, 502);
    assert_eq!(get(web, "/nowhere").status, 404);
}

#[test]
fn json_lines_tell_endpoint_attempts_flag_and_reason() {
    let (alive, gone) = (Endpoint::named("alive"), Refusing::reserve());
    let proxy = proxy("{ format: json, output: access.log }", &alive, &gone);
    traffic(&proxy);
    let lines: Vec<Value> = lines(&proxy.directory().join("access.log"), 6)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 6);
    let retried = lines[..2].iter().find(|line| line["attempts"] == 2).expect("a line about two attempts");
    for (line, wanted) in [retried].into_iter().chain(&lines[2..]).zip([
        json!({ "path": "/app?x=1", "status": 200, "cluster": "app", "endpoint": "alive", "attempts": 2, "flag": null, "reason": null }),
        json!({ "path": "/bound", "status": 200, "cluster": "bound", "endpoint": "alive", "attempts": 1, "flag": null, "reason": null }),
        json!({ "path": "/bound", "status": 200, "cluster": "bound", "endpoint": "alive", "attempts": 1, "flag": null, "reason": "affinity", "user_agent": "tests \"1\"", "referer": "http://a/" }),
        json!({ "path": "/gone", "status": 502, "cluster": "gone", "endpoint": "gone", "attempts": 2, "flag": "UF", "reason": null }),
        json!({ "path": "/nowhere", "status": 404, "cluster": null, "endpoint": null, "attempts": 0, "flag": "NR", "reason": null }),
    ]) {
        for (key, value) in wanted.as_object().expect("an object") {
            assert_eq!(&line[key], value, "{key} in {line}");
        }
        assert_eq!((&line["listener"], &line["method"], &line["authority"]), (&json!("web"), &json!("GET"), &json!("test")));
        assert!(line["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.1:")), "{line}");
        assert!(line["duration_seconds"].is_number() && line["time"].is_string(), "{line}");
    }
    assert_eq!(lines[0]["response_bytes"], "alive".len());
}

#[test]
fn combined_lines_tell_the_same() {
    let (alive, gone) = (Endpoint::named("alive"), Refusing::reserve());
    let proxy = proxy("{ format: combined, output: access.log }", &alive, &gone);
    traffic(&proxy);
    let lines = lines(&proxy.directory().join("access.log"), 6);
    assert_eq!(lines.len(), 6);
    let retried = lines[..2].iter().find(|line| line.contains(r#""alive" "2""#)).expect("a line about two attempts");
    for (line, wanted) in [retried].into_iter().chain(&lines[2..]).zip([
        r#""GET /app?x=1 HTTP/1.1" 200 5 "-" "-" "app" "alive" "2" "-" "-" ""#,
        r#""GET /bound HTTP/1.1" 200 5 "-" "-" "bound" "alive" "1" "-" "-" ""#,
        r#""GET /bound HTTP/1.1" 200 5 "http://a/" "tests \"1\"" "bound" "alive" "1" "-" "affinity" ""#,
        r#""GET /gone HTTP/1.1" 502 "#,
        r#""GET /nowhere HTTP/1.1" 404 "#,
    ]) {
        assert!(line.starts_with("127.0.0.1 - - [") && line.contains(wanted), "{wanted} in {line}");
    }
    assert!(lines[4].contains(r#" "gone" "gone" "2" "UF" "-" ""#), "{}", lines[4]);
    assert!(lines[5].contains(r#" "-" "-" "0" "NR" "-" ""#), "{}", lines[5]);
}

#[test]
fn stdout_takes_it_too() {
    let (alive, gone) = (Endpoint::named("alive"), Refusing::reserve());
    let proxy = proxy("{ format: json }", &alive, &gone);
    get(proxy.address("web"), "/nowhere");
    let line = wait_for("a line on stdout", || proxy.stdout().lines().next().map(str::to_owned));
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["path"], "/nowhere");
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let (alive, gone) = (Endpoint::named("alive"), Refusing::reserve());
    let mut proxy = proxy("{ format: json, output: access.log }", &alive, &gone);
    get(proxy.address("web"), "/app");
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
    assert_eq!(lines(&proxy.directory().join("access.log"), 1).len(), 1);
}

#[test]
fn sigusr1_opens_the_file_anew() {
    let (alive, gone) = (Endpoint::named("alive"), Refusing::reserve());
    let proxy = proxy("{ format: json, output: access.log }", &alive, &gone);
    let web = proxy.address("web");
    let (log, moved) = (proxy.directory().join("access.log"), proxy.directory().join("access.log.1"));
    get(web, "/before");
    lines(&log, 1);
    std::fs::rename(&log, &moved).expect("the log is there");
    // As logrotate has it: what is logged between the two goes to the file that was renamed.
    get(web, "/between");
    assert_eq!(lines(&moved, 2).len(), 2);
    proxy.signal(Signal::Usr1);
    wait_for("the new file", || {
        get(web, "/after");
        log.exists().then_some(())
    });
    assert!(lines(&log, 1).iter().all(|line| line.contains("\"/after\"")));
    let before = lines(&moved, 2);
    assert!(before[0].contains("\"/before\"") && before[1].contains("\"/between\""));
    // From now on nothing goes to the old one.
    get(web, "/last");
    wait_for("the last line", || lines(&log, 1).iter().any(|line| line.contains("\"/last\"")).then_some(()));
    assert_eq!(lines(&moved, 2), before);
}
