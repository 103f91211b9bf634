//! What becomes of requests whose endpoint falls silent. Most endpoints here are processes of their own, which are stopped:
//! the system goes on accepting connections and bytes for them, and nobody answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{Clients, Endpoint, Proxy, Response, get, read_request, request, wait_for};

use crate::chaos::OriginProcess;
use crate::{PLIMSOLL, in_front_of};

fn proxy(endpoints: &[SocketAddr], cluster: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    let addresses = addresses.join(", ");
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {addresses} ], {cluster} }} ]"
        ),
    )
}

fn retries(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric(&format!("plimsoll_retries_total{{cluster=\"app\",reason=\"{reason}\"}}"))
}

/// One of three origins stops while clients ask. Not one request fails.
fn one_of_three_stops(cluster: &str) -> Proxy {
    let origins = OriginProcess::three();
    let proxy = proxy(&origins.each_ref().map(OriginProcess::address), cluster);
    let clients = Clients::begin(proxy.address("web"), 24);
    clients.wait_for(200);
    origins[1].stop();
    wait_for("a request to leave it", || (retries(&proxy, "timeout") >= 1.0).then_some(()));
    clients.wait_for(500);
    assert_eq!(clients.end().failed, [0_u16; 0]);
    origins[1].goes_on();
    proxy
}

#[test]
fn an_endpoint_that_is_silent_for_too_long_costs_no_request() {
    let proxy = one_of_three_stops("timeouts: { first_byte: 1s }");
    assert_eq!(proxy.metric("plimsoll_retry_overflows_total"), 0.0);
}

#[test]
fn an_endpoint_of_http2_that_is_silent_for_too_long_costs_no_request() {
    one_of_three_stops("protocol: http2, timeouts: { first_byte: 1s }");
}

const PROBED: &str = "health: { probe: { plugin: http, interval: 100ms, timeout: 200ms } }";

