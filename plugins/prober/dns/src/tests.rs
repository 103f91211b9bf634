use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{ProbeAction, ProbeEvent};

use crate::Dns;

/// The question of a probe.
fn asked(bench: &mut ProberBench<Dns>) -> Vec<u8> {
    assert!(bench.open(1).is_empty());
    match &bench.advance(1, ProbeEvent::Connected)[..] {
        [ProbeAction::Send(query), ProbeAction::Wait(_)] => query.clone(),
        other => panic!("{other:?}"),
    }
}

/// An answer to a question, with these flags and records.
fn answer(query: &[u8], flags: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    bytes[7] = records.len() as u8;
    records.iter().for_each(|record| bytes.extend_from_slice(record));
    bytes
}

fn verdict(config: &str, flags: u16, records: &[&[u8]]) -> (bool, String) {
    let mut bench = ProberBench::<Dns>::new(config).expect("a configuration without mistakes");
    let query = asked(&mut bench);
    match &bench.advance(1, ProbeEvent::Received(answer(&query, flags, records)))[..] {
        [ProbeAction::Finish(verdict)] => (verdict.passed, verdict.detail.clone()),
        other => panic!("{other:?}"),
    }
}

const ALIAS: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'b', 0xc0, 14];
const ADDRESS: &[u8] = &[1, b'b', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7];

#[test]
fn the_question_is_what_is_configured() {
    let mut bench = ProberBench::<Dns>::new(r#"{ "name": "a.Test.", "record": "aaaa" }"#).expect("sound");
    let query = asked(&mut bench);
    assert_eq!(query[2..], *b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04Test\x00\x00\x1c\x00\x01");
    let mut bench = ProberBench::<Dns>::new("").expect("sound");
    assert_eq!(asked(&mut bench)[12..], [0, 0, 2, 0, 1]);
}

#[test]
fn the_code_of_the_answer_counts() {
    assert_eq!(verdict("", 0x8180, &[]), (true, "answers with NOERROR".into()));
    assert_eq!(verdict("", 0x8183, &[]), (false, "answers with NXDOMAIN".into()));
    assert!(verdict(r#"{ "rcode": "nxdomain" }"#, 0x8183, &[]).0);
    assert!(verdict(r#"{ "rcode": "any" }"#, 0x8189, &[]).0);
    assert_eq!(verdict("", 0x8189, &[]).1, "answers with 9");
}

#[test]
fn an_address_is_looked_for_among_the_answers() {
    let config = r#"{ "name": "a.test", "record": "a", "answer": "192.0.2.7" }"#;
    assert!(verdict(config, 0x8180, &[ALIAS, ADDRESS]).0);
    let (passed, detail) = verdict(config, 0x8180, &[ALIAS]);
    assert!(!passed && detail.contains("192.0.2.7 is not among"), "{detail}");
    assert!(verdict(config, 0x8380, &[ALIAS]).1.contains("as much as goes into a datagram"));
}

#[test]
fn what_is_no_answer_is_not_looked_at() {
    let mut bench = ProberBench::<Dns>::new("").expect("sound");
    let query = asked(&mut bench);
    let good = answer(&query, 0x8180, &[]);
    let other_id = [&[good[0] ^ 1], &good[1..]].concat();
    let other_question = [&good[..12], &[1, b'x'], &good[12..]].concat();
    for bytes in [query, other_id, other_question, good[..11].to_vec(), good[..good.len() - 1].to_vec(), Vec::new()] {
        assert!(bench.advance(1, ProbeEvent::Received(bytes.clone())).is_empty(), "{bytes:?}");
    }
    assert!(matches!(bench.advance(1, ProbeEvent::Received(good))[..], [ProbeAction::Finish(_)]));
}

/// Cut anywhere, and with any byte bent.
#[test]
fn broken_answers_are_harmless() {
    let mut bench =
        ProberBench::<Dns>::new(r#"{ "name": "a.test", "record": "a", "answer": "192.0.2.8" }"#).expect("sound");
    let query = asked(&mut bench);
    let good = answer(&query, 0x8180, &[ALIAS, ADDRESS, ADDRESS]);
    for at in 0..good.len() {
        bench.advance(1, ProbeEvent::Received(good[..at].to_vec()));
        for byte in [0, 1, 63, 64, 128, 191, 192, 255] {
            let mut bent = good.clone();
            bent[at] = byte;
            bench.advance(1, ProbeEvent::Received(bent));
        }
    }
}

#[test]
fn the_question_goes_out_again_a_few_times() {
    let mut bench = ProberBench::<Dns>::new("").expect("sound");
    let query = asked(&mut bench);
    for _ in 0..2 {
        assert_eq!(bench.advance(1, ProbeEvent::Waited)[0], ProbeAction::Send(query.clone()));
    }
    assert!(bench.advance(1, ProbeEvent::Waited).is_empty());
}

#[test]
fn mistakes_are_told() {
    for config in [
        r#"{ "name": "a..b" }"#,
        r#"{ "answer": "192.0.2.7" }"#,
        r#"{ "record": "aaaa", "answer": "192.0.2.7" }"#,
        r#"{ "record": "a", "answer": "here" }"#,
        r#"{ "record": "x" }"#,
    ] {
        assert!(ProberBench::<Dns>::new(config).is_err(), "{config}");
    }
}
