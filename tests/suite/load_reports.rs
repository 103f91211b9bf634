//! What endpoints say of their load, and balancers that go by it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, Gate, get, read_request, wait_for};
use serde_json::json;

use crate::in_front_of;

/// An endpoint that answers its name, with a field.
fn reporting(name: &str, field: &str) -> Endpoint {
    Endpoint::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{field}\r\n\r\n{name}", name.len()))
}

#[test]
fn reports_are_kept_from_the_client_and_shown_to_the_operator() {
    let endpoint = reporting("one", "endpoint-load-metrics: TEXT cpu_utilization:0.25,rps_fractional:12.5");
    let proxy = in_front_of(&[&endpoint], "", "load_reports: true");
    let answer = get(proxy.address("web"), "/");
    assert_eq!((answer.text().as_str(), answer.header("endpoint-load-metrics")), ("one", None));
    let report = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["reported_load"].clone();
    let expected = json!({
        "cpu": 250, "memory": 0, "utilization": 0, "requests_per_second": 12_500, "errors_per_second": 0
    });
    assert_eq!(report, expected);
    assert_eq!(proxy.metric("plimsoll_load_reports_total{cluster=\"app\",result=\"taken\"}"), 1.0);
}

#[test]
fn a_report_that_is_none_harms_nobody() {
    let hostile = format!("endpoint-load-metrics-bin: {}", "/".repeat(5000));
    for field in ["endpoint-load-metrics: JSON {\"cpu_utilization\":-1}", "endpoint-load-metrics-json: [[", &hostile] {
        let endpoint = reporting("one", field);
        let proxy = in_front_of(&[&endpoint], "", "load_reports: true, balancer: { plugin: resource }");
        let answer = get(proxy.address("web"), "/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("endpoint-load")), "{:?}", answer.headers);
        assert_eq!(proxy.metric("plimsoll_load_reports_total{cluster=\"app\",result=\"malformed\"}"), 1.0);
        let report = &proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["reported_load"];
        assert_eq!(report, &json!(null));
    }
}

#[test]
fn where_nobody_asked_for_reports_they_pass() {
    let endpoint = reporting("one", "endpoint-load-metrics: TEXT cpu_utilization:0.25");
    let proxy = in_front_of(&[&endpoint], "", "");
    let answer = get(proxy.address("web"), "/");
    assert_eq!(answer.header("endpoint-load-metrics"), Some("TEXT cpu_utilization:0.25"));
    assert_eq!(proxy.metric("plimsoll_load_reports_total{cluster=\"app\""), 0.0);
}

#[test]
fn turns_go_to_those_that_can_take_them() {
    let busy = reporting("busy", "endpoint-load-metrics: TEXT rps_fractional:100,application_utilization:0.9");
    let idle = reporting("idle", "endpoint-load-metrics: JSON {\"rps_fractional\":100,\"applicationUtilization\":0.3}");
    let balancer = "balancer: { plugin: weighted-by-signal, config: \
                    { blackout_period: 0s, weight_update_period: 100ms } }";
    let proxy = in_front_of(&[&busy, &idle], "", &format!("load_reports: true, {balancer}"));
    let web = proxy.address("web");
    let idle_of_40 = || (0..40).filter(|_| get(web, "/").text() == "idle").count();
    wait_for("three quarters", || (29..=31).contains(&idle_of_40()).then_some(()));
    assert!((29..=31).contains(&idle_of_40()));
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn the_less_used_endpoint_is_taken() {
    // 1: 0.9 and 1: 0.1 of the processor.
    let busy = reporting("busy", "endpoint-load-metrics-bin: Cc3MzMzMzOw/");
    let idle = reporting("idle", "endpoint-load-metrics-bin: CZqZmZmZmbk/");
    let proxy = in_front_of(&[&busy, &idle], "", "load_reports: true, balancer: { plugin: resource }");
    let web = proxy.address("web");
    wait_for("both to have reported", || {
        get(web, "/");
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        (0..2).all(|position| !report["endpoints"][position]["reported_load"].is_null()).then_some(())
    });
    // Balancers look at reports when outcomes come, a moment later.
    wait_for("the idle one to be taken", || (0..30).all(|_| get(web, "/").text() == "idle").then_some(()));
}

#[test]
fn endpoints_are_filled_in_order() {
    let gate = Gate::default();
    let endpoints = ["a", "b", "c"].map(|name| {
        let gate = gate.clone();
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            while read_request(&mut stream).is_some() {
                gate.pass();
                if stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{name}").as_bytes()).is_err() {
                    return;
                }
            }
        }))
    });
    let endpoints: Vec<&Endpoint> = endpoints.iter().collect();
    let proxy = in_front_of(&endpoints, "", "max_connections: 2, balancer: { plugin: first }, queue: { timeout: 60s }");
    let mut clients = Vec::new();
    for number in 1..=5 {
        let mut client = Connection::open(proxy.address("web"));
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        gate.wait_for_arrivals(number);
        clients.push(client);
    }
    gate.open();
    let answers: Vec<String> = clients.iter_mut().map(|client| client.response().expect("an answer").text()).collect();
    assert_eq!(answers, ["a", "a", "b", "b", "c"]);
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_report_may_come_behind_the_answer() {
    let endpoint = Endpoint::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, endpoint-load-metrics\r\n\r\n\
         3\r\none\r\n0\r\nx-sum: 7\r\nendpoint-load-metrics: TEXT cpu_utilization:0.5\r\n\r\n",
    );
    let proxy = in_front_of(&[&endpoint], "", "load_reports: true");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n");
    let answer = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(answer.contains("one") && answer.contains("x-sum: 7"), "{answer}");
    assert!(!answer.contains("cpu_utilization"), "{answer}");
    let report = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["reported_load"].clone();
    assert_eq!(report["cpu"], 500);
}

/// Serves HTTP, and tells whoever asks as an agent is asked how it is.
fn with_agent(name: &'static str, line: &'static str) -> Endpoint {
    Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let mut bytes = [0; 4096];
        let Ok(read @ 1..) = stream.read(&mut bytes) else { return };
        let answer = if bytes[..read].starts_with(b"agent") {
            format!("{line}\n")
        } else {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{name}", name.len())
        };
        let _ = stream.write_all(answer.as_bytes());
    }))
}

#[test]
fn turns_go_by_what_agents_say() {
    let (small, large) = (with_agent("small", "up 25%"), with_agent("large", "75% # all is well"));
    let cluster = "balancer: { plugin: round-robin }, \
                   health: { probe: { plugin: agent, interval: 50ms, config: { send: \"agent\\n\" } } }";
    let proxy = in_front_of(&[&small, &large], "", cluster);
    let web = proxy.address("web");
    wait_for("turns of one to three", || {
        let large = (0..40).filter(|_| get(web, "/").text() == "large").count();
        (29..=31).contains(&large).then_some(())
    });
}

#[test]
fn an_agent_at_a_port_of_its_own_takes_the_endpoint_out() {
    let (app, agent) = (
        Endpoint::named("app"),
        Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
            let _ = stream.write_all(b"stopped # until noon\n");
        })),
    );
    let probe = format!("{{ plugin: agent, port: {}, interval: 50ms }}", agent.address().port());
    let proxy = in_front_of(&[&app], "", &format!("health: {{ probe: {probe} }}"));
    wait_for("the endpoint to be out", || {
        let endpoint = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0].clone();
        // The probes by themselves say so before it counts.
        endpoint["reason"].to_string().contains("the agent says that it is down").then_some(())
    });
    assert_eq!(get(proxy.address("web"), "/").status, 503);
    assert!(app.requests().is_empty());
}
