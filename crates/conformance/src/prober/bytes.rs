use super::policy::{ProbeEvent, Prober, Transport, prober};
use super::talk::{Session, garbage, passing, play, sayings, target};
use crate::request::shown;
use crate::trial::{Checked, Property, Stop, Trial, Use};
use crate::{Profile, request};

const ALL: &[Profile] = &[Profile::Prober];

/// What holds for those that are handed bytes. Over HTTP the proxy reads answers, and hands them over whole.
pub(super) const PROPERTIES: &[Property] = &[
    Property::quick(
        "P1",
        ALL,
        "it makes no difference to the verdict, nor to what is sent, in which pieces the peer's bytes come",
        does_not_mind_pieces,
    ),
    Property::quick(
        "P2",
        ALL,
        "a peer that goes away before it has said all that passes is not passed",
        does_not_pass_half_an_answer,
    ),
    Property::thorough(
        "P6",
        ALL,
        "lengths that a peer announces, and lines that do not end, cost no memory before they are there",
        does_not_reserve_what_is_announced,
    ),
];

/// A prober of bytes; a reason to skip for one of HTTP.
fn of_bytes(trial: &Trial<'_>) -> Result<Box<dyn Prober>, Stop> {
    let prober = prober(trial)?;
    match prober.transport() {
        Transport::Tcp => Ok(prober),
        Transport::Udp => Err(Stop::Skipped("datagrams come whole".into())),
        Transport::Http => Err(Stop::Skipped("the proxy reads HTTP for it".into())),
    }
}

/// The bytes of a talk, turn by turn.
fn turns(talk: &[ProbeEvent]) -> Vec<Vec<u8>> {
    let bytes = talk.iter().filter_map(|event| match event {
        ProbeEvent::Received(bytes) => Some(bytes.clone()),
        _ => None,
    });
    bytes.collect()
}

/// The next pieces of bytes: all in one, each by itself, or as chance has it.
fn cut(bytes: &[u8], way: u64) -> Vec<ProbeEvent> {
    let mut random = fastrand::Rng::with_seed(way);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let length = match way {
            0 => rest.len(),
            1 => 1,
            _ => random.usize(1..=rest.len().min(7)),
        };
        let (piece, tail) = rest.split_at(length);
        pieces.push(ProbeEvent::Received(piece.to_vec()));
        rest = tail;
    }
    pieces
}

const WAYS: u64 = 5;

