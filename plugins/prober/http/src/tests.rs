use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{EndpointMode, Header, ProbeAction, ProbeEvent, ProbeResponse, Transport};

use crate::Http;

fn verdict(config: &str, status: u16, body: &str) -> (bool, String) {
    let mut bench = ProberBench::<Http>::new(config).unwrap();
    bench.open(1);
    let answer = ProbeResponse { status, headers: vec![], body: body.into(), trailers: vec![] };
    match bench.advance(1, ProbeEvent::Answered(answer)).remove(0) {
        ProbeAction::Finish(verdict) => (verdict.passed, verdict.detail),
        other => panic!("{other:?}"),
    }
}

fn request(config: &str) -> plimsoll_sdk::ProbeRequest {
    let mut bench = ProberBench::<Http>::new(config).unwrap();
    assert_eq!(bench.transport(), Transport::Http);
    match bench.open(1).remove(0) {
        ProbeAction::Exchange(request) => request,
        other => panic!("{other:?}"),
    }
}

fn field(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

#[test]
fn without_configuration_it_gets_the_root() {
    let request = request("");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/"));
    assert_eq!(request.headers, [field("host", "10.0.0.1:80")]);
}

#[test]
fn the_request_is_as_configured() {
    let request = request(r#"{"path":"/health?full=1","method":"HEAD","host":"api.test","headers":{"X-Probe":"1"}}"#);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("HEAD", "/health?full=1"));
    assert_eq!(request.headers, [field("host", "api.test"), field("x-probe", "1")]);
}

#[test]
fn statuses_decide() {
    assert_eq!(verdict("", 204, ""), (true, "status 204".into()));
    assert_eq!(verdict("", 302, ""), (true, "status 302".into()));
    assert_eq!(verdict("", 503, ""), (false, "expected status 200-399, got 503".into()));
    let config = r#"{"expect":{"status":["200-299",404]}}"#;
    assert_eq!(verdict(config, 302, ""), (false, "expected status 200-299 or 404, got 302".into()));
    assert!(verdict(config, 404, "").0);
}

#[test]
fn the_body_may_have_to_contain_a_text() {
    let config = r#"{"expect":{"body_contains":"\"ok\""}}"#;
    assert!(verdict(config, 200, r#"{"status":"ok"}"#).0);
    assert_eq!(verdict(config, 200, "ok"), (false, "expected `\"ok\"` in the body, got `ok`".into()));
}

#[test]
fn mistakes_are_told_with_their_places() {
    fn paths(config: &str) -> Vec<String> {
        ProberBench::<Http>::new(config).unwrap_err().into_iter().map(|e| e.path).collect()
    }
    assert_eq!(paths(r#"{"path":"x","method":"G T","headers":{"a b":"c"}}"#), ["/path", "/method", "/headers/a b"]);
    assert_eq!(paths(r#"{"headers":{"x":"a\r\nb"}}"#), ["/headers/x"]);
    assert_eq!(
        paths(r#"{"then":[{"path":"x","expect":{"json":{"a":1}}}]}"#),
        ["/then/0/path", "/then/0/expect/json/a"]
    );
    assert_eq!(
        paths(r#"{"follow_redirects":11,"expect":{"headers":{"a b":"c"}}}"#),
        ["/follow_redirects", "/expect/headers/a b"]
    );
    assert_eq!(paths(r#"{"expect":{"body_regex":"("}}"#), ["/expect/body_regex"]);
    assert_eq!(paths(r#"{"host":"a","headers":{"Host":"b"}}"#), ["/headers/Host"]);
    for status in [r#""2xx""#, "99", r#""300-200""#, r#""200-600""#] {
        assert_eq!(paths(&format!(r#"{{"expect":{{"status":[{status}]}}}}"#)), ["/expect/status/0"]);
    }
    assert_eq!(paths(r#"{"expect":{"status":[]}}"#), ["/expect/status"]);
    assert_eq!(paths(r#"{"drain_statuses":[404,99]}"#), ["/drain_statuses/1"]);
    assert_eq!(paths(r#"{"degraded":{"statuses":[429],"weight_percent":0}}"#), ["/degraded/weight_percent"]);
}

/// What comes of these answers, one after the other: what was asked, and the verdict.
fn talk(config: &str, answers: &[(u16, &[(&str, &str)])]) -> (Vec<String>, Option<(bool, String)>) {
    let mut bench = ProberBench::<Http>::new(config).unwrap();
    let mut asked = Vec::new();
    let mut take = |actions: Vec<ProbeAction>| match actions.into_iter().next() {
        Some(ProbeAction::Exchange(request)) => {
            let host = String::from_utf8(request.headers[0].value.clone()).unwrap();
            asked.push(format!("{} {host} {} {}", request.method, request.path, request.body.len()));
            None
        }
        Some(ProbeAction::Finish(verdict)) => Some((verdict.passed, verdict.detail)),
        other => panic!("{other:?}"),
    };
    let mut verdict = take(bench.open(1));
    for (status, headers) in answers {
        let headers = headers.iter().map(|(name, value)| field(name, value)).collect();
        let answer = ProbeResponse { status: *status, headers, body: vec![], trailers: vec![] };
        verdict = verdict.or_else(|| take(bench.advance(1, ProbeEvent::Answered(answer))));
    }
    (asked, verdict)
}

#[test]
fn some_statuses_say_that_it_drains_and_a_good_answer_ends_that() {
    let config = r#"{"drain_statuses":[404],"then":[{"path":"/more"}]}"#;
    // What is answered to each exchange; what it wants then, and whether the probe passes.
    let ends = |config: &str, answers: &[u16]| {
        let mut bench = ProberBench::<Http>::new(config).unwrap();
        bench.open(1);
        let answer = |status| ProbeResponse { status, headers: vec![], body: vec![], trailers: vec![] };
        let mut actions = Vec::new();
        for status in answers {
            actions = bench.advance(1, ProbeEvent::Answered(answer(*status)));
        }
        let mode = actions.iter().find_map(|action| match action {
            ProbeAction::Enter(mode) => Some(*mode),
            _ => None,
        });
        let passed = actions.iter().find_map(|action| match action {
            ProbeAction::Finish(verdict) => Some(verdict.passed),
            _ => None,
        });
        (mode, passed)
    };
    assert_eq!(ends(config, &[404]), (Some(EndpointMode::Draining), Some(true)));
    assert_eq!(ends(config, &[200]), (None, None), "there is more to ask");
    assert_eq!(ends(config, &[200, 404]), (Some(EndpointMode::Draining), Some(true)));
    assert_eq!(ends(config, &[200, 200]), (Some(EndpointMode::Ready), Some(true)));
    assert_eq!(ends(config, &[503]), (None, Some(false)), "it stays as it was");
    assert_eq!(ends("{}", &[404]), (None, Some(false)), "unless it is configured");
}

fn judged(config: &str, headers: &[(&str, &str)], body: &str) -> (bool, String) {
    let mut bench = ProberBench::<Http>::new(config).unwrap();
    bench.open(1);
    let headers = headers.iter().map(|(name, value)| field(name, value)).collect();
    let answer = ProbeResponse { status: 200, headers, body: body.into(), trailers: vec![] };
    match bench.advance(1, ProbeEvent::Answered(answer)).remove(0) {
        ProbeAction::Finish(verdict) => (verdict.passed, verdict.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn header_fields_decide_by_value_and_by_expression() {
    let config = r#"{"expect":{"headers":{"X-State":"up"},"headers_regex":{"server":"^nginx/1\\.2[0-9]"}}}"#;
    let good = [("x-state", "down"), ("x-state", "up"), ("server", "nginx/1.27.0")];
    assert_eq!(judged(config, &good, ""), (true, "status 200".into()));
    assert_eq!(judged(config, &good[..1], "").1, "expected `X-State: up`, got `down`");
    let old = [("x-state", "up"), ("server", "nginx/1.18.0")];
    assert_eq!(judged(config, &old, "").1, "expected `server` to match `^nginx/1\\.2[0-9]`, got `nginx/1.18.0`");
    assert_eq!(judged(config, &good[..2], "").1, "expected `server` to match `^nginx/1\\.2[0-9]`, got no such field");
}

#[test]
fn the_body_decides_by_expression_and_by_values_of_json() {
    let config = r#"{"expect":{"body_regex":"ready: (yes|true)"}}"#;
    assert!(judged(config, &[], "all is ready: yes").0);
    assert_eq!(judged(config, &[], "").1, "expected the body to match `ready: (yes|true)`, got an empty one");
    let config = r#"{"expect":{"json":{"/status":"ok","/replicas/0/lag":0,"/a~1b":null}}}"#;
    assert!(judged(config, &[], r#"{"status":"ok","replicas":[{"lag":0.0}],"a/b":null}"#).0);
    let (_, said) = judged(config, &[], r#"{"status":"failing","replicas":[{"lag":0}],"a/b":null}"#);
    assert_eq!(said, r#"expected /status to be `"ok"`, got `"failing"`"#);
    let (_, said) = judged(config, &[], r#"{"status":"ok","replicas":[],"a/b":null}"#);
    assert_eq!(said, "expected /replicas/0/lag to be `0`, got nothing there");
    assert_eq!(judged(config, &[], "<html>").1, "expected a body of JSON, got `<html>`");
    let config = r#"{"expect":{"json":{"/id":9007199254740993}}}"#;
    assert!(judged(config, &[], r#"{"id":9007199254740993}"#).0);
    assert!(!judged(config, &[], r#"{"id":9007199254740992}"#).0, "floats cannot tell them apart");
}

#[test]
fn what_was_sent_is_not_told_when_it_comes_back() {
    let config = r#"{"headers":{"authorization":"Basic c2VjcmV0"},"expect":{"body_contains":"fine"}}"#;
    let (passed, said) = judged(config, &[], "you said Basic c2VjcmV0");
    assert!(!passed && !said.contains("c2VjcmV0"), "{said}");
}

#[test]
fn exchanges_follow_one_another_as_long_as_they_go_well() {
    let config = r#"{"path":"/login","method":"POST","body":"a=b","expect":{"status":[204]},
        "then":[{"path":"/cart","host":"shop.test"},{"path":"/pay","expect":{"status":[402]}}]}"#;
    let asked = ["POST 10.0.0.1:80 /login 3", "GET shop.test /cart 0", "GET 10.0.0.1:80 /pay 0"];
    let (all, verdict) = talk(config, &[(204, &[]), (200, &[]), (402, &[])]);
    assert_eq!((all, verdict), (asked.map(str::to_owned).to_vec(), Some((true, "status 402".into()))));
    let (some, verdict) = talk(config, &[(204, &[]), (500, &[])]);
    assert_eq!((some.len(), verdict), (2, Some((false, "GET /cart: expected status 200-399, got 500".into()))));
}

#[test]
fn redirects_are_followed_if_asked_as_often_as_that() {
    let to = |location| [("location", location)];
    let (asked, verdict) = talk("", &[(302, &to("/elsewhere"))]);
    assert_eq!((asked.len(), verdict), (1, Some((true, "status 302".into()))));
    let config = r#"{"path":"/a/b?c","follow_redirects":3,"expect":{"status":[200]}}"#;
    let answers: &[(u16, &[(&str, &str)])] =
        &[(302, &to("c?d#e")), (301, &to("http://b.test:81")), (307, &to("?x=1")), (200, &[])];
    let (asked, verdict) = talk(config, answers);
    let all = ["GET 10.0.0.1:80 /a/b?c 0", "GET 10.0.0.1:80 /a/c?d 0", "GET b.test:81 / 0", "GET b.test:81 /?x=1 0"];
    assert_eq!((asked, verdict), (all.map(str::to_owned).to_vec(), Some((true, "status 200".into()))));
    let again: [(u16, &[(&str, &str)]); 4] = [(302, &[("location", "/a")]); 4];
    assert_eq!(talk(config, &again).1, Some((false, "redirects more than 3 times".into())));
    for nowhere in ["ftp://a/b", "/a b", "http://a@b/"] {
        let (_, verdict) = talk(config, &[(302, &to(nowhere))]);
        assert_eq!(verdict, Some((false, "status 302 leads nowhere: its `location` is no place to ask".into())));
    }
}

#[test]
fn a_redirect_may_turn_a_post_into_a_get() {
    let config = r#"{"method":"POST","body":"abc","follow_redirects":1}"#;
    for (status, next) in [(303, "GET 10.0.0.1:80 /x 0"), (302, "GET 10.0.0.1:80 /x 0"), (307, "POST 10.0.0.1:80 /x 3")]
    {
        assert_eq!(talk(config, &[(status, &[("location", "/x")])]).0[1], next);
    }
}

#[test]
fn events_that_do_not_belong_are_no_trap() {
    let mut bench = ProberBench::<Http>::new("").unwrap();
    assert!(bench.advance(7, ProbeEvent::Closed).is_empty());
    bench.open(7);
    assert!(matches!(bench.advance(7, ProbeEvent::Closed)[..], [ProbeAction::Finish(_)]));
}

#[test]
fn some_statuses_say_that_it_is_degraded_and_a_good_answer_ends_that() {
    let said = |config: &str, status| {
        let mut bench = ProberBench::<Http>::new(config).unwrap();
        bench.open(1);
        let answer = ProbeResponse { status, headers: vec![], body: vec![], trailers: vec![] };
        let actions = bench.advance(1, ProbeEvent::Answered(answer));
        let share = actions.iter().find_map(|action| match action {
            ProbeAction::Weigh(share) => Some(*share),
            _ => None,
        });
        let verdict = actions.into_iter().find_map(|action| match action {
            ProbeAction::Finish(verdict) => Some((verdict.passed, verdict.detail)),
            _ => None,
        });
        (share, verdict.expect("a verdict"))
    };
    let config = r#"{"degraded":{"statuses":[429],"weight_percent":25}}"#;
    assert_eq!(said(config, 429), (Some(250), (true, "status 429: it is degraded".into())));
    assert_eq!(said(config, 200), (Some(1000), (true, "status 200".into())));
    assert_eq!(said(config, 503).0, None, "it stays as it was");
    assert_eq!(said(r#"{"degraded":{"statuses":[429]}}"#, 429).0, Some(100));
    assert!(!said("{}", 429).1.0, "unless it is configured");
}
