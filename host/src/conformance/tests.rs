use plimsoll_conformance::Profile;
use plimsoll_tests::{Endpoint as Origin, Nginx, get};

use super::*;
use crate::builtin;

/// Kinds that a built-in plugin must show itself to be, each with its default configuration.
fn kinds(name: &str) -> &'static [Profile] {
    use Profile::{
        Consistent, Dated, Ejecting, Latency, Least, Minimal, Numbered, Opaque, Proportional, Ramp, Smooth, Spread,
        Table, Thresholds, Token, Uniform, Weighted,
    };
    match name {
        "round-robin" => &[Weighted, Smooth, Uniform, Ramp, Spread],
        "static-round-robin" => &[Weighted, Uniform, Spread],
        "random" => &[Weighted, Uniform, Ramp, Spread],
        "least-connections" => &[Weighted, Smooth, Uniform, Ramp, Spread, Least],
        "least-request" => &[Weighted, Uniform, Ramp, Spread, Least],
        // A light endpoint gets nothing of it, as in nginx, until the others have that much more under way.
        "least-time" => &[Uniform, Spread, Least, Latency],
        "peak-ewma" => &[Weighted, Uniform, Ramp, Spread, Least, Latency],
        "maglev" => &[Consistent, Proportional, Ramp],
        "ring-hash" | "rendezvous" => &[Consistent, Proportional, Minimal, Ramp],
        "jump-hash" => &[Numbered, Proportional, Minimal, Ramp],
        "rules" => &[Profile::Gateway],
        "locality" => &[Profile::Locality],
        "priority" => &[Profile::Priority],
        "cookie" | "cookie-prefix" | "cookie-rewrite" => &[Token, Opaque],
        "header" | "jwt-claim" | "learn" | "source-ip" => &[Table, Dated],
        "route" => &[Token],
        "thresholds" => &[Thresholds, Ejecting],
        "circuit" => &[Ejecting, Profile::Rate],
        _ => &[],
    }
}

#[test]
fn every_built_in_plugin_conforms_and_is_of_the_kinds_that_it_is_meant_to_be() {
    for (name, bytes) in builtin::PLUGINS {
        let config = (*name == "rules").then(|| "{\"routes\":[{\"respond\":{\"status\":200}}]}".to_owned());
        // Less than a release build would do: guests run at full speed here, what calls them does not.
        let settings = Settings { steps: Some(2000), config, ..Settings::default() };
        let report = Component::load(bytes).expect("built-in plugins load").run(&settings);
        assert!(report.passed(), "{name}:\n{report}");
        for profile in kinds(name) {
            let choice = report.profiles.iter().find(|choice| choice.profile == *profile);
            assert!(choice.is_some_and(|choice| choice.taken), "{name} is not {profile}:\n{report}");
        }
    }
}

