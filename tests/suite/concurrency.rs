//! How many requests may be under way at a cluster, found by how long its answers take.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use plimsoll_tests::{Clients, Endpoint, Proxy, read_request, wait_for};

use crate::in_front_of;

/// An endpoint that works on so many requests at a time, for so long each. Others wait there.
struct Busy {
    endpoint: Endpoint,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    working: usize,
    there: usize,
    peak: usize,
}

impl Busy {
    fn new(places: usize, takes: Duration) -> Self {
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = state.clone();
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            let (lock, free) = &*shared;
            while read_request(&mut stream).is_some() {
                let mut state = lock.lock().expect("no test panics with it");
                state.there += 1;
                state.peak = state.peak.max(state.there);
                let mut state =
                    free.wait_while(state, |state| state.working >= places).expect("no test panics with it");
                state.working += 1;
                drop(state);
                std::thread::sleep(takes);
                let mut state = lock.lock().expect("no test panics with it");
                (state.working, state.there) = (state.working - 1, state.there - 1);
                drop(state);
                free.notify_one();
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell").is_err() {
                    return;
                }
            }
        }));
        Self { endpoint, state }
    }

    /// The most requests that were there at once since this was last asked.
    fn peak(&self) -> usize {
        let mut state = self.state.0.lock().expect("no test panics with it");
        std::mem::replace(&mut state.peak, 0)
    }
}

fn limit(proxy: &Proxy) -> f64 {
    proxy.metric("plimsoll_cluster_concurrency_limit{cluster=\"app\"}")
}

#[test]
fn no_more_requests_go_to_a_cluster_than_it_works_on_and_a_few() {
    let busy = Busy::new(4, Duration::from_millis(20));
    let proxy = in_front_of(&[&busy.endpoint], "", "adaptive_concurrency: {}, queue: { timeout: 60s }");
    let clients = Clients::begin(proxy.address("web"), 48);
    clients.wait_for(400);
    busy.peak();
    clients.wait_for(400);
    let peak = busy.peak();
    assert!((4..=24).contains(&peak), "{peak} at once");
    assert_eq!(clients.end().failed, [0_u16; 0], "they wait in the proxy");
    let limit = limit(&proxy);
    assert!((3.0..=24.0).contains(&limit), "{limit}");
    assert_eq!(proxy.admin_json("GET", "/v1/clusters/app", None)["concurrency_limit"], limit as u64);
}

#[test]
fn as_many_requests_go_to_a_cluster_as_it_answers_without_a_wait() {
    let busy = Busy::new(1000, Duration::from_millis(100));
    let proxy = in_front_of(&[&busy.endpoint], "", "adaptive_concurrency: {}, queue: { timeout: 60s }");
    let clients = Clients::begin(proxy.address("web"), 48);
    wait_for("the limit to grow", || (limit(&proxy) >= 48.0).then_some(()));
    wait_for("all to be there", || (busy.peak() == 48).then_some(()));
    assert_eq!(clients.end().failed, [0_u16; 0]);
}

#[test]
fn without_it_there_is_no_limit_to_see() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    assert!(!proxy.admin("GET", "/metrics", None).text().contains("plimsoll_cluster_concurrency_limit{"));
}
