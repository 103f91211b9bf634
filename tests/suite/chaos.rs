//! One of several endpoints fails while clients ask, in every way that is known of. What the policy promises is counted. `cargo
//! xtask chaos` runs the same for longer, and writes what came of it into docs/RELIABILITY.md.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use plimsoll_tests::{Asked, Behaviour, Clients, Namespace, Origin, Proxy, Signal, get, wait_for};

use crate::PLIMSOLL;

/// An origin that is a process of its own.
pub(crate) struct OriginProcess(Proxy);

impl OriginProcess {
    pub(crate) fn new() -> Self {
        let config = "workers: 1
listeners: [ { name: web, bind: 127.0.0.1:0, router: { plugin: rules, config: { routes: [
  { match: { path_prefix: / }, respond: { status: 200, body: well } } ] } } } ]";
        Self(Proxy::start(PLIMSOLL, config))
    }

    /// In a network of its own.
    fn within(namespace: &Namespace) -> (Self, SocketAddr) {
        let address = SocketAddr::new(namespace.address(), 8080);
        let config = format!(
            "admin: {{ enabled: false }}
workers: 1
listeners: [ {{ name: web, bind: \"{address}\", router: {{ plugin: rules, config: {{ routes: [
  {{ match: {{ path_prefix: / }}, respond: {{ status: 200, body: well }} }} ] }} }} }} ]"
        );
        let command = [&namespace.entering()[..], &[PLIMSOLL, "run", "--config", "config.yaml"]].concat();
        let origin = Proxy::run("ip", &command, Some(&config));
        wait_for("the origin to come up", || std::net::TcpStream::connect(address).ok());
        (Self(origin), address)
    }

    pub(crate) fn three() -> [Self; 3] {
        [0; 3].map(|_| Self::new())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address("web")
    }

    pub(crate) fn stop(&self) {
        self.0.signal(Signal::Stop);
    }

    pub(crate) fn goes_on(&self) {
        self.0.signal(Signal::Cont);
    }
}

const CLIENTS: usize = 16;
const PROBES: &str = "health: { probe: { plugin: http, interval: 200ms, timeout: 200ms } }";

/// What is promised of the requests that clients make meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Every one is answered by an endpoint that is well.
    NoneFails,
    /// The head of the answer was with the client already, and what is behind it cannot come from another endpoint.
    AnswersMayBreakOff,
}

/// A cluster whose first endpoint is to fail, and clients of it.
struct Scene {
    proxy: Proxy,
    clients: Clients,
    began: Instant,
    found: Option<Duration>,
    back: Option<Duration>,
}

impl Scene {
    /// `cluster` is what the cluster is configured with.
    fn set(endpoints: &[SocketAddr], cluster: &str) -> Self {
        let addresses: Vec<String> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
        let addresses = addresses.join(", ");
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 2
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ {addresses} ], {cluster} }} ]"
            ),
        );
        let clients = Clients::begin(proxy.address("web"), CLIENTS);
        clients.wait_for(200);
        Self { proxy, clients, began: Instant::now(), found: None, back: None }
    }

    fn is_healthy(&self) -> bool {
        self.proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["health"] == "healthy"
    }

    /// The endpoint has begun to fail: waits until the proxy knows, then for as long as the scene lasts.
    fn fails(&mut self) {
        self.began = Instant::now();
        wait_for("the failing endpoint to be found", || (!self.is_healthy()).then_some(()));
        self.found = Some(self.began.elapsed());
        self.goes_on();
    }

    /// Clients ask on: for a moment, or for as long as the report wants.
    fn goes_on(&self) {
        let seconds = std::env::var("CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        let lasts = Duration::from_secs(seconds);
        let before = self.clients.answered();
        wait_for("the end of the scene", || {
            (self.began.elapsed() >= lasts && self.clients.answered() >= before + 200).then_some(())
        });
    }

    /// The endpoint works again: waits until it is used.
    fn works_again(&mut self) {
        let began = Instant::now();
        wait_for("the endpoint to be used again", || self.is_healthy().then_some(()));
        self.back = Some(began.elapsed());
        // It gets its share, and not what it has missed.
        let before = self.proxy.requests_by_endpoint("app");
        self.clients.wait_for(200);
        let now = self.proxy.requests_by_endpoint("app");
        let since = |endpoint: &String| now[endpoint] - before.get(endpoint).copied().unwrap_or(0);
        let all: u64 = now.keys().map(since).sum();
        for endpoint in now.keys() {
            assert!(since(endpoint) * 10 <= all * 6, "{endpoint} got {} of {all} requests", since(endpoint));
        }
    }

    /// The clients end. What is promised is held against what they got.
    fn ends(self, what: &str, promise: Promise) {
        let Self { proxy, clients, found, back, .. } = self;
        let asked = clients.end();
        let retries = proxy.metric("plimsoll_retries_total{cluster=\"app\"");
        report(what, &asked, promise, retries, found, back);
        match promise {
            Promise::NoneFails => assert_eq!(asked.failed, [0_u16; 0], "{what}, of {} requests", asked.requests()),
            // Not in another way.
            Promise::AnswersMayBreakOff => {
                assert!(asked.failed.iter().all(|status| matches!(status, 0 | 502)), "{what}: {:?}", asked.failed);
            }
        }
    }
}

