//! Routers that take the configuration of the built-in `rules`, which has the shape of the Gateway API's HTTPRoute: a
//! plugin of anybody's may take the same, and is then held against what the shape means.

use serde_json::json;

use super::deadline::is_in_time;
use super::policy::{Action, Router, router};
use super::table::{Asked, Path, Route, config, expected};
use crate::profile::Shown;
use crate::request::shown;
use crate::statistics::{chi_squared, critical};
use crate::trial::{Checked, Property, Stop, Trial, only};
use crate::{Profile, Subject};

const ALL: &[Profile] = &[Profile::Gateway];

/// What its conditions mean.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "R2",
        ALL,
        "the most specific route that matches is taken: host, path, method, headers, query, then the first of the list",
        goes_by_precedence,
    ),
    Property::thorough(
        "R3",
        ALL,
        "neither case, nor a port, nor a final dot of a host makes a difference, and every other letter does",
        compares_hosts,
    ),
    Property::thorough(
        "R4",
        ALL,
        "no path gets past a prefix by `..`, plain or encoded, and none is decoded twice",
        keeps_paths_inside,
    ),
    Property::thorough(
        "R6",
        ALL,
        "clusters that share requests get them by their weights, and no answer of theirs is said to be repeatable",
        splits_by_weight,
    ),
    Property::thorough(
        "R7",
        ALL,
        "a header or a query parameter is compared as it is: all of its values, and every letter",
        compares_values,
    ),
    Property::thorough(
        "R9b",
        ALL,
        "regular expressions take time in proportion to what they are run on",
        runs_expressions_in_time,
    ),
    Property::thorough("R11", ALL, "what no route matches gets none", knows_when_nothing_matches),
];

/// A table of every kind of condition.
pub(crate) const RICH: &str = r#"{"routes":[
    {"match":{"host":"a.test","path_exact":"/a"},"cluster":"one"},
    {"match":{"host":"*.test","path_prefix":"/a/b"},"cluster":"two"},
    {"match":{"path_prefix":"/a","methods":["GET","HEAD"]},"cluster":"three"},
    {"match":{"headers":{"x-tenant":{"exact":"gold"}}},"cluster":"four"},
    {"match":{"query":{"a":{"exact":"1"}}},"cluster":"five"},
    {"match":{"path_prefix":"/b"},"clusters":[{"cluster":"one","weight":3},{"cluster":"two","weight":1}]},
    {"match":{"path_prefix":"/gone"},"respond":{"status":410,"headers":{"x-why":"gone"},"body":"gone"}},
    {"match":{"path_prefix":"/old"},"redirect":{"status":308,"location":"https://new.test/"}}
]}"#;

/// Whether it takes such a configuration and goes by it; and by what that shows.
pub(crate) fn shows(subject: &dyn Subject) -> Result<Shown, String> {
    let routes = [
        Route { path: Some(Path::Prefix("/conformance")), ..Route::default() },
        Route { host: Some("conformance.test"), number: 1, ..Route::default() },
    ];
    let mut router = match subject.routers(&config(&routes), 0, 1) {
        Err(failure) => return Ok((false, format!("it takes no routes as `rules` does ({failure})"))),
        made => only(made)?,
    };
    let by_path = to(&mut *router, &Asked::get("other.test", "/conformance/x"))?;
    let by_host = to(&mut *router, &Asked::get("conformance.test", "/other"))?;
    Ok(match (by_path.as_deref(), by_host.as_deref()) {
        (Some("c0"), Some("c1")) => {
            (true, "it takes routes as `rules` does, and goes by their host and path".to_owned())
        }
        _ => (false, "it takes routes as `rules` does, and does not go by their host and path".to_owned()),
    })
}

/// Name of the cluster that a request is forwarded to.
fn to(router: &mut dyn Router, asked: &Asked) -> Result<Option<String>, String> {
    let plan = router.plan();
    Ok(match router.route(&asked.values(&plan))?.action {
        Action::Forward(cluster) => plan.clusters.get(cluster as usize).cloned(),
        _ => None,
    })
}