/// Configurations of built-in plugins that make them something else than the default does: with the kinds that they are
/// then, and with properties that must have been tried.
const CONFIGURED: [(&str, &str, &[Profile], &[&str]); 8] = [
    ("tcp", r#"{"send":"PING\\r\\n","expect":{"prefix":"+PONG\\r\\n"}}"#, &[], &["P1", "P2", "P6", "P14"]),
    ("tcp", r#"{"expect":{"contains":"ESMTP"}}"#, &[Profile::ServerFirst], &["P1", "P2", "P4b"]),
    (
        "http",
        r#"{"path":"/ready?full=1","expect":{"status":[200],"body_contains":"ready"}}"#,
        &[],
        &["P4", "P8", "P13"],
    ),
    ("http", r#"{"headers":{"authorization":"Basic cGxpbXM6b2xs"}}"#, &[], &["P8"]),
    (
        "subset",
        r#"{"labels":[{"metadata":"version","header":"x-version"},{"metadata":"a","cookie":"tier"}],"fallback":"none"}"#,
        &[],
        &["PT2", "PT3", "PT4"],
    ),
    ("subset", r#"{"fallback":"default","default":{"version":"1"}}"#, &[], &["PT4"]),
    ("locality", r#"{"zone":"eu-1","overprovisioning_percent":200}"#, &[Profile::Locality], &["PT13", "PT14"]),
    ("priority", r#"{"overprovisioning_percent":100}"#, &[Profile::Priority], &["PT15", "PT16"]),
];

#[test]
fn built_in_plugins_conform_as_they_are_configured() {
    for (name, config, profiles, tried) in CONFIGURED {
        let settings = Settings { steps: Some(2000), config: Some(config.into()), ..Settings::default() };
        let report = built_in(name).run(&settings);
        assert!(report.passed(), "{name} {config}:\n{report}");
        for profile in profiles {
            let choice = report.profiles.iter().find(|choice| choice.profile == *profile);
            assert!(choice.is_some_and(|choice| choice.taken), "{name} {config} is not {profile}:\n{report}");
        }
        for id in tried {
            let finding = report.properties.iter().find(|finding| finding.id == *id);
            let verdict = finding.map(|finding| finding.verdict);
            assert_eq!(verdict, Some(suite::Verdict::Passed), "{name} {config}, {id}:\n{report}");
        }
    }
}

#[test]
fn affinities_and_evaluators_conform_however_they_are_configured() {
    use Profile::{Dated, Ejecting, Opaque, Table, Thresholds, Token};
    let uses: [(&str, &str, &[Profile]); 17] = [
        ("cookie", r#"{"max_idle":"64s"}"#, &[Token, Opaque, Dated]),
        ("cookie", r#"{"max_idle":"1m","max_life":"100s","indirect":true}"#, &[Token, Opaque, Dated]),
        ("cookie", r#"{"preserve":true,"nocache":true,"keys":["a secret of some length"],"epochs":[2,0]}"#, &[Token]),
        ("cookie-prefix", r#"{"name":"sid","reissue":"Path=/"}"#, &[Token, Opaque]),
        ("cookie-rewrite", r#"{"reissue":"Path=/; HttpOnly"}"#, &[Token, Opaque]),
        ("header", r#"{"by":"token","name":"x-token"}"#, &[Token, Opaque]),
        ("header", r#"{"by":"id","name":"x-endpoint"}"#, &[Token]),
        ("header", r#"{"ttl":"250ms"}"#, &[Table, Dated]),
        ("jwt-claim", r#"{"claim":"organisation","cookie":"jwt","ttl":"1h"}"#, &[Table, Dated]),
        ("learn", r#"{"from":[{"header":"x-session"}],"lookup":[{"query":"s"}],"ttl":"10s"}"#, &[Table, Dated]),
        ("route", r#"{"cookie":"SID","separator":"."}"#, &[Token]),
        ("source-ip", r#"{"v4_prefix":16,"ttl":"30s"}"#, &[Table, Dated]),
        ("circuit", r#"{"minimum_requests":5,"trials":1,"window":"1s"}"#, &[Ejecting]),
        ("phi-accrual", r#"{"answers":true,"rise":2,"initial":1}"#, &[]),
        ("thresholds", r#"{"rise":1,"fall":1,"passive":"off"}"#, &[Thresholds]),
        ("thresholds", r#"{"rise":5,"fall":2,"initial":3,"passive":{"failures":1}}"#, &[Thresholds, Ejecting]),
        ("thresholds", r#"{"passive":{"failures":3,"eject_for":"1s","max_eject":"1m"}}"#, &[Thresholds, Ejecting]),
    ];
    for (name, config, profiles) in uses {
        let settings = Settings { steps: Some(1000), config: Some(config.into()), ..Settings::default() };
        let report = built_in(name).run(&settings);
        assert!(report.passed(), "{name} {config}:\n{report}");
        for profile in profiles {
            let choice = report.profiles.iter().find(|choice| choice.profile == *profile);
            assert!(choice.is_some_and(|choice| choice.taken), "{name} {config} is not {profile}:\n{report}");
        }
    }
}

#[test]
fn the_consistent_built_ins_keep_to_the_bound_that_they_are_given() {
    for (name, bytes) in builtin::PLUGINS.iter().filter(|(name, _)| kinds(name).contains(&Profile::Proportional)) {
        let settings = Settings {
            config: Some(r#"{"hash_balance_factor":125}"#.into()),
            only: vec!["C6".into()],
            ..Settings::default()
        };
        let report = Component::load(bytes).expect("built-in plugins load").run(&settings);
        assert_eq!(report.properties[0].verdict, suite::Verdict::Passed, "{name}:\n{report}");
    }
}

fn built_in(name: &str) -> Component {
    let (_, bytes) = builtin::PLUGINS.iter().find(|(known, _)| *known == name).expect("a built-in plugin");
    Component::load(bytes).expect("built-in plugins load")
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// nginx in front of origins of these weights, with a method of choice; and the same origins as endpoints.
fn nginx(method: &str, weights: [u32; 4]) -> (Nginx, Vec<Origin>, Vec<suite::Endpoint>) {
    let origins: Vec<Origin> = NAMES.iter().map(|name| Origin::named(name)).collect();
    let servers: String = origins
        .iter()
        .zip(weights)
        .map(|(origin, weight)| format!("server {} weight={weight}; ", origin.address()))
        .collect();
    let upstream = format!("upstream app {{ {method} {servers} }}");
    let nginx = Nginx::with_upstreams(&upstream, "location / { proxy_pass http://app; }", &[]);
    let endpoint = |(slot, origin): (u32, &Origin)| suite::Endpoint {
        address: origin.address(),
        weight: weights[slot as usize],
        ..suite::Endpoint::new(slot)
    };
    let endpoints = (0..).zip(&origins).map(endpoint).collect();
    (nginx, origins, endpoints)
}

fn pick(component: &Component, config: &str, endpoints: &[suite::Endpoint], keys: &[Option<u64>]) -> Vec<String> {
    let on_trial = OnTrial { component, seed: 1 };
    let mut balancer = on_trial.balancers(config, 0, 1).expect("a policy").remove(0);
    balancer.set_endpoints(endpoints).expect("endpoints are taken");
    let name = |key: &Option<u64>| {
        let slot = balancer.pick(*key, &[]).expect("an answer").expect("a choice");
        NAMES[slot as usize].to_owned()
    };
    keys.iter().map(name).collect()
}

#[test]
fn round_robin_chooses_in_the_order_of_nginx() {
    let component = built_in("round-robin");
    for weights in [[5, 1, 1, 2], [1, 1, 1, 1], [7, 3, 9, 20]] {
        let (nginx, _origins, endpoints) = nginx("", weights);
        let picks = 2 * weights.iter().sum::<u32>() as usize;
        let of_nginx: Vec<String> = (0..picks).map(|_| get(nginx.address(), "/").text()).collect();
        let ours = pick(&component, r#"{"random_start":false}"#, &endpoints, &vec![None; picks]);
        assert_eq!(ours, of_nginx, "{weights:?}");
    }
}

/// CRC-32, bit by bit; what nginx hashes keys by.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

#[test]
fn ring_hash_leads_keys_to_where_nginx_does() {
    let component = built_in("ring-hash");
    for weights in [[1, 1, 1, 1], [1, 2, 1, 5]] {
        let (nginx, _origins, endpoints) = nginx("hash $arg_k consistent;", weights);
        let keys: Vec<String> = (0..300).map(|number| format!("user-{number}")).collect();
        let of_nginx: Vec<String> = keys.iter().map(|key| get(nginx.address(), &format!("/?k={key}")).text()).collect();
        let hashes: Vec<Option<u64>> = keys.iter().map(|key| Some(crc32(key.as_bytes()).into())).collect();
        assert_eq!(pick(&component, "{}", &endpoints, &hashes), of_nginx, "{weights:?}");
        assert!(NAMES.iter().all(|name| of_nginx.iter().any(|chosen| chosen == name)), "{of_nginx:?}");
    }
}