/// Adds a line to the table of the report, where there is to be one.
fn report(what: &str, asked: &Asked, promise: Promise, retries: f64, found: Option<Duration>, back: Option<Duration>) {
    let Some(path) = std::env::var_os("CHAOS_TABLE") else { return };
    let after =
        |span: Option<Duration>| span.map_or_else(|| "–".to_owned(), |span| format!("{:.1} s", span.as_secs_f64()));
    let promise = match promise {
        Promise::NoneFails => "0",
        Promise::AnswersMayBreakOff => "those that break off",
    };
    let line = format!(
        "| {what} | {} | {} | {promise} | {retries} | {:.1} ms | {:.2} s | {} | {} |\n",
        asked.requests(),
        asked.failed.len(),
        asked.all_but_one_of(1000).as_secs_f64() * 1e3,
        asked.longest().as_secs_f64(),
        after(found),
        after(back),
    );
    let mut table = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the table can be written");
    table.write_all(line.as_bytes()).expect("the table can be written");
}

/// One of three origins behaves in some way, and then well again.
fn one_misbehaves(what: &str, behaviour: Behaviour, cluster: &str, promise: Promise) {
    let origins = [0; 3].map(|_| Origin::new());
    let mut scene = Scene::set(&origins.each_ref().map(Origin::address), &format!("{PROBES}, {cluster}"));
    origins[0].behave(behaviour);
    scene.fails();
    origins[0].behave(Behaviour::Well);
    scene.works_again();
    scene.ends(what, promise);
}

#[test]
fn an_origin_that_is_killed_costs_no_request() {
    let mut origins = OriginProcess::three().map(Some);
    let addresses = origins.each_ref().map(|origin| origin.as_ref().expect("it runs").address());
    let mut scene = Scene::set(&addresses, PROBES);
    drop(origins[0].take());
    scene.fails();
    scene.ends("killed (SIGKILL)", Promise::NoneFails);
}

#[test]
fn an_origin_that_stands_still_costs_no_request() {
    let origins = OriginProcess::three();
    let mut scene = Scene::set(&origins.each_ref().map(OriginProcess::address), PROBES);
    origins[0].stop();
    scene.fails();
    origins[0].goes_on();
    scene.works_again();
    scene.ends("stopped (SIGSTOP), found by probes", Promise::NoneFails);
}

#[test]
fn an_origin_that_stands_still_costs_no_request_without_probes() {
    let origins = OriginProcess::three();
    let mut scene = Scene::set(&origins.each_ref().map(OriginProcess::address), "timeouts: { first_byte: 1s }");
    origins[0].stop();
    scene.fails();
    origins[0].goes_on();
    scene.ends("stopped (SIGSTOP), 1 s for the first byte, no probes", Promise::NoneFails);
}

#[test]
fn an_origin_from_which_nothing_comes_any_more_costs_no_request() {
    let Some(namespace) = Namespace::new() else {
        eprintln!("not tested: it takes root and iproute2 to cut a network");
        return;
    };
    let (origin, address) = OriginProcess::within(&namespace);
    let others = [OriginProcess::new(), OriginProcess::new()];
    let mut scene = Scene::set(&[address, others[0].address(), others[1].address()], PROBES);
    namespace.vanish();
    scene.fails();
    namespace.reappear();
    scene.works_again();
    scene.ends("all packets from it vanish (a cut network)", Promise::NoneFails);
    drop(origin);
}

#[test]
fn an_origin_that_resets_connections_costs_no_request() {
    one_misbehaves("resets connections in the middle of requests", Behaviour::Resets, "", Promise::NoneFails);
}

#[test]
fn an_origin_that_closes_connections_costs_no_request() {
    one_misbehaves("closes connections without an answer", Behaviour::Closes, "", Promise::NoneFails);
}

#[test]
fn an_origin_that_sends_half_a_head_costs_no_request() {
    one_misbehaves("closes connections in the middle of heads", Behaviour::HalfHead, "", Promise::NoneFails);
}

#[test]
fn an_origin_that_sends_half_a_body_costs_only_the_answers_that_have_begun() {
    let promise = Promise::AnswersMayBreakOff;
    one_misbehaves("closes connections in the middle of bodies", Behaviour::HalfBody, "", promise);
}

#[test]
fn an_origin_that_answers_nothing_costs_no_request() {
    one_misbehaves("reads requests and answers nothing", Behaviour::Silent, "", Promise::NoneFails);
}

#[test]
fn an_origin_that_answers_503_costs_no_request() {
    let cluster = "retries: { on: [gateway_error] }";
    one_misbehaves("answers 503, with retries on it", Behaviour::Status(503), cluster, Promise::NoneFails);
}

#[test]
fn an_origin_that_goes_down_and_comes_up_costs_no_request() {
    let mut origins = [0; 3].map(|_| Origin::new());
    let scene = Scene::set(&origins.each_ref().map(Origin::address), PROBES);
    for _ in 0..5 {
        origins[0].down();
        scene.clients.wait_for(200);
        origins[0].up();
        scene.clients.wait_for(200);
    }
    scene.goes_on();
    scene.ends("goes down and comes up, five times", Promise::NoneFails);
}

#[test]
fn the_first_origin_that_comes_back_is_used_at_once() {
    let mut origins = [0; 3].map(|_| Origin::new());
    let addresses = origins.each_ref().map(Origin::address);
    let addresses = addresses.map(|address| format!("\"{address}\"")).join(", ");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ {addresses} ], {PROBES} }} ]"
        ),
    );
    let web = proxy.address("web");
    assert_eq!(get(web, "/").status, 200);
    origins.iter_mut().for_each(Origin::down);
    wait_for("all to be found down", || (get(web, "/").status == 503).then_some(()));
    origins[1].up();
    wait_for("an answer", || (get(web, "/").status == 200).then_some(()));
    assert_eq!([0; 20].map(|_| get(web, "/").status), [200; 20]);
}
