//! An attempt that is late goes on while another begins beside it, and the first answer counts.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{Endpoint, Frame, Http2Endpoint, Proxy, read_request, request, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// An endpoint that answers with this status once it may, and counts what it is asked and how often nobody waits any more.
struct Late {
    endpoint: Endpoint,
    may_answer: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    left: Arc<AtomicUsize>,
}

impl Late {
    fn answering(status: u16) -> Self {
        let may_answer = Arc::new(AtomicBool::new(false));
        let (asked, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (may, count, gone) = (may_answer.clone(), asked.clone(), left.clone());
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            while read_request(&mut stream).is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.set_read_timeout(Some(Duration::from_millis(5)));
                wait_for("leave to answer", || {
                    let is_closed = matches!(stream.peek(&mut [0]), Ok(0));
                    (is_closed || may.load(Ordering::SeqCst)).then_some(())
                });
                let _ = stream.set_read_timeout(None);
                if !may.load(Ordering::SeqCst) {
                    gone.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                let answer = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 4\r\n\r\nlate");
                let _ = stream.write_all(answer.as_bytes());
            }
        }));
        Self { endpoint, may_answer, asked, left }
    }

    fn may_answer(&self) {
        self.may_answer.store(true, Ordering::SeqCst);
    }

    fn wait_until_asked(&self) {
        wait_for("a request", || (self.asked.load(Ordering::SeqCst) >= 1).then_some(()));
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.may_answer();
    }
}

/// Requests go to the first of these, and further attempts to the next ones.
fn in_front_of(endpoints: &[&Endpoint], cluster: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: first }}, endpoints: [ {} ], {cluster} }} ]",
            addresses.join(", ")
        ),
    )
}

const HEDGED: &str = "retries: { hedge_after: 100ms }";

fn hedges(proxy: &Proxy) -> [f64; 3] {
    ["won", "lost", "refused"]
        .map(|result| proxy.metric(&format!("plimsoll_hedges_total{{cluster=\"app\",result=\"{result}\"}}")))
}

fn log_line(proxy: &Proxy) -> Value {
    let line = wait_for("a line in the access log", || proxy.stdout().lines().next().map(str::to_owned));
    serde_json::from_str(&line).expect("JSON")
}

#[test]
fn an_attempt_that_is_late_gets_another_beside_it_whose_answer_counts() {
    for (method, body) in [("GET", None), ("PUT", Some(b"a body".as_slice()))] {
        let (late, quick) = (Late::answering(200), Endpoint::named("quick"));
        let proxy = in_front_of(&[&late.endpoint, &quick], HEDGED);
        let begun = Instant::now();
        assert_eq!(request(proxy.address("web"), method, "/", &[], body).text(), "quick");
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert_eq!((late.asked.load(Ordering::SeqCst), hedges(&proxy)), (1, [1.0, 0.0, 0.0]));
        wait_for("the late one to be given up", || (late.left.load(Ordering::SeqCst) == 1).then_some(()));
        let sent = quick.requests();
        assert!(sent.len() == 1 && sent[0].as_bytes().ends_with(body.unwrap_or_default()), "{sent:?}");
        let line = log_line(&proxy);
        assert_eq!((&line["attempts"], &line["hedges"], &line["flag"]), (&2.into(), &1.into(), &Value::Null));
        assert_eq!(line["endpoint"], quick.address().to_string());
        assert_eq!(proxy.metric("plimsoll_endpoint_in_flight"), 0.0);
        assert_eq!(proxy.metric("plimsoll_retries_total"), 0.0, "it did not fail");
    }
}

#[test]
fn the_answer_of_the_first_attempt_counts_when_it_comes_first() {
    let (first, second) = (Late::answering(200), Late::answering(500));
    let proxy = in_front_of(&[&first.endpoint, &second.endpoint], HEDGED);
    let web = proxy.address("web");
    let client = std::thread::spawn(move || request(web, "GET", "/", &[], None).status);
    second.wait_until_asked();
    first.may_answer();
    assert_eq!(client.join().expect("a client"), 200);
    wait_for("the other to be given up", || (second.left.load(Ordering::SeqCst) == 1).then_some(()));
    assert_eq!(hedges(&proxy), [0.0, 1.0, 0.0]);
    assert_eq!(log_line(&proxy)["endpoint"], first.endpoint.address().to_string());
}

