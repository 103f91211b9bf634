//! How often endpoints are probed, who judges them, and what no verdict may do.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{Endpoint, Proxy, get, read_request, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// An endpoint that answers probes and requests with a status each, and counts its probes.
struct Patient {
    endpoint: Endpoint,
    health: Arc<AtomicU16>,
    requests: Arc<AtomicU16>,
    probes: Arc<AtomicUsize>,
}

impl Patient {
    fn new(name: &'static str) -> Self {
        let (health, requests) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(200)));
        let probes = Arc::new(AtomicUsize::new(0));
        let (of_health, of_requests, counted) = (health.clone(), requests.clone(), probes.clone());
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            while let Some(head) = read_request(&mut stream) {
                let is_probe = head.starts_with("GET /health ");
                counted.fetch_add(usize::from(is_probe), Ordering::Relaxed);
                let status = if is_probe { &of_health } else { &of_requests }.load(Ordering::Relaxed);
                let length = name.len();
                if write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{name}").is_err() {
                    return;
                }
            }
        }));
        Self { endpoint, health, requests, probes }
    }

    fn answers_probes_with(&self, status: u16) {
        self.health.store(status, Ordering::Relaxed);
    }

    fn answers_requests_with(&self, status: u16) {
        self.requests.store(status, Ordering::Relaxed);
    }
}

fn in_front_of(patients: &[Patient], health: &str) -> Proxy {
    let endpoints: Vec<String> = patients.iter().map(|one| format!("\"{}\"", one.endpoint.address())).collect();
    let endpoints = endpoints.join(", ");
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    max_attempts: 1
    health: {{ {health} }}
    endpoints: [ {endpoints} ]"
        ),
    )
}

fn report(proxy: &Proxy) -> Value {
    proxy.admin_json("GET", "/v1/clusters/app", None)
}

