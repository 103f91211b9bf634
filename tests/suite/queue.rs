//! Bounds on the attempts at an endpoint, and the requests that wait for room.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use plimsoll_tests::{Connection, Endpoint, Gate, Proxy, get, read_request, request, wait_for};
use serde_json::json;

use crate::{PLIMSOLL, in_front_of};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Holds every request at a gate, and remembers their paths in the order in which they came.
fn held(gate: &Gate) -> (Endpoint, Arc<Mutex<Vec<String>>>) {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let (gate, seen) = (gate.clone(), paths.clone());
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        while let Some(head) = read_request(&mut stream) {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            seen.lock().expect("no test panics here").push(path);
            gate.pass();
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    }));
    (endpoint, paths)
}

/// A request whose answer is not waited for.
fn begin(proxy: &Proxy, path: &str) -> Connection {
    let mut client = Connection::open(proxy.address("web"));
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    client
}

fn status(mut client: Connection) -> u16 {
    client.response().expect("an answer").status
}

fn wait_for_queue(proxy: &Proxy, length: usize) {
    let wanted = length as f64;
    wait_for("the queue to have its length", || {
        (proxy.metric("plimsoll_queue_length{cluster=\"app\"}") == wanted).then_some(())
    });
}

fn waits(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_queue_waits_total{{cluster=\"app\",result=\"{result}\"}}"))
}

#[test]
fn never_more_attempts_than_the_bound_on_all_workers_together() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (now.clone(), most.clone());
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let (now, most) = &counts;
        while read_request(&mut stream).is_some() {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            (0..50).for_each(|_| std::thread::yield_now());
            // Before the answer: the proxy cannot know earlier that the attempt is over.
            now.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    }));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 4
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    max_connections: 3
    queue: {{ timeout: 60s }}
    endpoints: [ \"{}\" ]",
            endpoint.address()
        ),
    );
    let web = proxy.address("web");
    let clients: Vec<_> =
        (0..40).map(|_| std::thread::spawn(move || (0..10).filter(|_| get(web, "/").status == 200).count())).collect();
    let answered: usize = clients.into_iter().map(|client| client.join().expect("a client ends")).sum();
    assert_eq!(answered, 400);
    assert_eq!(most.load(Ordering::SeqCst), 3, "the bound is reached, and never passed");
    assert!(waits(&proxy, "served") > 0.0);
    assert_eq!(waits(&proxy, "timeout"), 0.0);
    wait_for_queue(&proxy, 0);
}

#[test]
fn requests_wait_in_the_order_in_which_they_came() {
    let gate = Gate::default();
    let (endpoint, paths) = held(&gate);
    let proxy = in_front_of(&[&endpoint], "", "max_connections: 1, queue: { timeout: 60s }");
    let mut clients = vec![begin(&proxy, "/0")];
    gate.wait_for_arrivals(1);
    for number in 1..6 {
        clients.push(begin(&proxy, &format!("/{number}")));
        wait_for_queue(&proxy, number);
    }
    gate.open();
    assert!(clients.into_iter().all(|client| status(client) == 200));
    assert_eq!(*paths.lock().expect("no test panics here"), ["/0", "/1", "/2", "/3", "/4", "/5"]);
    assert_eq!(waits(&proxy, "served"), 5.0);
    assert_eq!(endpoint.connections(), 1, "the connection is handed on");
}

#[test]
fn a_full_queue_refuses_with_a_flag_of_its_own() {
    let gate = Gate::default();
    let (endpoint, _) = held(&gate);
    let proxy = in_front_of(&[&endpoint], "", "max_connections: 1, queue: { max_requests: 1, timeout: 60s }");
    let first = begin(&proxy, "/");
    gate.wait_for_arrivals(1);
    let second = begin(&proxy, "/");
    wait_for_queue(&proxy, 1);
    let refused = get(proxy.address("web"), "/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UO\"}"), 1.0);
    assert_eq!(waits(&proxy, "full"), 1.0);
    gate.open();
    assert_eq!([status(first), status(second)], [200, 200]);
    let endpoint = &proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0];
    assert_eq!((&endpoint["failures"], &endpoint["max_connections"]), (&json!(0), &json!(1)));
}

