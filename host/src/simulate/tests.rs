use std::path::Path;

use super::*;

#[test]
fn every_built_in_scenario_is_sound_and_says_what_it_shows() {
    for built_in in BUILT_IN {
        let prepared = built_in.prepare(&Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let scenario = &prepared.scenario;
        assert!(scenario.title.len() > 20, "{}", built_in.name);
        assert!(scenario.requests() < 1e6, "{}: {} requests take too long", built_in.name, scenario.requests());
        assert!(Choice::list(&prepared.balancers.join(",")).is_ok(), "{}", built_in.name);
    }
    let usual = Choice::list(&USUAL.join(",")).expect("they are there");
    assert_eq!(usual.len(), USUAL.len());
}

#[test]
fn every_balancer_is_in_some_scenario() {
    let mut seen: Vec<String> = USUAL.iter().map(ToString::to_string).collect();
    for built_in in BUILT_IN {
        let prepared = built_in.prepare(&Overrides::default()).expect("sound");
        seen.extend(Choice::list(&prepared.balancers.join(",")).expect("sound").into_iter().map(|choice| choice.name));
    }
    for name in BALANCERS {
        assert!(seen.iter().any(|seen| seen == name), "{name} is compared nowhere");
    }
}

#[test]
fn mistakes_about_evaluators_are_told_with_their_places() {
    let wrong = |variant: &str| {
        let text = format!(
            "proxies: 2\nendpoints: [ {{ count: 2 }} ]\narrivals: {{ poisson: {{ load: 0.5 }} }}\n\
             service: {{ constant: 1ms }}\nresilience:\n- {{ name: one, {variant} }}\n"
        );
        check::scenario(&text, Path::new("a.yaml"), "a", &Overrides::default()).expect_err("a mistake").to_string()
    };
    let told = wrong("evaluator: { plugin: outliers }");
    assert!(told.contains("a.yaml:6:29: resilience[0].evaluator.plugin: no evaluator `outliers`; there are"), "{told}");
    assert!(wrong("evaluator: { plugin: outlier }").contains("simulated of one proxy"));
}

#[test]
fn mistakes_about_what_stands_around_a_balancer_are_told_with_their_places() {
    let written = |more: &str| {
        let text = format!(
            "endpoints: [ {{ count: 2 }} ]\narrivals: {{ poisson: {{ load: 0.5 }} }}\nservice: {{ constant: 1ms }}\n{more}\n"
        );
        check::scenario(&text, Path::new("a.yaml"), "a", &Overrides::default())
    };
    for (more, told) in [
        (
            "partitioners: [ { plugin: localities } ]",
            "a.yaml:4:19: partitioners[0].plugin: no partitioner `localities`; there",
        ),
        (
            "keys: { uniform: { count: 9 } }\naffinity: { plugin: maglev }",
            "affinity.plugin: no affinity `maglev`; there are",
        ),
        ("affinity: { plugin: cookie }", "affinity: there are no `keys`"),
        ("memory: { keys: 9, miss_factor: 2 }", "memory: there are no `keys`"),
        ("other_zone_latency: 1ms", "other_zone_latency: nobody knows"),
        ("requests: [ { headers: { \"a b\": c } } ]", "requests[0].headers.a b: no header can be like this"),
        (
            "proxies: 16\nworkers: 16\npartitioners: [ { plugin: locality } ]",
            "proxies: 256 workers in all; at most 128",
        ),
    ] {
        let errors = written(more).expect_err(more).to_string();
        assert!(errors.contains(told), "{more}: {errors}");
    }
    let all = "zones: [ a ]\nother_zone_latency: 1ms\nkeys: { uniform: { count: 9 } }\nmemory: { keys: 9, miss_factor: 2 }\n\
               affinity: { plugin: cookie, config: { name: SRV } }\npartitioners: [ { plugin: locality } ]\n\
               requests: [ { share: 3 }, { headers: { x-version: v2 } } ]";
    let prepared = written(all).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((prepared.partitioners.len(), prepared.kinds.len()), (1, 2));
    assert_eq!(prepared.scenario.kinds, [3.0, 1.0]);
}

#[test]
fn the_reference_is_up_to_date() {
    let about = "# Scenarios\n\nWhat `plimsoll simulate --cluster FILE` reads: one YAML file. Unknown keys are refused, and every mistake is told\n\
         with its line. Time spans are text with units (`250us`, `10ms`, `1m30s`). `plimsoll simulate --scenario NAME --print`\n\
         prints one to begin with; docs/ALGORITHMS.md shows what comes of those that are built in.\n\
         \nThis page is made from the schema.\n";
    let reference = config::reference_of::<schema::File>(about);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SCENARIOS.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &reference).expect("the reference can be written");
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == reference, "run the tests with UPDATE_GOLDEN=1");
}
