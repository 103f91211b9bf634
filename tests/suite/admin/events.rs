//! What the API tells as it happens.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use plimsoll_tests::{Endpoint, Proxy};
use serde_json::{Value, json};

use crate::PLIMSOLL;

/// A listener to the events of a proxy.
pub(super) struct Events(BufReader<TcpStream>);

impl Events {
    pub(super) fn of(proxy: &Proxy) -> Self {
        let mut stream = TcpStream::connect(proxy.admin_address()).expect("the API listens");
        stream.set_read_timeout(Some(plimsoll_tests::PATIENCE)).expect("a socket");
        write!(stream, "GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it reads");
        let mut events = Self(BufReader::new(stream));
        let mut kind = String::new();
        loop {
            let line = events.line();
            if let Some(value) = line.strip_prefix("content-type: ") {
                kind = value.to_owned();
            }
            if line.is_empty() {
                assert_eq!(kind, "text/event-stream");
                return events;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("something comes in time");
        line.trim_end().to_owned()
    }

    /// The next event of a kind: what is said of it.
    pub(super) fn next(&mut self, kind: &str) -> Value {
        let wanted = format!("event: {kind}");
        while self.line() != wanted {}
        let line = self.line();
        let data = line.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {line}"));
        serde_json::from_str(data).expect("JSON")
    }
}

#[test]
fn what_changes_about_endpoints_is_told_as_it_happens() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health:
      panic_percent: 60
      evaluator: {{ plugin: thresholds, config: {{ fall: 2 }} }}
      probe: {{ plugin: tcp, interval: 20ms }}
    endpoints: [ {{ id: a, address: \"{}\" }}, {{ id: b, address: \"{}\" }} ]",
            one.address(),
            two.address()
        ),
    );
    let mut events = Events::of(&proxy);
    let mut another = Events::of(&proxy);
    proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/a", Some(br#"{"weight":7}"#));
    for listener in [&mut events, &mut another] {
        let changed = listener.next("administration");
        assert_eq!((&changed["endpoint"], &changed["weight"]), (&json!("a"), &json!(7)), "{changed}");
        assert_eq!(
            (&changed["event"], &changed["availability"]),
            (&json!("administration"), &json!("ready")),
            "{changed}"
        );
    }
    // Who goes holds nobody up.
    drop(another);
    two.close();
    let out = events.next("health");
    assert_eq!(
        (&out["endpoint"], &out["health"], &out["evidence"]),
        (&json!("b"), &json!("unhealthy"), &json!("probe"))
    );
    assert_eq!(out["availability"], "ready", "one of two is less than 60 %: {out}");
    assert!(out["reason"].as_str().is_some_and(|reason| reason.contains("2 probes in a row failed")), "{out}");
    let panic = events.next("panic");
    assert_eq!((&panic["cluster"], &panic["panic"]), (&json!("app"), &json!(true)), "{panic}");
}