#[test]
fn a_request_waits_no_longer_than_it_may() {
    let gate = Gate::default();
    let (endpoint, _) = held(&gate);
    let proxy = in_front_of(&[&endpoint], "", "max_connections: 1, queue: { timeout: 100ms }");
    let first = begin(&proxy, "/");
    gate.wait_for_arrivals(1);
    assert_eq!(get(proxy.address("web"), "/").status, 503);
    assert_eq!(waits(&proxy, "timeout"), 1.0);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UO\"}"), 1.0);
    gate.open();
    assert_eq!(status(first), 200);
    assert_eq!(get(proxy.address("web"), "/").status, 200, "the place is free again");
}

#[test]
fn without_a_queue_a_full_endpoint_refuses_at_once() {
    let gate = Gate::default();
    let (endpoint, _) = held(&gate);
    let proxy = in_front_of(&[&endpoint], "", "max_connections: 1, queue: { max_requests: 0, timeout: 60s }");
    let first = begin(&proxy, "/");
    gate.wait_for_arrivals(1);
    assert_eq!(get(proxy.address("web"), "/").status, 503);
    gate.open();
    assert_eq!(status(first), 200);
}

#[test]
fn a_client_that_goes_away_leaves_the_queue() {
    let gate = Gate::default();
    let (endpoint, paths) = held(&gate);
    let proxy = in_front_of(&[&endpoint], "", "max_connections: 1, queue: { timeout: 60s }");
    let first = begin(&proxy, "/first");
    gate.wait_for_arrivals(1);
    let impatient = begin(&proxy, "/impatient");
    wait_for_queue(&proxy, 1);
    let last = begin(&proxy, "/last");
    wait_for_queue(&proxy, 2);
    drop(impatient);
    wait_for_queue(&proxy, 1);
    gate.open();
    assert_eq!([status(first), status(last)], [200, 200]);
    assert_eq!(*paths.lock().expect("no test panics here"), ["/first", "/last"]);
}

#[test]
fn what_is_full_is_passed_over_and_nobody_is_blamed() {
    for balancer in ["round-robin", "least-request", "random", "failover", "maglev", "rendezvous", "first", "resource"]
    {
        let gate = Gate::default();
        let (small, _) = held(&gate);
        let large = Endpoint::named("large");
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: {balancer} }}
    hash_on: [ path ]
    endpoints: [ {{ address: \"{}\", max_connections: 1 }}, \"{}\" ]",
                small.address(),
                large.address()
            ),
        );
        let web = proxy.address("web");
        // Until one request has come to the small endpoint, which holds it.
        let requests: Vec<Connection> = (0..64).map(|number| begin(&proxy, &format!("/{number}"))).collect();
        gate.wait_for_arrivals(1);
        for number in 0..20 {
            assert_eq!(get(web, &format!("/{number}")).text(), "large", "{balancer}");
        }
        assert_eq!(waits(&proxy, ""), 0.0, "{balancer}");
        assert_eq!(proxy.metric("plimsoll_plugin_invalid_answers_total"), 0.0, "{balancer}");
        assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0, "{balancer}");
        assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\""), 0.0, "{balancer}");
        gate.open();
        assert!(requests.into_iter().all(|client| status(client) == 200), "{balancer}");
    }
}

#[test]
fn an_endpoint_has_a_bound_of_its_own() {
    let endpoint = Endpoint::named("one");
    let other = Endpoint::named("two");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, max_connections: 7, endpoints: [ {{ address: \"{}\", max_connections: 0 }}, \"{}\" ] }} ]",
            endpoint.address(),
            other.address()
        ),
    );
    let endpoints = &proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"];
    assert_eq!((&endpoints[0]["max_connections"], &endpoints[1]["max_connections"]), (&json!(0), &json!(7)));
}

#[test]
fn a_bound_client_waits_for_its_endpoint_while_others_go_elsewhere() {
    let gate = Gate::default();
    let answer = |name: &'static str, gate: Gate| {
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            while let Some(head) = read_request(&mut stream) {
                if head.starts_with("GET /hold") {
                    gate.pass();
                }
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }))
    };
    let (one, two) = (answer("one", gate.clone()), answer("two", gate.clone()));
    let proxy = in_front_of(
        &[&one, &two],
        "",
        "max_connections: 1, queue: { timeout: 60s }, balancer: { plugin: round-robin }, affinity: { plugin: cookie }",
    );
    let web = proxy.address("web");
    let cookie = wait_for("an answer of one", || {
        let response = get(web, "/");
        (response.text() == "one").then(|| response.header("set-cookie").expect("a cookie").to_owned())
    });
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let send = |path: &str| {
        let mut client = Connection::open(web);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\ncookie: {cookie}\r\n\r\n"));
        client
    };
    let mut holding = send("/hold");
    gate.wait_for_arrivals(1);
    let mut waiting = send("/");
    wait_for_queue(&proxy, 1);
    for _ in 0..5 {
        assert_eq!(get(web, "/").text(), "two");
    }
    wait_for_queue(&proxy, 1);
    gate.open();
    assert_eq!(holding.response().expect("an answer").text(), "one");
    let answer = waiting.response().expect("an answer");
    assert_eq!((answer.text().as_str(), answer.header("set-cookie")), ("one", None));
}

