use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{EndpointMode, ProbeAction, ProbeEvent, ProbeLoad};
use proptest::prelude::*;

use crate::Agent;

/// What is reported and whether the probe passes, for what an agent says.
fn said(line: &str) -> (Option<ProbeLoad>, Option<bool>) {
    let mut bench = ProberBench::<Agent>::new("").unwrap();
    let mut actions = bench.open(1);
    actions.extend(bench.advance(1, ProbeEvent::Connected));
    actions.extend(bench.advance(1, ProbeEvent::Received(line.as_bytes().to_vec())));
    if !line.contains('\n') {
        actions.extend(bench.advance(1, ProbeEvent::Closed));
    }
    let report = actions.iter().find_map(|action| match action {
        ProbeAction::Report(load) => Some(load.clone()),
        _ => None,
    });
    let verdict = actions.iter().find_map(|action| match action {
        ProbeAction::Finish(verdict) => Some(verdict.passed),
        _ => None,
    });
    (report, verdict)
}

const NOTHING: ProbeLoad =
    ProbeLoad { cpu: 0, memory: 0, utilization: 0, requests_per_second: 0, errors_per_second: 0, named: Vec::new() };

#[test]
fn the_words_of_haproxys_agents_mean_what_they_mean_there() {
    for (line, up) in [
        ("up\n", true),
        ("ready\r\n", true),
        ("UP\n", true),
        ("up", false),
        ("75%\n", true),
        ("up,100%\n", true),
        ("down # disk full\n", false),
        ("maint\n", true),
        ("drain 50%\n", true),
        ("drain stopped\n", false),
        ("ready down\n", false),
        ("stopped\n", false),
        ("failed\n", false),
        ("", false),
        ("hello\n", false),
        ("# up\n", false),
    ] {
        assert_eq!(said(line).1, Some(up), "{line:?}");
    }
}

#[test]
fn how_to_be_treated_is_said_until_ready() {
    for (line, mode) in [
        ("ready\n", Some(EndpointMode::Ready)),
        ("drain\n", Some(EndpointMode::Draining)),
        ("MAINT # disks are changed\n", Some(EndpointMode::Disabled)),
        ("ready drain\n", Some(EndpointMode::Draining)),
        ("up\n", None),
        ("down\n", None),
        ("75%\n", None),
    ] {
        let mut bench = ProberBench::<Agent>::new("").unwrap();
        bench.open(1);
        let actions = bench.advance(1, ProbeEvent::Received(line.as_bytes().to_vec()));
        let entered = actions.iter().find_map(|action| match action {
            ProbeAction::Enter(mode) => Some(*mode),
            _ => None,
        });
        assert_eq!(entered, mode, "{line:?}");
    }
}

#[test]
fn a_share_of_the_weight_a_bound_and_a_load_are_told() {
    let load = ProbeLoad { cpu: 420, memory: 1000, requests_per_second: 120_500, errors_per_second: 7, ..NOTHING };
    let line = "ready cpu_utilization:0.42,mem_utilization:1 rps_fractional:120.5 eps:0.0079 disk:3\n";
    assert_eq!(said(line), (Some(load), Some(true)));
    for line in ["x%\n", "-5%\n", "99999999999%\n", "cpu_utilization:\n", "cpu_utilization:1e9\n", "maxconn:-1\n"] {
        assert_eq!(said(line), (None, Some(false)), "{line:?}");
    }
    for (line, wanted) in [
        ("75%\n", (Some(750), None)),
        ("up 12.5% maxconn:30\n", (Some(125), Some(30))),
        ("0%\n", (Some(0), None)),
        ("150%\n", (Some(1000), None)),
        ("maxconn:0\n", (None, Some(0))),
        ("ready\n", (None, None)),
    ] {
        let mut bench = ProberBench::<Agent>::new("").unwrap();
        bench.open(1);
        let actions = bench.advance(1, ProbeEvent::Received(line.as_bytes().to_vec()));
        let weight = actions.iter().find_map(|action| match action {
            ProbeAction::Weigh(share) => Some(*share),
            _ => None,
        });
        let most = actions.iter().find_map(|action| match action {
            ProbeAction::Admit(most) => Some(*most),
            _ => None,
        });
        assert_eq!((weight, most), wanted, "{line:?}");
        assert!(matches!(actions.last(), Some(ProbeAction::Finish(verdict)) if verdict.passed), "{line:?}");
    }
}

#[test]
fn reasons_are_told() {
    let mut bench = ProberBench::<Agent>::new("").unwrap();
    bench.open(1);
    let actions = bench.advance(1, ProbeEvent::Received(b"down #  disk full \n".to_vec()));
    let [ProbeAction::Finish(verdict)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((verdict.passed, &*verdict.detail), (false, "the agent says that it is down: disk full"));
}

#[test]
fn what_is_configured_is_sent() {
    let mut bench = ProberBench::<Agent>::new(r#"{"send":"web\n"}"#).unwrap();
    bench.open(1);
    let actions = bench.advance(1, ProbeEvent::Connected);
    assert!(matches!(&actions[..], [ProbeAction::Send(bytes)] if bytes == b"web\n"), "{actions:?}");
}

proptest! {
    #[test]
    fn any_pieces_of_any_bytes_are_answered(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..12)) {
        let mut bench = ProberBench::<Agent>::new("").unwrap();
        bench.open(1);
        for piece in pieces {
            bench.advance(1, ProbeEvent::Received(piece));
        }
        bench.advance(1, ProbeEvent::Closed);
    }
}