fn does_not_mind_pieces(trial: &mut Trial<'_>) -> Checked {
    let mut searching = of_bytes(trial)?;
    let config = Use::config(trial.uses, "prober").to_owned();
    // What is said before, and what is said in pieces.
    let mut talks: Vec<(Vec<ProbeEvent>, Vec<u8>)> =
        sayings(&config).into_iter().map(|saying| (Vec::new(), saying)).collect();
    if let Some(talk) = passing(&mut *searching, &config)? {
        let turns = turns(&talk);
        talks.extend((0..turns.len()).map(|at| (talk[..at].to_vec(), turns[at].clone())));
        // And more than was asked for.
        talks.push((Vec::new(), turns.concat()));
        talks.push((Vec::new(), [turns.concat(), garbage(&mut trial.random, 100)].concat()));
    }
    talks.extend((0..trial.steps / 200).map(|_| (Vec::new(), garbage(&mut trial.random, 200))));
    trial.measure("talks", talks.len() as f64);
    for (before, bytes) in talks {
        trial.try_list(bytes, |trial, bytes| {
            let mut prober = prober(trial)?;
            let mut talked = |way| -> Result<(Option<bool>, Vec<u8>), String> {
                let events = [&before[..], &cut(bytes, way), &[ProbeEvent::Closed]].concat();
                let session = play(&mut *prober, 1, &events)?;
                Ok((session.passed(), session.sent))
            };
            let whole = talked(0)?;
            for way in 1..WAYS {
                let in_pieces = talked(way)?;
                if in_pieces != whole {
                    let told = |(passed, sent): &(Option<bool>, Vec<u8>)| {
                        let verdict = passed.map_or("no verdict", |passed| if passed { "passed" } else { "failed" });
                        format!("{verdict} after sending {}", shown(sent))
                    };
                    let how = if way == 1 { "byte by byte" } else { "in pieces" };
                    return Err(format!("{}: {} in one, {} {how}", shown(bytes), told(&whole), told(&in_pieces)));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn does_not_pass_half_an_answer(trial: &mut Trial<'_>) -> Checked {
    let mut prober = of_bytes(trial)?;
    let config = Use::config(trial.uses, "prober").to_owned();
    let Some(talk) = passing(&mut *prober, &config)? else {
        return Err(Stop::Skipped(
            "nothing was found that it passes: give it a configuration with what it expects".into(),
        ));
    };
    let turns = turns(&talk);
    // Byte by byte until it passes.
    let mut session = Session::begin(&mut *prober, 1, &target(1))?;
    let mut needed = 0;
    for byte in turns.iter().flatten() {
        if session.verdict.is_none() {
            needed += 1;
            session.tell(&mut *prober, &ProbeEvent::Received(vec![*byte]))?;
        }
    }
    prober.close(1)?;
    if needed == 0 {
        return Err(Stop::Skipped("a connection is enough for it".into()));
    }
    trial.measure("bytes", f64::from(needed));
    for length in 0..needed as usize {
        let mut events = Vec::new();
        let mut left = length;
        for turn in &turns {
            let said = &turn[..turn.len().min(left)];
            left -= said.len();
            if !said.is_empty() {
                events.push(ProbeEvent::Received(said.to_vec()));
            }
        }
        events.push(ProbeEvent::Closed);
        let session = play(&mut *prober, 1, &events)?;
        if session.passed() == Some(true) {
            return Err(Stop::Broken {
                how: format!("passed after {length} of {needed} bytes and the end of the connection"),
                smallest: Some(format!("{events:?}")),
            });
        }
    }
    Ok(())
}

/// What announces far more than a probe may move.
const ANNOUNCEMENTS: [&[u8]; 9] = [
    b"",
    b"$536870912\r\n",
    b"*1073741824\r\n",
    b"\xff\xff\xff\x00",
    b"\x30\x84\xff\xff\xff\xff",
    b"R\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"HTTP/1.1 200 OK\r\ncontent-length: 4294967295\r\n\r\n",
    b"VALUE a 0 2147483647\r\n",
];

/// A probe may move 1 MiB; a buffer that doubles takes some times that.
const MOST_GROWTH: u64 = 6 << 20;
const MOVED: usize = 1 << 20;
const READ: usize = 16 << 10;

fn does_not_reserve_what_is_announced(trial: &mut Trial<'_>) -> Checked {
    let mut largest = 0;
    for filler in [b'0', 0, 0xff] {
        for announcement in ANNOUNCEMENTS {
            let mut prober = of_bytes(trial)?;
            let Some(before) = prober.memory_bytes() else {
                return Err(Stop::Skipped("the size of its memory is not known".into()));
            };
            let mut events = vec![ProbeEvent::Received(announcement.to_vec())];
            events.extend(vec![ProbeEvent::Received(vec![filler; READ]); MOVED / READ - 1]);
            events.retain(|event| *event != ProbeEvent::Received(Vec::new()));
            let grown = play(&mut *prober, 1, &events)
                .map(|_| prober.memory_bytes().unwrap_or(0).saturating_sub(before))
                .map_err(|fault| format!("after {}: {fault}", request::shown(announcement)))?;
            largest = largest.max(grown);
            if grown > MOST_GROWTH {
                return Err(Stop::Broken {
                    how: format!("memory grew by {grown} bytes"),
                    smallest: Some(format!("received {}, then a MiB of {filler}", request::shown(announcement))),
                });
            }
        }
    }
    trial.measure("largest growth", largest as f64);
    Ok(())
}