#[test]
fn whoever_waits_for_an_endpoint_that_is_found_unhealthy_goes_elsewhere() {
    // It would be waited for for a minute.
    let begun = Instant::now();
    one_of_three_stops(PROBED);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn whoever_connects_to_an_endpoint_that_is_found_unhealthy_goes_elsewhere() {
    let begun = Instant::now();
    one_of_three_stops(&format!("{PROBED}, pool: {{ idle_connections: 0 }}"));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// An endpoint whose probes fail once it is told so, and which answers requests only then, and only when it is let go.
struct Slow {
    endpoint: Endpoint,
    is_sick: Arc<AtomicBool>,
    may_answer: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Slow {
    fn new() -> Self {
        let (is_sick, may_answer) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (sick, may, count) = (is_sick.clone(), may_answer.clone(), asked.clone());
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            while let Some(request) = read_request(&mut stream) {
                let is_probe = request.contains("/healthy");
                if !is_probe {
                    count.fetch_add(1, Ordering::SeqCst);
                    wait_for("leave to answer", || may.load(Ordering::SeqCst).then_some(()));
                }
                let status = if is_probe && sick.load(Ordering::SeqCst) { 503 } else { 200 };
                let answer = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 4\r\n\r\nslow");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }));
        Self { endpoint, is_sick, may_answer, asked }
    }

    fn wait_until_asked(&self) {
        wait_for("a request", || (self.asked.load(Ordering::SeqCst) >= 1).then_some(()));
    }
}

const SLOWLY_PROBED: &str = "health: { probe: { plugin: http, config: { path: /healthy }, interval: 50ms } }";

fn is_unhealthy(proxy: &Proxy) -> Option<()> {
    let cluster = proxy.admin_json("GET", "/v1/clusters/app", None);
    (cluster["endpoints"][0]["health"] == "unhealthy").then_some(())
}

/// Asks a slow endpoint, the first of a cluster of which there is no other yet. Then there are `others`, and it gets sick
/// before it answers.
fn asked_of_a_sick_one(slow: &Slow, others: &[&Endpoint], method: &'static str) -> Response {
    let addresses: Vec<SocketAddr> = [&slow.endpoint].iter().chain(others).map(|endpoint| endpoint.address()).collect();
    let proxy = proxy(&addresses, SLOWLY_PROBED);
    let enable = |endpoint: &Endpoint, enabled: bool| {
        let path = format!("/v1/clusters/app/endpoints/{}", endpoint.address());
        proxy.admin_json("PATCH", &path, Some(format!("{{\"enabled\": {enabled}}}").as_bytes()));
    };
    others.iter().for_each(|other| enable(other, false));
    let web = proxy.address("web");
    let client = std::thread::spawn(move || request(web, method, "/", &[], None));
    slow.wait_until_asked();
    others.iter().for_each(|other| enable(other, true));
    slow.is_sick.store(true, Ordering::SeqCst);
    wait_for("the probes to notice", || is_unhealthy(&proxy));
    if method == "GET" && !others.is_empty() {
        return client.join().expect("a client");
    }
    // As long as it takes others to be called off.
    for _ in 0..20 {
        let answer = get(web, "/").status;
        assert_eq!(answer, if others.is_empty() { 503 } else { 200 });
    }
    assert!(!client.is_finished());
    slow.may_answer.store(true, Ordering::SeqCst);
    client.join().expect("a client")
}

#[test]
fn a_request_leaves_an_endpoint_that_is_found_unhealthy() {
    let (slow, other) = (Slow::new(), Endpoint::named("other"));
    assert_eq!(asked_of_a_sick_one(&slow, &[&other], "GET").text(), "other");
    slow.may_answer.store(true, Ordering::SeqCst);
}

#[test]
fn an_endpoint_that_is_found_unhealthy_is_waited_for_while_there_is_no_other() {
    assert_eq!(asked_of_a_sick_one(&Slow::new(), &[], "GET").text(), "slow");
}

#[test]
fn what_may_not_be_sent_twice_stays_with_an_endpoint_that_is_found_unhealthy() {
    let other = Endpoint::named("other");
    assert_eq!(asked_of_a_sick_one(&Slow::new(), &[&other], "POST").text(), "slow");
}

#[test]
fn an_endpoint_that_the_operator_disables_finishes_what_it_has() {
    let (slow, other) = (Slow::new(), Endpoint::named("other"));
    // Of one worker, so that of two requests each endpoint gets one.
    let proxy = in_front_of(&[&slow.endpoint, &other], "", "balancer: { plugin: round-robin }");
    let web = proxy.address("web");
    let clients: Vec<_> = (0..2).map(|_| std::thread::spawn(move || get(web, "/").text())).collect();
    slow.wait_until_asked();
    let path = format!("/v1/clusters/app/endpoints/{}", slow.endpoint.address());
    proxy.admin_json("PATCH", &path, Some(b"{\"enabled\": false}"));
    wait_for("nothing to go there", || {
        (get(web, "/").text() == "other" && get(web, "/").text() == "other").then_some(())
    });
    slow.may_answer.store(true, Ordering::SeqCst);
    let mut answers: Vec<String> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    answers.sort();
    assert_eq!(answers, ["other", "slow"]);
}

/// An endpoint that reads requests whole and answers nothing.
fn silent() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| while read_request(&mut stream).is_some() {}))
}

#[test]
fn a_body_within_the_bound_goes_with_its_request_and_a_longer_one_cannot() {
    let silent = silent();
    let other = Endpoint::named("other");
    let cluster = "balancer: { plugin: round-robin }, timeouts: { first_byte: 200ms }, \
                   health: { max_ejected_percent: 0 }, retries: { body_bytes: 100000 }";
    let proxy = in_front_of(&[&silent, &other], "", cluster);
    let web = proxy.address("web");
    let body: Vec<u8> = (0..100_000_u32).map(|at| b'a' + (at % 23) as u8).collect();
    for _ in 0..2 {
        assert_eq!(request(web, "PUT", "/", &[], Some(&body)).text(), "other");
    }
    let bodies = other.requests();
    assert_eq!(bodies.len(), 2);
    assert!(bodies.iter().all(|request| request.as_bytes().ends_with(&body)), "it arrives as it was sent");
    assert_eq!(retries(&proxy, "timeout"), 1.0);
    let longer = [body.as_slice(), b"x"].concat();
    let mut statuses = [0; 2].map(|_| request(web, "PUT", "/", &[], Some(&longer)).status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504]);
    let mut statuses = [0; 2].map(|_| request(web, "POST", "/", &[], Some(b"abc")).status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504], "what may do harm twice is sent once");
}

#[test]
fn an_endpoint_that_takes_no_more_of_a_body_is_to_blame_and_left() {
    // Reads the head and then nothing more.
    let stalled = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut head = [0; 100];
        let _ = stream.read(&mut head);
        std::thread::park();
    }));
    let proxy = in_front_of(&[&stalled], "", "timeouts: { send: 300ms, first_byte: 20s }, max_attempts: 1");
    let body = vec![b'x'; 16 << 20];
    let begun = Instant::now();
    let response = request(proxy.address("web"), "PUT", "/", &[], Some(&body));
    assert_eq!(response.status, 504);
    assert!(begun.elapsed() < Duration::from_secs(10), "the answer's time is not the one that counts");
    assert_eq!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"timeout\"}"), 1.0);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UT\"}"), 1.0);
}
