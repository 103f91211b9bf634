use super::policy::{ProbeEvent, ProbeRequest, Prober, Transport, prober};
use super::talk::{self, Session, garbage, garbled, play, target};
use crate::Profile;
use crate::field::{can_be_sent, is_token};
use crate::foreign::foreign_states;
use crate::memory::PAGE;
use crate::request::shown;
use crate::trial::{Checked, Property, Stop, Trial, Use, pair};

const ALL: &[Profile] = &[Profile::Prober];

/// What holds for every prober, whatever it speaks.
pub(super) const PROPERTIES: &[Property] = &[
    Property::quick("P3", ALL, "whatever a peer says, the prober survives it", survives_garbage),
    Property::quick(
        "P4",
        ALL,
        "a probe sends at most 64 KiB and asks at most 32 times over HTTP, whatever the peer does",
        sends_a_bounded_amount,
    ),
    Property::thorough(
        "P4b",
        &[Profile::ServerFirst],
        "nothing is sent before the peer has spoken",
        waits_for_the_greeting,
    ),
    Property::quick("P9", ALL, "probes that run at the same time know nothing of each other", sessions_are_apart),
    Property::quick(
        "P10",
        ALL,
        "a probe has a verdict when the peer is gone or has answered the last question, and nothing comes after it",
        ends_once,
    ),
    Property::quick(
        "P13",
        ALL,
        "it asks for what its transport has: bytes over TCP, requests that can be sent over HTTP",
        asks_for_what_can_be_done,
    ),
    Property::thorough("P14", ALL, "memory does not grow with the number of probes, finished or not", memory_stays),
    Property::quick(
        "P15",
        ALL,
        "the same talk has the same verdict: again, at another time, for another endpoint",
        is_repeatable,
    ),
    Property::quick("P16", ALL, "two policies of one instance know nothing of each other", policies_are_apart),
    Property::quick(
        "P17",
        ALL,
        "a policy that is created again, or is given foreign state, gives the verdicts of one that is new",
        begins_anew,
    ),
];

/// What a proxy takes before it ends a probe.
const MOST_EVENTS: usize = 256;

fn talks(trial: &mut Trial<'_>) -> Result<Vec<Vec<ProbeEvent>>, Stop> {
    let config = Use::config(trial.uses, "prober").to_owned();
    Ok(talk::talks(&mut *prober(trial)?, &config, &mut trial.random)?)
}

fn random_event(random: &mut fastrand::Rng, transport: Transport, most: usize) -> ProbeEvent {
    match transport {
        Transport::Http => ProbeEvent::Answered(garbled(random)),
        Transport::Tcp | Transport::Udp => ProbeEvent::Received(garbage(random, most)),
    }
}

fn survives_garbage(trial: &mut Trial<'_>) -> Checked {
    let transport = prober(trial)?.transport();
    let sessions = (trial.steps / 50).clamp(20, 500);
    trial.measure("probes", f64::from(sessions));
    for _ in 0..sessions {
        // Now and then as much as is read at once.
        let most = if trial.random.u8(..10) == 0 { 16_384 } else { 200 };
        let mut events: Vec<ProbeEvent> =
            (0..trial.random.usize(1..20)).map(|_| random_event(&mut trial.random, transport, most)).collect();
        if transport == Transport::Tcp {
            events.push(ProbeEvent::Closed);
        }
        trial.try_list(events, |trial, events| play(&mut *prober(trial)?, 1, events).map(drop))?;
    }
    Ok(())
}

const MOST_SENT: usize = 64 << 10;
const MOST_EXCHANGES: usize = 32;
const MOST_ACTIONS: usize = 1024;

fn sends_a_bounded_amount(trial: &mut Trial<'_>) -> Checked {
    let mut largest = 0;
    let transport = prober(trial)?.transport();
    for talk in talks(trial)? {
        // The same again and again, and all that the prober sent back to it.
        let mut said: Vec<ProbeEvent> = talk.into_iter().filter(|event| *event != ProbeEvent::Closed).collect();
        said.push(random_event(&mut trial.random, transport, 200));
        let events: Vec<ProbeEvent> = said.iter().cycle().take(MOST_EVENTS).cloned().collect();
        largest = largest.max(play(&mut *prober(trial)?, 1, &events)?.sent.len());
        trial.try_list(events, |trial, events| {
            let session = play(&mut *prober(trial)?, 1, events)?;
            if session.sent.len() > MOST_SENT {
                return Err(format!("it sent {} bytes", session.sent.len()));
            }
            if session.exchanges.len() > MOST_EXCHANGES {
                return Err(format!("it asked {} times", session.exchanges.len()));
            }
            if session.actions > MOST_ACTIONS {
                return Err(format!("it asked for {} actions", session.actions));
            }
            Ok(())
        })?;
    }
    trial.measure("largest sent", largest as f64);
    Ok(())
}