fn availability(proxy: &Proxy) -> Vec<String> {
    let report = report(proxy);
    let endpoints = report["endpoints"].as_array().expect("endpoints");
    endpoints.iter().map(|one| one["availability"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_verdict_comes_at_the_fast_interval_however_long_the_interval_is() {
    let patients = [Patient::new("one"), Patient::new("two")];
    patients[0].answers_probes_with(500);
    let proxy = in_front_of(
        &patients,
        "evaluator: { plugin: thresholds, config: { rise: 3, fall: 3 } }, \
         probe: { plugin: http, config: { path: /health }, interval: 1h, fast_interval: 20ms, unhealthy_interval: 100ms, jitter_percent: 10 }",
    );
    wait_for("the first to be out", || (availability(&proxy) == ["unavailable", "ready"]).then_some(()));
    let probed = || patients[0].probes.load(Ordering::Relaxed);
    wait_for("probes of who is out", || (probed() >= 6).then_some(()));
    patients[0].answers_probes_with(200);
    wait_for("the first to be back", || (availability(&proxy) == ["ready", "ready"]).then_some(()));
    // It stands as it should: the next probe is an hour away.
    let before = probed();
    let since = Instant::now();
    wait_for("some time", || (since.elapsed() > Duration::from_millis(500)).then_some(()));
    assert_eq!((probed(), patients[1].probes.load(Ordering::Relaxed)), (before, 1));
}

#[test]
fn a_new_endpoint_may_be_out_by_its_first_bad_probe() {
    let patients = [Patient::new("one"), Patient::new("two")];
    patients[0].answers_probes_with(500);
    let proxy = in_front_of(
        &patients,
        "evaluator: { plugin: thresholds, config: { fall: 3, initial_fall: 1 } }, \
         probe: { plugin: http, config: { path: /health }, interval: 1h }",
    );
    wait_for("the first to be out", || (availability(&proxy) == ["unavailable", "ready"]).then_some(()));
    assert_eq!(patients[0].probes.load(Ordering::Relaxed), 1);
}

#[test]
fn an_endpoint_that_says_that_it_is_degraded_gets_less_until_it_is_well() {
    let patients = [Patient::new("one"), Patient::new("two")];
    patients[0].answers_probes_with(429);
    let proxy = in_front_of(
        &patients,
        "probe: { plugin: http, interval: 20ms, config: { path: /health, degraded: { statuses: [ 429 ], weight_percent: 25 } } }",
    );
    let wants = |weight: u32| (report(&proxy)["endpoints"][0]["wishes"]["weight"] == weight).then_some(());
    // Of a hundred requests.
    let shares = || {
        let answers = (0..100).map(|_| get(proxy.address("web"), "/").text());
        answers.filter(|name| name == "one").count()
    };
    wait_for("the word that it is degraded", || wants(250));
    wait_for("a fifth of the requests", || (18..=22).contains(&shares()).then_some(()));
    assert_eq!(availability(&proxy), ["ready", "ready"]);
    patients[0].answers_probes_with(200);
    wait_for("the word that it is well", || wants(1000));
    wait_for("half of the requests", || (48..=52).contains(&shares()).then_some(()));
}

#[test]
fn who_has_had_no_request_since_its_last_probe_is_probed_less_often() {
    let patients = [Patient::new("one"), Patient::new("two")];
    let proxy = in_front_of(
        &patients,
        "probe: { plugin: http, config: { path: /health }, interval: 10ms, no_traffic_interval: 1s }",
    );
    let probed = || patients.each_ref().map(|patient| patient.probes.load(Ordering::Relaxed));
    wait_for("a probe of each", || probed().iter().all(|probes| *probes > 0).then_some(()));
    let since = Instant::now();
    wait_for("some time", || (since.elapsed() > Duration::from_millis(500)).then_some(()));
    let idle = probed();
    assert!(idle.iter().all(|probes| *probes <= 2), "{idle:?}");
    // Ten of those apart would be ten seconds.
    let since = Instant::now();
    wait_for("probes of those who are asked", || {
        assert_eq!(get(proxy.address("web"), "/").status, 200);
        probed().iter().zip(idle).all(|(probes, before)| *probes >= before + 10).then_some(())
    });
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
}

#[test]
fn a_new_endpoint_is_left_alone_for_its_first_time() {
    let patients = [Patient::new("one")];
    let proxy =
        in_front_of(&patients, "probe: { plugin: http, config: { path: /health }, interval: 20ms, initial_delay: 1s }");
    let began = Instant::now();
    wait_for("a probe", || (patients[0].probes.load(Ordering::Relaxed) > 0).then_some(()));
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    drop(proxy);
}

#[test]
fn a_probe_may_go_to_somebody_else() {
    let patients = [Patient::new("one"), Patient::new("two")];
    let other = patients[1].endpoint.address();
    let proxy = in_front_of(
        &patients[..1],
        &format!(
            "probe: {{ plugin: http, config: {{ path: /health }}, interval: 20ms, address: {}, port: {} }}",
            other.ip(),
            other.port()
        ),
    );
    patients[1].answers_probes_with(500);
    wait_for("the verdict", || (availability(&proxy) == ["unavailable"]).then_some(()));
    assert_eq!(patients[0].probes.load(Ordering::Relaxed), 0);
}

#[test]
fn with_too_few_healthy_endpoints_requests_go_to_all_and_that_is_told() {
    let patients = ["a", "b", "c", "d"].map(Patient::new);
    let proxy = in_front_of(
        &patients,
        "panic_percent: 50, evaluator: { plugin: thresholds, config: { rise: 1, fall: 1 } }, \
         probe: { plugin: http, config: { path: /health }, interval: 20ms }",
    );
    for sick in &patients[..2] {
        sick.answers_probes_with(500);
    }
    wait_for("two to be out", || {
        (availability(&proxy) == ["unavailable", "unavailable", "ready", "ready"]).then_some(())
    });
    assert_eq!(
        (report(&proxy)["panic"].as_bool(), proxy.metric("plimsoll_cluster_panic{cluster=\"app\"}")),
        (Some(false), 0.0)
    );
    patients[2].answers_probes_with(500);
    wait_for("requests to go to all", || (availability(&proxy) == ["ready"; 4]).then_some(()));
    let told = report(&proxy);
    assert_eq!((&told["panic"], &told["endpoints"][2]["health"]), (&true.into(), &"unhealthy".into()), "{told:#}");
    assert_eq!(proxy.metric("plimsoll_cluster_panic{cluster=\"app\"}"), 1.0);
    let too_few = "less than 50 % of the endpoints are healthy";
    wait_for("the line in the log", || proxy.log().contains(too_few).then_some(()));
    let web = proxy.address("web");
    wait_for("all to be asked", || {
        let mut names: Vec<String> = (0..8).map(|_| get(web, "/").text()).collect();
        names.sort();
        names.dedup();
        (names == ["a", "b", "c", "d"]).then_some(())
    });
    // What only might be live says nothing.
    let config = proxy.admin("GET", "/v1/config", None).text().replace("panic_percent: 50", "panic_percent: 0");
    let tried = proxy.admin("PUT", "/v1/config?dry_run=true", Some(config.as_bytes()));
    assert_eq!(tried.status, 200, "{}", tried.text());
    patients[0].answers_probes_with(200);
    wait_for("the end of it", || {
        (availability(&proxy) == ["ready", "unavailable", "unavailable", "ready"]).then_some(())
    });
    for told in ["requests go to all of them", "requests go to these alone again"] {
        wait_for("the line in the log", || proxy.log().contains(told).then_some(()));
        assert_eq!(proxy.log().matches(told).count(), 1, "{told}: {}", proxy.log());
    }
}

#[test]
fn live_traffic_leaves_as_many_endpoints_as_is_demanded() {
    let patients = ["a", "b", "c"].map(Patient::new);
    for failing in &patients {
        failing.answers_requests_with(503);
    }
    let proxy = in_front_of(
        &patients,
        "max_ejected_percent: 100, min_available: 2, evaluator: { plugin: thresholds, config: { passive: { failures: 1 } } }",
    );
    let web = proxy.address("web");
    wait_for("one to be out", || {
        assert_eq!(get(web, "/").status, 503);
        availability(&proxy).contains(&"unavailable".to_owned()).then_some(())
    });
    proxy.wait_for_log("live traffic has put out as many as it may", "reason");
    for _ in 0..20 {
        get(web, "/");
    }
    let out = availability(&proxy).iter().filter(|one| *one == "unavailable").count();
    assert_eq!(out, 1);
}

#[test]
fn what_probes_say_of_an_ejected_endpoint_is_what_is_told() {
    let patients = [Patient::new("one"), Patient::new("two")];
    patients[0].answers_requests_with(503);
    let proxy = in_front_of(
        &patients,
        "evaluator: { plugin: thresholds, config: { fall: 1, passive: { failures: 1, eject_for: 300s } } }, \
         probe: { plugin: http, config: { path: /health }, interval: 20ms }",
    );
    let web = proxy.address("web");
    let reason = || report(&proxy)["endpoints"][0]["reason"].as_str().map(str::to_owned);
    wait_for("the ejection", || {
        get(web, "/");
        reason().filter(|reason| reason.contains("ejected"))
    });
    patients[0].answers_probes_with(500);
    wait_for("what probes say", || reason().filter(|reason| reason.contains("a probe failed")));
}

#[test]
fn an_endpoint_that_fails_more_than_the_others_is_an_outlier() {
    let patients = ["a", "b", "c", "d", "e"].map(Patient::new);
    let proxy = in_front_of(
        &patients,
        "evaluator: { plugin: outlier, config: { interval: 500ms, consecutive_5xx: 0, \
         success_rate: { minimum_requests: 5, deviations: 1.5 } } }",
    );
    patients[3].answers_requests_with(500);
    let web = proxy.address("web");
    let out = wait_for("the ejection", || {
        for _ in 0..50 {
            get(web, "/");
        }
        let told = report(&proxy)["endpoints"][3].clone();
        (told["availability"] == "unavailable").then_some(told)
    });
    let reason = out["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("0 % of its requests succeed, of all 80 %, ejected for 30s"), "{reason}");
    wait_for("the worker to know", || (0..10).all(|_| get(web, "/").status == 200).then_some(()));
    assert_eq!(availability(&proxy), ["ready", "ready", "ready", "unavailable", "ready"]);
}

#[test]
fn a_circuit_opens_by_the_share_of_failed_requests_and_is_tried_before_it_closes() {
    let patients = [Patient::new("one"), Patient::new("two")];
    let proxy = in_front_of(
        &patients,
        "evaluator: { plugin: circuit, config: { minimum_requests: 10, open_for: 100ms, trials: 2, max_open: 200ms } }",
    );
    let ask = || get(proxy.address("web"), "/").status;
    patients[0].answers_requests_with(500);
    let reason = wait_for("the first to be out", || {
        ask();
        let first = report(&proxy)["endpoints"][0].clone();
        (first["availability"] == "unavailable").then(|| first["reason"].to_string())
    });
    assert!(reason.contains(" requests failed, circuit open for 100ms"), "{reason}");
    wait_for("a trial that fails", || {
        ask();
        report(&proxy)["endpoints"][0]["reason"].as_str()?.contains("a request failed on trial").then_some(())
    });
    patients[0].answers_requests_with(200);
    wait_for("the first to be back", || (availability(&proxy) == ["ready", "ready"]).then_some(()));
    assert!((0..20).all(|_| ask() == 200));
    assert_eq!(availability(&proxy), ["ready", "ready"]);
}

#[test]
fn silence_that_is_unusual_takes_an_endpoint_out() {
    let patients = [Patient::new("one"), Patient::new("two")];
    let proxy = in_front_of(
        &patients,
        "evaluator: { plugin: phi-accrual, config: { first_interval: 50ms, min_deviation: 50ms, acceptable_pause: 100ms } }, \
         probe: { plugin: http, config: { path: /health }, interval: 50ms }",
    );
    wait_for("some probes", || (patients[0].probes.load(Ordering::Relaxed) > 10).then_some(()));
    patients[0].answers_probes_with(503);
    let reason = wait_for("the first to be out", || {
        let first = report(&proxy)["endpoints"][0].clone();
        (first["availability"] == "unavailable").then(|| first["reason"].to_string())
    });
    assert!(reason.contains("no good probe for ") && reason.contains("φ is "), "{reason}");
    patients[0].answers_probes_with(200);
    wait_for("the first to be back", || (availability(&proxy) == ["ready", "ready"]).then_some(()));
}

#[test]
fn thousands_that_fail_in_one_moment_are_taken_out_together() {
    let origin = Endpoint::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let endpoints: Vec<String> =
        (0..1000).map(|number| format!("{{ id: e{number}, address: \"{}\" }}", origin.address())).collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health:
      evaluator: {{ plugin: thresholds, config: {{ rise: 1, fall: 1, passive: off }} }}
      probe: {{ plugin: http, interval: 2s, timeout: 2s }}
    endpoints: [ {} ]",
            endpoints.join(", ")
        ),
    );
    let all_are = |availability: &'static str| {
        wait_for(availability, || {
            let report = report(&proxy);
            let endpoints = report["endpoints"].as_array().expect("endpoints");
            let are = endpoints.iter().all(|endpoint| {
                endpoint["availability"] == availability
                    && endpoint["probes"].as_array().is_some_and(|all| !all.is_empty())
            });
            are.then(|| report["generation"].as_u64().expect("a number"))
        })
    };
    let before = all_are("ready");
    origin.close();
    let steps = all_are("unavailable") - before;
    // Within two seconds, 20 ms apart; a busy machine takes longer.
    assert!((2..500).contains(&steps), "{steps} steps");
    assert_eq!(get(proxy.address("web"), "/").status, 503);
}