const HOSTS: [&str; 4] = ["a.test", "b.a.test", "c.b.a.test", "other"];
const PATHS: [&str; 7] = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b"];

fn requests() -> Vec<Asked> {
    let mut requests = Vec::new();
    for host in HOSTS {
        for path in PATHS {
            let plain = Asked::get(host, path);
            requests.push(Asked { method: "POST", ..plain.clone() });
            let tenant = plain.clone().with_header("x-tenant", "gold");
            requests.push(tenant.clone().with_header("x-version", "2"));
            requests.push(tenant.with_parameter("v", "1"));
            requests.push(plain.clone().with_parameter("v", "1").with_parameter("w", "2"));
            requests.push(plain);
        }
    }
    requests
}

fn random_route(random: &mut fastrand::Rng, number: usize) -> Route {
    const PATTERNS: [&str; 4] = ["a.test", "*.test", "*.a.test", "*.b.a.test"];
    const PREFIXES: [&str; 4] = ["/", "/a", "/a/b", "/a/"];
    let mut some = |fields: &[(&'static str, &'static str)]| match random.u8(..4) {
        0 => fields[..1].to_vec(),
        1 => fields.to_vec(),
        _ => Vec::new(),
    };
    let (headers, query) = (some(&[("x-tenant", "gold"), ("x-version", "2")]), some(&[("v", "1"), ("w", "2")]));
    Route {
        headers,
        query,
        host: random.bool().then(|| PATTERNS[random.usize(..PATTERNS.len())]),
        path: match random.u8(..3) {
            0 => None,
            1 => Some(Path::Exact(PATHS[random.usize(..PATHS.len())])),
            _ => Some(Path::Prefix(PREFIXES[random.usize(..PREFIXES.len())])),
        },
        methods: if random.u8(..4) == 0 { vec!["POST", "PUT"] } else { Vec::new() },
        number,
    }
}