#[test]
fn who_waits_goes_on_when_an_endpoint_comes_back_or_the_last_one_goes() {
    let gate = Gate::default();
    let (full, _) = held(&gate);
    let spare = Endpoint::named("spare");
    let proxy = in_front_of(&[&full, &spare], "", "max_connections: 1, queue: { timeout: 60s }");
    let patch = |endpoint: &Endpoint, enabled: bool| {
        let path = format!("/v1/clusters/app/endpoints/{}", endpoint.address());
        proxy.admin_json("PATCH", &path, Some(json!({ "enabled": enabled }).to_string().as_bytes()));
    };
    patch(&spare, false);
    let first = begin(&proxy, "/");
    gate.wait_for_arrivals(1);
    let mut waiting = begin(&proxy, "/");
    wait_for_queue(&proxy, 1);
    patch(&spare, true);
    assert_eq!(waiting.response().expect("an answer").text(), "spare");

    patch(&spare, false);
    let waiting = begin(&proxy, "/");
    wait_for_queue(&proxy, 1);
    patch(&full, false);
    assert_eq!(status(waiting), 503);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UH\"}"), 1.0);
    gate.open();
    assert_eq!(status(first), 200);
}

#[test]
fn a_failed_attempt_gives_its_place_back() {
    let gone = Endpoint::named("gone");
    gone.close();
    let proxy = in_front_of(&[&gone], "", "max_connections: 1, health: { max_ejected_percent: 0 }");
    for _ in 0..5 {
        assert_eq!(request(proxy.address("web"), "GET", "/", &[], None).status, 502);
    }
}

#[test]
fn tcp_connections_wait_as_well() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut byte = [0];
        while matches!(stream.read(&mut byte), Ok(1)) {
            let _ = stream.write_all(&byte);
        }
    }));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app }} ]
clusters:
  - {{ name: app, max_connections: 1, queue: {{ max_requests: 1, timeout: 60s }}, endpoints: [ \"{}\" ] }}",
            endpoint.address()
        ),
    );
    let mut first = Connection::open(proxy.address("raw"));
    first.send("a");
    assert_eq!(first.read(1), b"a");
    let mut second = Connection::open(proxy.address("raw"));
    second.send("b");
    wait_for_queue(&proxy, 1);
    assert_eq!(endpoint.connections(), 1);
    drop(first);
    assert_eq!(second.read(1), b"b");
    assert_eq!(waits(&proxy, "served"), 1.0);
}

#[test]
fn the_requests_of_a_cluster_are_bounded_over_its_endpoints_and_all_workers() {
    let gate = Gate::default();
    let ((one, _), (other, _)) = (held(&gate), held(&gate));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 3
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    max_requests: 2
    queue: {{ max_requests: 2, timeout: 60s }}
    endpoints: [ \"{}\", \"{}\" ]",
            one.address(),
            other.address()
        ),
    );
    let first = [begin(&proxy, "/"), begin(&proxy, "/")];
    gate.wait_for_arrivals(2);
    let then = [begin(&proxy, "/"), begin(&proxy, "/")];
    wait_for_queue(&proxy, 2);
    let refused: Vec<u16> = (0..6).map(|_| get(proxy.address("web"), "/").status).collect();
    assert_eq!(refused, [503; 6], "the queue is one of all workers, too");
    assert_eq!(proxy.requests_by_endpoint("app").values().sum::<u64>(), 2);
    gate.open();
    assert!(first.into_iter().chain(then).all(|client| status(client) == 200));
    assert_eq!(waits(&proxy, "served"), 2.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_in_flight"), 0.0);
}
