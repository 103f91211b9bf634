use plimsoll_sdk::testing::RouterBench;
use plimsoll_sdk::{Action, Attribute, ConfigError};
use proptest::prelude::*;

use crate::Rules;

fn bench(routes: &str) -> RouterBench<Rules> {
    RouterBench::new(&format!(r#"{{"routes":{routes}}}"#)).unwrap()
}

fn mistakes(routes: &str) -> Vec<String> {
    let errors: Vec<ConfigError> = RouterBench::<Rules>::new(&format!(r#"{{"routes":{routes}}}"#)).unwrap_err();
    errors.into_iter().map(|error| error.path).collect()
}

fn get<'a>(host: &'a str, path: &'a str) -> Vec<(Attribute, &'a str)> {
    vec![(Attribute::Method, "GET"), (Attribute::Authority, host), (Attribute::Path, path)]
}

/// The cluster that a request for the path is forwarded to.
fn to(bench: &mut RouterBench<Rules>, host: &str, path: &str) -> String {
    let decision = bench.route(&get(host, path));
    bench.cluster(&decision).unwrap_or("-").to_owned()
}

fn location(bench: &mut RouterBench<Rules>, attributes: &[(Attribute, &str)]) -> String {
    match bench.route(attributes).action {
        Action::Redirect(redirect) => format!("{} {}", redirect.status, redirect.location),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_shortest_configurations_work() {
    let mut bench = bench(r#"[{"match":{"path_prefix":"/api"},"cluster":"api"},{"cluster":"web"}]"#);
    assert_eq!(to(&mut bench, "x", "/api/users"), "api");
    assert_eq!(to(&mut bench, "x", "/"), "web");
    assert_eq!(bench.clusters(), ["api", "web"]);
    assert_eq!(bench.labels(), ["/api", "*"]);
    assert_eq!(bench.attributes(), [Attribute::Path]);
    let decision = bench.route(&get("x", "/api"));
    assert_eq!((decision.route, decision.repeatable), (Some(0), true));
    assert!(self::bench(r#"[{"cluster":"web"}]"#).attributes().is_empty());
}

#[test]
fn a_plugin_that_failed_lets_nothing_pass_that_it_would_have_refused() {
    let fallback = |config: &str| RouterBench::<Rules>::new(config).unwrap().fallback().map(str::to_owned);
    for (config, expected) in [
        (r#"{"routes":[{"cluster":"web"}]}"#, Some("web")),
        (r#"{"routes":[{"match":{"path_prefix":"/a"},"cluster":"web"},{"cluster":"web"}]}"#, Some("web")),
        // Other paths get 404.
        (r#"{"routes":[{"match":{"path_prefix":"/a"},"cluster":"web"}]}"#, None),
        (r#"{"routes":[{"match":{"path_prefix":"/admin"},"respond":{"status":403}},{"cluster":"web"}]}"#, None),
        (r#"{"routes":[{"match":{"path_prefix":"/api"},"cluster":"api"},{"cluster":"web"}]}"#, None),
        (
            r#"{"fallback":"web","routes":[{"match":{"path_prefix":"/api"},"cluster":"api"},{"cluster":"web"}]}"#,
            Some("web"),
        ),
        (r#"{"fallback":"sorry","routes":[{"cluster":"web"}]}"#, Some("sorry")),
    ] {
        assert_eq!(fallback(config).as_deref(), expected, "{config}");
    }
    let errors = RouterBench::<Rules>::new(r#"{"fallback":"","routes":[{"cluster":"web"}]}"#).unwrap_err();
    assert_eq!(errors[0].path, "/fallback");
}

#[test]
fn prefixes_end_with_a_segment() {
    let mut bench = bench(r#"[{"match":{"path_prefix":"/api/"},"cluster":"api"}]"#);
    for (path, expected) in [
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/x", "api"),
        ("/apis", "-"),
        ("/", "-"),
        ("//api", "-"),
        ("/API", "-"),
    ] {
        assert_eq!(to(&mut bench, "x", path), expected, "{path}");
    }
}

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let mut bench = bench(
        r#"[{"cluster":"any"},{"match":{"path_prefix":"/a"},"cluster":"a"},{"match":{"path_prefix":"/a/b"},"cluster":"ab"},
            {"match":{"path_regex":"/a/[0-9]+"},"cluster":"number"},{"match":{"path_regex":"/a/[0-9]+/more"},"cluster":"more"},
            {"match":{"path_exact":"/a/1"},"cluster":"one"}]"#,
    );
    for (path, expected) in [
        ("/a/1", "one"),
        ("/a/2", "number"),
        ("/a/2/more", "more"),
        ("/a/2/other", "a"),
        ("/a/b/c", "ab"),
        ("/a/bc", "a"),
        ("/z", "any"),
    ] {
        assert_eq!(to(&mut bench, "x", path), expected, "{path}");
    }
}

#[test]
fn dot_segments_do_not_dodge_a_rule() {
    let mut bench = bench(
        r#"[{"match":{"path_prefix":"/public"},"cluster":"public"},{"match":{"path_prefix":"/admin"},"cluster":"admin"}]"#,
    );
    for path in ["/public/../admin", "/public/%2e%2e/admin/x", "/public/.%2E/./admin", "/./admin", "/../admin"] {
        assert_eq!(to(&mut bench, "x", path), "admin", "{path}");
    }
    assert_eq!(to(&mut bench, "x", "/public/..%2fadmin"), "public");
    assert_eq!(to(&mut bench, "x", "/public/.."), "-");
}

#[test]
fn the_host_comes_before_the_path() {
    let mut bench = bench(
        r#"[{"match":{"path_exact":"/x"},"cluster":"any"},{"match":{"host":"*.test"},"cluster":"test"},
            {"match":{"host":"*.b.test"},"cluster":"b"},{"match":{"host":"A.b.test","path_prefix":"/only"},"cluster":"ab"}]"#,
    );
    for (host, path, expected) in [
        ("a.b.test", "/only", "ab"),
        ("A.B.TEST.:8080", "/only", "ab"),
        ("a.b.test", "/x", "b"),
        ("c.b.test:1", "/x", "b"),
        ("b.test", "/x", "test"),
        ("x.y.z.test", "/", "test"),
        ("test", "/x", "any"),
        ("a.testing", "/x", "any"),
        ("[::1]:80", "/x", "any"),
        ("", "/x", "any"),
    ] {
        assert_eq!(to(&mut bench, host, path), expected, "{host}{path}");
    }
}

#[test]
fn methods_headers_and_query_decide_between_equals() {
    let mut bench = bench(
        r#"[{"cluster":"any"},
            {"match":{"query":{"v":{"exact":"2"}}},"cluster":"query"},
            {"match":{"headers":{"X-Tenant":{"present":true}}},"cluster":"header"},
            {"match":{"headers":{"x-tenant":{"prefix":"big-"},"accept":{"regex":"text/.*"}}},"cluster":"headers"},
            {"match":{"methods":["PUT","POST"]},"cluster":"write"}]"#,
    );
    let mut route = |extra: &[(Attribute, &str)]| {
        let decision = bench.route(extra);
        bench.cluster(&decision).unwrap().to_owned()
    };
    let header = |name: &str| Attribute::Header(name.to_owned());
    assert_eq!(route(&[]), "any");
    assert_eq!(route(&[(Attribute::QueryParameter("v".into()), "2")]), "query");
    assert_eq!(route(&[(Attribute::QueryParameter("v".into()), "2"), (header("x-tenant"), "a")]), "header");
    assert_eq!(route(&[(header("x-tenant"), "big-1"), (header("accept"), "text/html")]), "headers");
    assert_eq!(route(&[(header("x-tenant"), "big-1"), (header("accept"), "no text/html")]), "header");
    assert_eq!(route(&[(header("x-tenant"), "a"), (Attribute::Method, "POST")]), "write");
}

#[test]
fn between_equals_the_first_in_the_list_wins() {
    let mut bench =
        bench(r#"[{"cluster":"first"},{"cluster":"second"},{"match":{"path_prefix":"/"},"cluster":"third"}]"#);
    assert_eq!(to(&mut bench, "x", "/"), "first");
}

#[test]
fn a_protocol_is_the_one_agreed_on_or_any_that_is_offered() {
    let mut bench = bench(
        r#"[{"match":{"application_protocols":["h2","acme-tls/1"]},"cluster":"two"},
            {"match":{"host":"db.test","application_protocols":["postgresql"]},"cluster":"db"},{"cluster":"any"}]"#,
    );
    let mut to = |protocols: &str| {
        let decision = bench.route(&[(Attribute::ServerName, "db.test"), (Attribute::ApplicationProtocol, protocols)]);
        bench.cluster(&decision).unwrap_or("-").to_owned()
    };
    assert_eq!(["h2", "http/1.1,h2", "h2c,h", "", "postgresql,h2"].map(&mut to), ["two", "two", "any", "any", "db"]);
    assert_eq!(
        mistakes(r#"[{"match":{"application_protocols":["h2",""]},"cluster":"x"}]"#),
        ["/routes/0/match/application_protocols/1"]
    );
}

#[test]
fn connections_are_routed_by_server_name_and_source() {
    let mut bench = bench(
        r#"[{"match":{"host":"db.test"},"cluster":"db"},{"match":{"source":["10.0.0.0/8"]},"cluster":"inside"},
            {"match":{"path_prefix":"/"},"cluster":"web"}]"#,
    );
    let mut route = |attributes: &[(Attribute, &str)]| {
        let decision = bench.route(attributes);
        bench.cluster(&decision).unwrap_or("-").to_owned()
    };
    assert_eq!(route(&[(Attribute::ServerName, "DB.test")]), "db");
    assert_eq!(route(&[(Attribute::SourceAddress, "10.1.2.3")]), "inside");
    assert_eq!(route(&[(Attribute::SourceAddress, "192.0.2.1")]), "-");
}

#[test]
fn a_split_follows_the_weights_and_is_not_repeatable() {
    let mut bench = bench(r#"[{"clusters":[{"cluster":"a","weight":9},{"cluster":"b"},{"cluster":"c","weight":0}]}]"#);
    let mut to_b = 0;
    for _ in 0..10_000 {
        let decision = bench.route(&[]);
        assert!(!decision.repeatable);
        match bench.cluster(&decision) {
            Some("a") => {}
            Some("b") => to_b += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((800..1200).contains(&to_b), "{to_b}");
}

#[test]
fn redirects_replace_parts_of_the_place() {
    let mut https = bench(r#"[{"redirect":{"scheme":"https","status":308}}]"#);
    let mut seen = get("shop.test:8080", "/a b\u{e9}");
    seen.extend([(Attribute::Scheme, "http"), (Attribute::Query, "q=1")]);
    assert_eq!(location(&mut https, &seen), "308 https://shop.test/a%20b%C3%A9?q=1");
    let mut host = bench(r#"[{"redirect":{"host":"new.test:81","path":"/moved"}}]"#);
    assert_eq!(location(&mut host, &seen), "302 http://new.test:81/moved?q=1");
    let mut fixed = bench(r#"[{"redirect":{"location":"https://plimsoll.test/","status":301}}]"#);
    assert_eq!(location(&mut fixed, &seen), "301 https://plimsoll.test/");
}

#[test]
fn a_redirect_never_makes_a_host_of_a_path() {
    let mut bench = bench(r#"[{"redirect":{"scheme":"https"}}]"#);
    assert_eq!(location(&mut bench, &[(Attribute::Path, "//evil.test/x")]), "302 /evil.test/x");
}

#[test]
fn answers_are_given_as_configured() {
    let mut bench = bench(r#"[{"respond":{"status":503,"headers":{"Retry-After":"5"},"body":"later"}}]"#);
    let Action::Respond(response) = bench.route(&[]).action else { panic!() };
    assert_eq!((response.status, &response.body[..]), (503, &b"later"[..]));
    assert_eq!((response.headers[0].name.as_str(), &response.headers[0].value[..]), ("retry-after", &b"5"[..]));
}

#[test]
fn mistakes_are_told_together_with_their_places() {
    assert_eq!(mistakes("[]"), ["/routes"]);
    assert_eq!(
        mistakes(
            r#"[{"match":{"host":"a b","path_exact":"x","methods":["G T"],"source":["1"]},"cluster":""},
                {"match":{"path_regex":"(","headers":{"a b":{"exact":"1"}}},"cluster":"a","respond":{}},
                {"redirect":{"status":200,"scheme":"ftp"}},{"clusters":[{"cluster":"a","weight":0}]}]"#
        ),
        [
            "/routes/0/match/host",
            "/routes/0/match/path_exact",
            "/routes/0/match/methods/0",
            "/routes/0/match/source/0",
            "/routes/0/cluster",
            "/routes/1/match/path_regex",
            "/routes/1/match/headers/a b",
            "/routes/1",
            "/routes/2/redirect/status",
            "/routes/2/redirect/scheme",
            "/routes/3/clusters",
        ]
    );
    assert_eq!(mistakes(r#"[{"match":{"path_exact":"/a","path_prefix":"/a"},"cluster":"a"}]"#), ["/routes/0/match"]);
    assert_eq!(mistakes(r#"[{"match":{"path_prefix":"/a/../b"},"cluster":"a"}]"#), ["/routes/0/match/path_prefix"]);
    assert_eq!(mistakes(r#"[{"match":{"path_regex":"a){0,1}(b"},"cluster":"a"}]"#), ["/routes/0/match/path_regex"]);
    assert_eq!(mistakes(r#"[{"match":{"path_regex":"(x{100}){100}"},"cluster":"a"}]"#), ["/routes/0/match/path_regex"]);
    assert_eq!(mistakes(r#"[{"name":"a","cluster":"a"},{"name":"a","cluster":"a"}]"#), ["/routes/1/name"]);
    assert_eq!(mistakes(r#"[{"clutser":"a"}]"#), ["/routes/0/clutser"]);
}

#[test]
fn values_that_are_no_text_are_no_trap() {
    let mut bench = bench(r#"[{"match":{"path_regex":"/.*","host":"*.test"},"cluster":"a"}]"#);
    for path in ["", "*", "no slash", "/\u{0}"] {
        bench.route(&get("\u{0}..", path));
    }
}

#[test]
fn ten_thousand_routes_are_found_by_looking_up() {
    let routes: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"match":{{"host":"h{}.test","path_prefix":"/p{n}"}},"cluster":"c{n}"}}"#, n % 100))
        .collect();
    let mut bench = bench(&format!("[{}]", routes.join(",")));
    let started = std::time::Instant::now();
    for n in 0..10_000 {
        assert_eq!(to(&mut bench, &format!("h{}.test", n % 100), &format!("/p{n}/x/y")), format!("c{n}"));
    }
    // Looking at every route would take minutes.
    assert!(started.elapsed().as_secs() < 5);
}

proptest! {
    /// The index finds what a walk over all prefixes would.
    #[test]
    fn the_longest_prefix_wins(
        prefixes in prop::collection::btree_set("(/[ab]{1,2}){1,3}", 1..12),
        path in "(/[ab]{1,2}){0,4}/?",
    ) {
        let routes: Vec<_> =
            prefixes.iter().map(|p| format!(r#"{{"match":{{"path_prefix":"{p}"}},"cluster":"{p}"}}"#)).collect();
        let mut bench = bench(&format!("[{}]", routes.join(",")));
        let covers = |p: &&String| path == **p || path.starts_with(&format!("{p}/"));
        let expected = prefixes.iter().filter(covers).max_by_key(|p| p.len()).map_or("-", String::as_str);
        prop_assert_eq!(to(&mut bench, "x", &path), expected);
    }
}

#[test]
fn what_holds_for_a_route_is_told_with_its_plan() {
    let mut bench = bench(
        r#"[{"match":{"path_prefix":"/slow"},"cluster":"web","timeouts":{"request":"90s","first_byte":"0s"},
            "max_attempts":1,"retries":{"statuses":[503],"non_idempotent":true},"affinity":"none"},{"cluster":"web"}]"#,
    );
    let decision = bench.route(&get("x", "/slow"));
    let slow = bench.settings(&decision).expect("a route takes part").clone();
    assert_eq!((slow.timeouts.request_ms, slow.timeouts.first_byte_ms), (Some(90_000), Some(0)));
    let retry = slow.retry.expect("it is about retries");
    assert_eq!((retry.attempts, &retry.statuses[..], retry.unsafe_methods), (1, &[503][..], true));
    assert_eq!(slow.affinity, Some(plimsoll_sdk::RouteAffinity::Off));
    let decision = bench.route(&get("x", "/"));
    assert_eq!(bench.settings(&decision), Some(&plimsoll_sdk::Route::new("*")));
}