fn goes_by_precedence(trial: &mut Trial<'_>) -> Checked {
    let tables = (trial.steps / 200).clamp(20, 500);
    let requests = requests();
    trial.measure("tables", f64::from(tables));
    trial.measure("requests", f64::from(tables) * requests.len() as f64);
    for _ in 0..tables {
        let routes = (0..trial.random.usize(1..12)).map(|number| random_route(&mut trial.random, number)).collect();
        trial.try_list(routes, |trial, routes| {
            // Nobody promised to take a table without routes.
            if routes.is_empty() {
                return Ok(());
            }
            let mut router = router(trial, &config(routes), 0)?;
            for asked in &requests {
                let (found, expected) = (to(&mut *router, asked)?, expected(routes, asked).map(Route::cluster));
                if found != expected {
                    return Err(format!("{asked:?} goes to {}, not to {}", named(&found), named(&expected)));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn named(cluster: &Option<String>) -> &str {
    cluster.as_deref().unwrap_or("none")
}

/// Asks a table, and compares with what is to come of it.
fn leads(trial: &Trial<'_>, config: &str, cases: Vec<(Asked, Option<&'static str>)>) -> Checked {
    trial.try_list(cases, |trial, cases| {
        let mut router = router(trial, config, 0)?;
        for (asked, expected) in cases {
            let found = to(&mut *router, asked)?;
            if found.as_deref() != *expected {
                return Err(format!("{asked:?} goes to {}, not to {}", named(&found), expected.unwrap_or("none")));
            }
        }
        Ok(())
    })
}

fn compares_hosts(trial: &mut Trial<'_>) -> Checked {
    let table = json!({ "routes": [
        { "match": { "host": "Shop.Test" }, "cluster": "shop" },
        { "match": { "host": "*.SHOP.test" }, "cluster": "under" },
    ] });
    let cases = [
        ("shop.test", Some("shop")),
        ("SHOP.TEST", Some("shop")),
        ("shop.test.", Some("shop")),
        ("shop.test:8080", Some("shop")),
        ("Shop.test.:443", Some("shop")),
        ("www.shop.test", Some("under")),
        ("WWW.Shop.Test.:81", Some("under")),
        ("a.b.shop.test", Some("under")),
        ("shop.test.evil.test", None),
        ("evilshop.test", None),
        ("shop.testing", None),
        ("shop", None),
        ("test", None),
        ("shop_test", None),
        ("shopatest", None),
        ("[2001:db8::1]:80", None),
        ("", None),
    ];
    let cases = cases.map(|(host, expected)| (Asked::get(host, "/"), expected));
    leads(trial, &table.to_string(), cases.to_vec())
}

fn keeps_paths_inside(trial: &mut Trial<'_>) -> Checked {
    let table = json!({ "routes": [
        { "match": { "path_prefix": "/public" }, "cluster": "public" },
        { "match": { "path_prefix": "/admin" }, "cluster": "admin" },
    ] });
    // Each with the cluster that it must not get to.
    let cases = [
        ("/public/../admin", "public"),
        ("/public/../admin/x", "public"),
        ("/public/x/../../admin", "public"),
        ("/public/./../admin", "public"),
        ("/public/%2e%2e/admin", "public"),
        ("/public/%2E./admin", "public"),
        ("/public/.%2e/admin", "public"),
        ("/public/..", "public"),
        ("/public/%252e%252e/admin", "admin"),
        ("/%2561dmin", "admin"),
        ("/publicity", "public"),
        ("/administrator", "admin"),
        ("/PUBLIC", "public"),
        ("public", "public"),
        ("*", "public"),
        ("", "admin"),
    ];
    trial.try_list(cases.to_vec(), |trial, cases| {
        let mut router = router(trial, &table.to_string(), 0)?;
        for (path, forbidden) in cases {
            if to(&mut *router, &Asked::get("a.test", path))?.as_deref() == Some(forbidden) {
                return Err(format!("{path} gets to {forbidden}"));
            }
        }
        // Both spellings of an encoded slash are the same.
        let slashes = ["/public%2fx", "/public%2Fx"].map(|path| to(&mut *router, &Asked::get("a.test", path)));
        let [lower, upper] = slashes;
        let (lower, upper) = (lower?, upper?);
        if lower != upper {
            return Err(format!("/public%2fx goes to {}, /public%2Fx to {}", named(&lower), named(&upper)));
        }
        Ok(())
    })
}

fn splits_by_weight(trial: &mut Trial<'_>) -> Checked {
    const WEIGHTS: [u32; 4] = [90, 9, 1, 0];
    let clusters: Vec<_> = WEIGHTS.iter().map(|w| json!({ "cluster": format!("w{w}"), "weight": w })).collect();
    let mut router = router(trial, &json!({ "routes": [{ "clusters": clusters }] }).to_string(), 0)?;
    let plan = router.plan();
    let values = Asked::get("a.test", "/").values(&plan);
    let requests = trial.steps.max(2000);
    let mut counts = [0_u64; 4];
    for _ in 0..requests {
        let decision = router.route(&values)?;
        if decision.repeatable {
            return Err("an answer of a split is said to be repeatable, so that all requests would go one way"
                .to_owned()
                .into());
        }
        let Action::Forward(cluster) = decision.action else {
            return Err(format!("{:?} instead of one of the clusters", decision.action).into());
        };
        let name = plan.clusters.get(cluster as usize).map(String::as_str);
        match WEIGHTS.iter().position(|weight| name == Some(&format!("w{weight}"))) {
            Some(at) => counts[at] += 1,
            None => return Err(format!("cluster {name:?} instead of one of the split's").into()),
        }
    }
    let deviation = chi_squared(&counts, &WEIGHTS.map(f64::from));
    trial.measure("chi-squared", deviation);
    if counts[3] > 0 || deviation > critical(3) {
        return Err(format!("{counts:?} of {requests} requests for the weights {WEIGHTS:?}").into());
    }
    Ok(())
}

fn compares_values(trial: &mut Trial<'_>) -> Checked {
    for of_query in [false, true] {
        let conditions =
            json!({ "X-Exact": { "exact": "a, b" }, "x-prefix": { "prefix": "Big-" }, "x-there": { "present": true } });
        let routes: Vec<_> = ["X-Exact", "x-prefix", "x-there"]
            .iter()
            .map(|name| {
                // Names of headers are the same in any case, those of parameters are not.
                let key = if of_query { name.to_lowercase() } else { (*name).to_owned() };
                let condition = json!({ key: conditions[*name] });
                let kind = if of_query { "query" } else { "headers" };
                json!({ "match": { kind: condition }, "cluster": name.to_lowercase() })
            })
            .collect();
        let cases: [(&str, &[u8], Option<&str>); 14] = [
            ("x-exact", b"a, b", Some("x-exact")),
            ("x-exact", b"a", None),
            ("x-exact", b"b", None),
            ("x-exact", b"b, a", None),
            ("x-exact", b"a, b, c", None),
            ("x-exact", b"A, b", None),
            ("x-exact", b"a, b\xff", None),
            ("x-exact", b"", None),
            ("x-prefix", b"Big-1", Some("x-prefix")),
            ("x-prefix", b"big-1", None),
            ("x-prefix", b"Big-\xff", Some("x-prefix")),
            ("x-prefix", b"Big", None),
            ("x-there", b"", Some("x-there")),
            ("x-other", b"a, b", None),
        ];
        let asked = |name: &'static str, value: &[u8]| {
            let plain = Asked::get("a.test", "/");
            if of_query { plain.with_parameter(name, value) } else { plain.with_header(name, value) }
        };
        let cases = cases.map(|(name, value, expected)| (asked(name, value), expected));
        leads(trial, &json!({ "routes": routes }).to_string(), cases.to_vec())?;
    }
    Ok(())
}

fn runs_expressions_in_time(trial: &mut Trial<'_>) -> Checked {
    // What sends matchers that go back and try again on a walk of exponential length.
    const EXPRESSIONS: [&str; 4] = ["/(a+)+", "/(a|aa)+", "/(a|a?)+", "/(.*)(.*)(.*)(.*)b"];
    let mut taken = 0.0;
    for expression in EXPRESSIONS {
        let table = json!({ "routes": [{ "match": { "path_regex": expression }, "cluster": "c" }] }).to_string();
        // An expression that it does not take is none that it runs.
        let Ok(mut router) = router(trial, &table, 0) else { continue };
        taken += 1.0;
        for length in [30, 500, 2000, 8000] {
            let path = format!("/{}!", "a".repeat(length));
            let request = Asked::get("a.test", &path).values(&router.plan());
            is_in_time(&mut *router, &request).map_err(|stop| match stop {
                Stop::Broken { how, .. } => Stop::Broken {
                    how: format!("`{expression}`: {how}"),
                    smallest: Some(format!("path {}", shown(path.as_bytes()))),
                },
                skipped => skipped,
            })?;
        }
    }
    trial.measure("expressions", taken);
    if taken > 0.0 { Ok(()) } else { Err(Stop::Skipped("it takes no regular expressions".into())) }
}

fn knows_when_nothing_matches(trial: &mut Trial<'_>) -> Checked {
    let table = json!({ "routes": [
        { "match": { "host": "a.test", "path_exact": "/a" }, "cluster": "one" },
        { "match": { "methods": ["PUT"] }, "cluster": "two" },
        { "match": { "headers": { "x-a": { "exact": "1" } } }, "cluster": "three" },
    ] });
    let requests =
        [Asked::get("a.test", "/"), Asked::get("b.test", "/a"), Asked::get("", ""), Asked::get("a.test", "/a/")];
    trial.try_list(requests.to_vec(), |trial, requests| {
        let mut router = router(trial, &table.to_string(), 0)?;
        for asked in requests {
            let decision = router.route(&asked.values(&router.plan()))?;
            if decision.action != Action::NoRoute || decision.route.is_some() {
                return Err(format!("{asked:?}: {:?} by route {:?}", decision.action, decision.route));
            }
        }
        Ok(())
    })
}