fn waits_for_the_greeting(trial: &mut Trial<'_>) -> Checked {
    let probes = (trial.steps / 20).clamp(50, 1000);
    let numbers: Vec<u32> =
        (0..probes).map(|number| if number % 3 == 0 { trial.random.u32(..) } else { number }).collect();
    trial.measure("probes", f64::from(probes));
    trial.try_list(numbers, |trial, numbers| {
        let mut prober = prober(trial)?;
        for (nth, number) in numbers.iter().enumerate() {
            prober.set_now_ms(nth as u64 * 1000);
            let mut session = Session::begin(&mut *prober, *number, &target(nth as u32))?;
            if nth % 2 == 0 {
                session.tell(&mut *prober, &ProbeEvent::Closed)?;
            }
            prober.close(*number)?;
            if !session.sent.is_empty() {
                return Err(format!("probe {nth}: {} was sent first", shown(&session.sent)));
            }
        }
        Ok(())
    })
}

/// What a probe came to, without its words: they may tell when or whom.
fn came_to(session: &Session) -> (Option<bool>, &[u8], &[ProbeRequest]) {
    (session.passed(), &session.sent, &session.exchanges)
}

const AT_A_TIME: usize = 6;

/// The same talk in smaller pieces, so that others come in between.
fn in_halves(talk: &[ProbeEvent]) -> Vec<ProbeEvent> {
    let halves = |event: &ProbeEvent| match event {
        ProbeEvent::Received(bytes) if bytes.len() > 1 => {
            let (one, other) = bytes.split_at(bytes.len() / 2);
            vec![ProbeEvent::Received(one.to_vec()), ProbeEvent::Received(other.to_vec())]
        }
        other => vec![other.clone()],
    };
    talk.iter().flat_map(halves).take(8).collect()
}