#[test]
fn an_answer_that_is_to_be_bettered_does_not_count_while_another_attempt_goes_on() {
    let (first, second) = (Late::answering(200), Late::answering(503));
    let proxy =
        in_front_of(&[&first.endpoint, &second.endpoint], "retries: { hedge_after: 100ms, on: [gateway_error] }");
    let web = proxy.address("web");
    let client = std::thread::spawn(move || request(web, "GET", "/", &[], None).status);
    second.may_answer();
    wait_for("the second to have failed", || (hedges(&proxy)[1] == 1.0).then_some(()));
    first.may_answer();
    assert_eq!(client.join().expect("a client"), 200);
}

#[test]
fn as_many_attempts_go_on_side_by_side_as_there_may_be() {
    let late = [0; 4].map(|_| Late::answering(200));
    let endpoints = late.each_ref().map(|late| &late.endpoint);
    let proxy = in_front_of(&endpoints, "retries: { hedge_after: 50ms }, max_attempts: 3");
    let web = proxy.address("web");
    let client = std::thread::spawn(move || request(web, "GET", "/", &[], None).status);
    late[..3].iter().for_each(Late::wait_until_asked);
    late[1].may_answer();
    assert_eq!(client.join().expect("a client"), 200);
    assert_eq!((hedges(&proxy), late[3].asked.load(Ordering::SeqCst)), ([1.0, 1.0, 0.0], 0));
    let line = log_line(&proxy);
    assert_eq!((&line["attempts"], &line["hedges"]), (&3.into(), &2.into()));
    assert_eq!(line["endpoint"], endpoints[1].address().to_string());
}

#[test]
fn what_may_not_be_sent_twice_has_one_attempt() {
    let (late, quick) = (Late::answering(200), Endpoint::named("quick"));
    let proxy = in_front_of(&[&late.endpoint, &quick], HEDGED);
    let web = proxy.address("web");
    let client = std::thread::spawn(move || request(web, "POST", "/", &[], Some(b"x")).text());
    late.wait_until_asked();
    // One that may is hedged meanwhile, and its time began later.
    assert_eq!(request(web, "GET", "/", &[], None).text(), "quick");
    assert_eq!(quick.requests().len(), 1);
    late.may_answer();
    assert_eq!(client.join().expect("a client"), "late");
}

#[test]
fn hedges_are_within_the_budget_and_go_to_another_endpoint_or_not_at_all() {
    let (late, quick) = (Late::answering(200), Endpoint::named("quick"));
    let no_budget = "retries: { hedge_after: 50ms, budget: { percent: 0, min: 0 } }";
    for (others, cluster) in [(vec![&quick], no_budget), (vec![], HEDGED)] {
        let proxy = in_front_of(&[vec![&late.endpoint], others].concat(), cluster);
        let web = proxy.address("web");
        late.may_answer.store(false, Ordering::SeqCst);
        let client = std::thread::spawn(move || request(web, "GET", "/", &[], None).text());
        wait_for("a hedge to be refused", || (hedges(&proxy) == [0.0, 0.0, 1.0]).then_some(()));
        late.may_answer();
        assert_eq!(client.join().expect("a client"), "late");
    }
    assert_eq!(quick.requests().len(), 0);
}

#[test]
fn a_stream_of_http2_that_is_given_up_is_reset() {
    let resets = Arc::new(AtomicUsize::new(0));
    let count = resets.clone();
    let late = Endpoint::scripted(Arc::new(move |stream: TcpStream| {
        let Some(mut connection) = Http2Endpoint::accept(stream, &[]) else { return };
        while let Some(frame) = connection.next_frame() {
            count.fetch_add(usize::from(frame.kind == Frame::RST_STREAM), Ordering::SeqCst);
        }
    }));
    let quick = Endpoint::scripted(Arc::new(|stream: TcpStream| {
        let Some(mut connection) = Http2Endpoint::accept(stream, &[]) else { return };
        while let Some(stream) = connection.next_request() {
            connection.answer(stream, "quick");
        }
    }));
    let proxy = in_front_of(&[&late, &quick], &format!("protocol: http2, {HEDGED}"));
    assert_eq!(request(proxy.address("web"), "GET", "/", &[], None).text(), "quick");
    wait_for("the stream to be reset", || (resets.load(Ordering::SeqCst) == 1).then_some(()));
    assert_eq!(late.connections(), 1, "its connection stays");
}