fn sessions_are_apart(trial: &mut Trial<'_>) -> Checked {
    let talks: Vec<Vec<ProbeEvent>> = talks(trial)?.iter().map(|talk| in_halves(talk)).collect();
    for round in 0..(trial.steps / 500).clamp(4, 40) as usize {
        let together: Vec<&Vec<ProbeEvent>> =
            (0..AT_A_TIME).map(|at| &talks[(round + at * (1 + round % 5)) % talks.len()]).collect();
        let count: usize = together.iter().map(|talk| talk.len() + 1).sum();
        // Whose turn it is.
        let turns: Vec<usize> = (0..count).map(|_| trial.random.usize(..AT_A_TIME)).collect();
        trial.try_list(turns, |trial, turns| {
            let mut prober = prober(trial)?;
            let mut told = [0; AT_A_TIME];
            let mut sessions: Vec<Option<Session>> = (0..AT_A_TIME).map(|_| None).collect();
            for at in turns {
                match &mut sessions[*at] {
                    none @ None => *none = Some(Session::begin(&mut *prober, *at as u32, &target(*at as u32))?),
                    Some(session) => {
                        if let Some(event) = together[*at].get(told[*at]) {
                            session.tell(&mut *prober, event)?;
                            told[*at] += 1;
                        }
                    }
                }
            }
            for (at, session) in sessions.iter().enumerate() {
                let Some(session) = session else { continue };
                let mut fresh = self::prober(trial)?;
                let alone = play(&mut *fresh, at as u32, &together[at][..told[at]])?;
                if came_to(session) != came_to(&alone) {
                    let events = &together[at][..told[at]];
                    return Err(format!(
                        "{events:?}: {:?} among others, {:?} alone",
                        came_to(session),
                        came_to(&alone)
                    ));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn ends_once(trial: &mut Trial<'_>) -> Checked {
    let talks = talks(trial)?;
    trial.measure("talks", talks.len() as f64);
    for talk in talks {
        trial.try_list(talk, |trial, events| {
            let mut prober = prober(trial)?;
            let is_over_http = prober.transport() == Transport::Http;
            let mut session = Session::begin(&mut *prober, 1, &target(1))?;
            for event in events {
                if is_over_http && session.verdict.is_none() && session.is_silent {
                    return Err("it asked for nothing more, and gave no verdict".to_owned());
                }
                session.tell(&mut *prober, event)?;
            }
            if let Some(action) = session.after.first() {
                return Err(format!("after its verdict {:?} it wants {action:?}", session.verdict));
            }
            if events.last() == Some(&ProbeEvent::Closed) && session.verdict.is_none() {
                return Err("the peer is gone, and there is no verdict".to_owned());
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn asks_for_what_can_be_done(trial: &mut Trial<'_>) -> Checked {
    for talk in talks(trial)? {
        trial.try_list(talk, |trial, events| {
            let mut prober = prober(trial)?;
            let session = play(&mut *prober, 1, events)?;
            match prober.transport() {
                Transport::Tcp | Transport::Udp if !session.exchanges.is_empty() => {
                    Err("a request over TCP or UDP".to_owned())
                }
                Transport::Http if !session.sent.is_empty() => Err("bytes over HTTP".to_owned()),
                _ => session.exchanges.iter().find_map(mistake).map_or(Ok(()), Err),
            }
        })?;
    }
    Ok(())
}

/// What is wrong with a request.
fn mistake(request: &ProbeRequest) -> Option<String> {
    let is_path = request.path.starts_with('/') || (request.path == "*" && request.method == "OPTIONS");
    if !is_token(&request.method) || request.method == "CONNECT" {
        return Some(format!("the method {:?}", request.method));
    }
    if !is_path || !request.path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(format!("the path {:?}", request.path));
    }
    let bad = request.headers.iter().find(|(name, value)| !is_token(name) || !can_be_sent(value));
    bad.map(|(name, value)| format!("header {name:?} with the value {}", shown(value)))
}

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    let mut prober = prober(trial)?;
    let talks = talks(trial)?;
    let probes = (trial.steps / 10).max(500);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        for probe in 0..probes {
            let talk = &talks[trial.random.usize(..talks.len())];
            // Many end in the middle, when their time is over.
            let told = trial.random.usize(..=talk.len().min(4));
            play(&mut *prober, probe, &talk[..told])?;
        }
        let Some(size) = prober.memory_bytes() else {
            return Err(Stop::Skipped("the size of its memory is not known".into()));
        };
        sizes.push(size);
    }
    if sizes.windows(2).all(|pair| pair[1] > pair[0] + PAGE) {
        return Err(format!("it grew with each {probes} probes: {sizes:?} bytes").into());
    }
    trial.measure("probes", f64::from(5 * probes));
    trial.measure("bytes", sizes[4] as f64);
    Ok(())
}

fn is_repeatable(trial: &mut Trial<'_>) -> Checked {
    let mut busy = prober(trial)?;
    for talk in talks(trial)? {
        let mut fresh = prober(trial)?;
        let first = play(&mut *fresh, 1, &talk)?.passed();
        busy.set_now_ms(busy_ms(&mut trial.random));
        for (number, what) in [(1, "for the same endpoint"), (trial.random.u32(2..), "for another endpoint")] {
            let later = play(&mut *busy, number, &talk)?.passed();
            if later != first {
                return Err(Stop::Broken {
                    how: format!("passed: {first:?} first, {later:?} later {what}"),
                    smallest: Some(format!("{talk:?}")),
                });
            }
        }
    }
    Ok(())
}

fn busy_ms(random: &mut fastrand::Rng) -> u64 {
    [0, 1, 5000, 86_400_000, 1 << 40][random.usize(..5)]
}

fn policies_are_apart(trial: &mut Trial<'_>) -> Checked {
    let talks = talks(trial)?;
    let config = Use::config(trial.uses, "prober").to_owned();
    for (at, talk) in talks.iter().enumerate() {
        let (mut one, mut other) = pair(trial.subject.probers(&config, 0, 2))?;
        let alone = play(&mut *prober(trial)?, 7, talk)?;
        let mut session = Session::begin(&mut *one, 7, &target(7))?;
        // Sessions of the same number, for something else.
        let mut neighbour = Session::begin(&mut *other, 7, &target(7))?;
        let between = &talks[(at + 1) % talks.len()];
        for (nth, event) in talk.iter().enumerate() {
            if let Some(event) = between.get(nth) {
                neighbour.tell(&mut *other, event)?;
            }
            session.tell(&mut *one, event)?;
        }
        other.close(7)?;
        if came_to(&session) != came_to(&alone) {
            return Err(Stop::Broken {
                how: format!("{:?} beside another policy, {:?} without", came_to(&session), came_to(&alone)),
                smallest: Some(format!("{talk:?}, in between {between:?}")),
            });
        }
    }
    Ok(())
}

fn begins_anew(trial: &mut Trial<'_>) -> Checked {
    let talks = talks(trial)?;
    let expected: Vec<Option<bool>> =
        talks.iter().map(|talk| Ok(play(&mut *prober(trial)?, 1, talk)?.passed())).collect::<Result<_, String>>()?;
    let mut used = prober(trial)?;
    let open = Session::begin(&mut *used, 3, &target(3))?;
    let own = used.save().map_err(|fault| format!("saving: {fault}"))?;
    let verdicts = |prober: &mut dyn Prober| -> Result<Vec<Option<bool>>, String> {
        talks.iter().map(|talk| Ok(play(prober, open.number, talk)?.passed())).collect()
    };
    used.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
    if verdicts(&mut *used)? != expected {
        return Err("other verdicts than those of a new policy, when created again".to_owned().into());
    }
    for state in foreign_states(&mut trial.random, &own) {
        trial.try_list(state, |trial, state| {
            let mut restored = prober(trial)?;
            restored.restore(state).map_err(|fault| format!("restoring: {fault}"))?;
            if verdicts(&mut *restored)? == expected {
                return Ok(());
            }
            Err("other verdicts than those of a new policy, with foreign state".to_owned())
        })?;
    }
    Ok(())
}
