//! Discoveries: what every one must keep, in talks in which the suite is the clock and whoever is called.

use std::collections::VecDeque;

use crate::foreign::foreign_states;
use crate::memory::PAGE;
use crate::profile::Shown;
use crate::trial::{Checked, Property, Stop, Trial, Use, only, pair};
use crate::{Policy, Profile};

/// A discovery under test.
pub trait Discovery: Policy {
    /// How far apart its ticks are; none where there is only the first.
    fn tick_ms(&self) -> Option<u64>;

    fn tick(&mut self, now_ms: u64) -> Result<Vec<DiscoveryAction>, String>;

    /// What came of a call.
    fn answered(&mut self, now_ms: u64, number: u32, reply: &Reply) -> Result<Vec<DiscoveryAction>, String>;
}

/// What it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryAction {
    Call {
        number: u32,
        timeout_ms: u64,
        /// Method and path.
        asks: String,
    },
    /// Ids and addresses.
    Publish(Vec<(String, String)>),
    Fail(String),
    /// It cannot be done, for this reason.
    Invalid(String),
}

/// What comes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answer { status: u16, body: Vec<u8> },
    Unavailable,
    Timeout,
    Broken,
    TooLarge,
}

const ALL: &[Profile] = &[Profile::Discovery];

const PROPERTIES: &[Property] = &[
    Property::quick(
        "D1",
        ALL,
        "what it wants can be done: calls and endpoints are within their bounds, none has the number or id of another",
        wants_what_can_be_done,
    ),
    Property::quick("D2", ALL, "answers of any bytes and any status are survived", survives_garbage),
    Property::quick("D3", ALL, "endpoints stay when a call fails or is refused", keeps_what_it_has),
    Property::quick("D4", ALL, "after calls that failed it asks again", asks_again),
    Property::quick("D5", ALL, "the same answers lead to the same endpoints, in every instance", is_repeatable),
    Property::quick("D6", ALL, "two policies of one instance know nothing of each other", policies_are_apart),
    Property::quick("D7", ALL, "foreign state is refused or ignored", survives_foreign_state),
    Property::thorough("D8", ALL, "memory does not grow with the number of calls", memory_stays),
    Property::thorough("D9", ALL, "a policy that is created again asks as one that is new", can_be_created_again),
];

pub(crate) fn properties() -> [&'static [Property]; 1] {
    [PROPERTIES]
}

/// Whether a discovery is of a profile, and by what that shows.
pub(crate) fn shows(profile: Profile) -> Shown {
    (profile.is_of_all(), "not of this role".to_owned())
}

/// Calls that may be under way at a time.
const MOST_CALLS: usize = 8;

fn discovery(trial: &Trial<'_>, worker: u32) -> Result<Box<dyn Discovery>, String> {
    only(trial.subject.discoveries(Use::config(trial.uses, "discovery"), worker, 1))
}

/// What the suite does next.
#[derive(Clone, Debug)]
enum Step {
    Tick,
    /// To the call that is under way for longest.
    Reply(Reply),
}

/// A discovery, with what is under way for it.
struct Talk {
    discovery: Box<dyn Discovery>,
    now_ms: u64,
    /// Number of each call, and when its time is over.
    calls: VecDeque<(u32, u64)>,
    mistake: Option<String>,
}

impl Talk {
    fn with(discovery: Box<dyn Discovery>) -> Self {
        Self { discovery, now_ms: 1000, calls: VecDeque::new(), mistake: None }
    }

    fn take(&mut self, step: &Step) -> Result<Vec<DiscoveryAction>, String> {
        match step {
            Step::Tick => {
                self.now_ms += self.discovery.tick_ms().unwrap_or(1000);
                let mut actions = Vec::new();
                while let Some((number, _)) = self.calls.pop_front_if(|(_, ends_ms)| *ends_ms <= self.now_ms) {
                    actions.extend(self.answer(number, &Reply::Timeout)?);
                }
                self.discovery.set_now_ms(self.now_ms);
                let wanted = self.discovery.tick(self.now_ms)?;
                self.note(&wanted);
                actions.extend(wanted);
                Ok(actions)
            }
            Step::Reply(reply) => match self.calls.pop_front() {
                Some((number, _)) => self.answer(number, reply),
                None => Ok(Vec::new()),
            },
        }
    }

    fn answer(&mut self, number: u32, reply: &Reply) -> Result<Vec<DiscoveryAction>, String> {
        self.discovery.set_now_ms(self.now_ms);
        let wanted = self.discovery.answered(self.now_ms, number, reply)?;
        self.note(&wanted);
        Ok(wanted)
    }

    fn note(&mut self, wanted: &[DiscoveryAction]) {
        for action in wanted {
            let mistake = match action {
                DiscoveryAction::Invalid(mistake) => Some(mistake.clone()),
                DiscoveryAction::Call { number, .. } if self.calls.iter().any(|(known, _)| known == number) => {
                    Some(format!("a call of number {number} while another of that number is under way"))
                }
                DiscoveryAction::Call { number, timeout_ms, .. } => {
                    self.calls.push_back((*number, self.now_ms + timeout_ms));
                    (self.calls.len() > MOST_CALLS).then(|| format!("{} calls at a time", self.calls.len()))
                }
                DiscoveryAction::Publish(_) | DiscoveryAction::Fail(_) => None,
            };
            self.mistake = self.mistake.take().or(mistake);
        }
    }
}

/// What services that know endpoints say, in some of the ways in which they say it.
fn list(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut addresses: Vec<String> =
        (0..random.usize(..6)).map(|_| format!("10.0.0.{}:{}", random.u8(1..), random.u16(1..))).collect();
    // Some are said twice.
    addresses.extend(addresses.first().cloned().filter(|_| random.bool()));
    let each = |form: &dyn Fn(&str) -> String| addresses.iter().map(|a| form(a)).collect::<Vec<_>>().join(",");
    let split = |address: &str| {
        address.split_once(':').map_or_else(String::new, |(ip, port)| {
            format!("{{\"Address\":\"{ip}\",\"ServiceAddress\":\"{ip}\",\"ServicePort\":{port}}}")
        })
    };
    let text = match random.u8(..5) {
        0 | 1 => format!("[{}]", each(&|a| format!("\"{a}\""))),
        2 => format!("[{}]", each(&|a| format!("{{\"address\":\"{a}\"}}"))),
        3 => format!("{{\"endpoints\":[{}]}}", each(&|a| format!("{{\"address\":\"{a}\",\"weight\":2}}"))),
        _ => format!("[{}]", each(&split)),
    };
    text.into_bytes()
}

/// What says nothing about endpoints.
fn failure(random: &mut fastrand::Rng) -> Reply {
    let body = [&b"[]"[..], b"{\"endpoints\":[]}", b"", b"no"][random.usize(..4)].to_vec();
    match random.u8(..6) {
        0 => Reply::Unavailable,
        1 => Reply::Timeout,
        2 => Reply::Broken,
        3 => Reply::TooLarge,
        _ => Reply::Answer { status: [401, 403, 404, 429, 500, 502, 503][random.usize(..7)], body },
    }
}

fn steps(trial: &mut Trial<'_>, count: u32) -> Vec<Step> {
    let random = &mut trial.random;
    let step = |_| match random.u8(..6) {
        0..3 => Step::Tick,
        3..5 => Step::Reply(Reply::Answer { status: 200, body: list(random) }),
        _ => Step::Reply(failure(random)),
    };
    (0..count).map(step).collect()
}

fn many(trial: &Trial<'_>) -> u32 {
    (trial.steps / 5).clamp(100, 2000)
}

fn wants_what_can_be_done(trial: &mut Trial<'_>) -> Checked {
    let count = many(trial);
    let steps = steps(trial, count);
    let mut published = 0;
    let mut talk = Talk::with(discovery(trial, 0)?);
    for step in &steps {
        published += talk.take(step)?.iter().filter(|action| matches!(action, DiscoveryAction::Publish(_))).count();
    }
    trial.measure("published", published as f64);
    trial.try_list(steps, |trial, steps| {
        let mut talk = Talk::with(discovery(trial, 0)?);
        for step in steps {
            talk.take(step)?;
            if let Some(mistake) = talk.mistake.take() {
                return Err(mistake);
            }
        }
        Ok(())
    })
}

fn survives_garbage(trial: &mut Trial<'_>) -> Checked {
    const HOSTILE: [&[u8]; 12] = [
        b"\xff\xfe\x00",
        b"{",
        b"null",
        b"[null]",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        b"[\"\"]",
        b"[\"a:b\",\"::1\",\"1.2.3.4:99999\"]",
        b"[1e400]",
        b"{\"endpoints\":7}",
        b"[{\"address\":null,\"weight\":-1}]",
        b"[18446744073709551616]",
        b"\"\\ud800\"",
    ];
    let random = &mut trial.random;
    let mut replies: Vec<Reply> =
        HOSTILE.iter().map(|body| Reply::Answer { status: 200, body: body.to_vec() }).collect();
    replies.push(Reply::Answer { status: 200, body: vec![b'['; 1 << 19] });
    for _ in 0..(trial.steps / 20).clamp(50, 1000) {
        let mut body = list(random);
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..=body.len());
            match body.get_mut(at) {
                Some(byte) => *byte = random.u8(..),
                None => body.extend((0..random.usize(..9)).map(|_| random.u8(..))),
            }
        }
        body.truncate(random.usize(..=body.len()));
        replies.push(Reply::Answer { status: random.u16(100..1000), body });
    }
    trial.try_list(replies, |trial, replies| {
        let mut talk = Talk::with(discovery(trial, 0)?);
        for reply in replies {
            talk.take(&Step::Tick)?;
            talk.take(&Step::Reply(reply.clone()))?;
        }
        Ok(())
    })
}

fn keeps_what_it_has(trial: &mut Trial<'_>) -> Checked {
    let random = &mut trial.random;
    let replies: Vec<Reply> = (0..(trial.steps / 10).clamp(50, 500)).map(|_| failure(random)).collect();
    trial.try_list(replies, |trial, replies| {
        let mut talk = Talk::with(discovery(trial, 0)?);
        for reply in replies {
            talk.take(&Step::Tick)?;
            let wanted = talk.take(&Step::Reply(reply.clone()))?;
            if let Some(action) = wanted.iter().find(|action| matches!(action, DiscoveryAction::Publish(_))) {
                return Err(format!("after {reply:?} it wants {action:?}"));
            }
        }
        Ok(())
    })
}

fn asks_again(trial: &mut Trial<'_>) -> Checked {
    const FAILURES: usize = 20;
    const TICKS: usize = 200;
    let mut talk = Talk::with(discovery(trial, 0)?);
    let first = talk.take(&Step::Tick)?;
    if talk.discovery.tick_ms().is_none() {
        return Err(Stop::Skipped("it wants no ticks".into()));
    }
    if talk.calls.is_empty() {
        return Err(Stop::Skipped(format!("it calls nobody at first: {first:?}")));
    }
    for failed in 0..FAILURES {
        let mut ticks = 0;
        while talk.calls.is_empty() && ticks < TICKS {
            talk.take(&Step::Tick)?;
            ticks += 1;
        }
        if talk.calls.is_empty() {
            return Err(format!("after {failed} calls that failed there was none in {TICKS} ticks").into());
        }
        while !talk.calls.is_empty() {
            let reply = failure(&mut trial.random);
            let before = talk.calls.len();
            talk.take(&Step::Reply(reply))?;
            // One that asks again at once would never come to an end.
            if talk.calls.len() >= before {
                break;
            }
        }
    }
    Ok(())
}

fn play(talk: &mut Talk, steps: &[Step]) -> Result<Vec<Vec<DiscoveryAction>>, String> {
    steps.iter().map(|step| talk.take(step)).collect()
}

fn differing(one: &[Vec<DiscoveryAction>], other: &[Vec<DiscoveryAction>]) -> Option<String> {
    let at = one.iter().zip(other).position(|(one, other)| one != other)?;
    Some(format!("step {at}: {:?}, and {:?}", one[at], other[at]))
}

fn is_repeatable(trial: &mut Trial<'_>) -> Checked {
    let count = many(trial);
    let steps = steps(trial, count);
    trial.try_list(steps, |trial, steps| {
        let once = || play(&mut Talk::with(discovery(trial, 0)?), steps);
        differing(&once()?, &once()?).map_or(Ok(()), Err)
    })
}

fn policies_are_apart(trial: &mut Trial<'_>) -> Checked {
    let config = Use::config(trial.uses, "discovery").to_owned();
    let (steps, others) = (steps(trial, 60), steps(trial, 60));
    trial.try_list(steps, |trial, steps| {
        let mut alone = Talk::with(discovery(trial, 0)?);
        let (one, other) = pair(trial.subject.discoveries(&config, 0, 2))?;
        let (mut one, mut other) = (Talk::with(one), Talk::with(other));
        for (step, beside) in steps.iter().zip(&others) {
            other.take(beside)?;
            let (wanted, expected) = (one.take(step)?, alone.take(step)?);
            if wanted != expected {
                return Err(format!("{wanted:?} beside another policy, {expected:?} without"));
            }
        }
        Ok(())
    })
}

fn survives_foreign_state(trial: &mut Trial<'_>) -> Checked {
    let steps = steps(trial, 60);
    let mut saving = Talk::with(discovery(trial, 0)?);
    play(&mut saving, &steps)?;
    let own = saving.discovery.save().map_err(|fault| format!("saving: {fault}"))?;
    let mut states = foreign_states(&mut trial.random, &own);
    states.push(own);
    for state in states {
        trial.try_list(state, |trial, state| {
            let mut restored = discovery(trial, 0)?;
            restored.restore(state).map_err(|fault| format!("restoring: {fault}"))?;
            play(&mut Talk::with(restored), &steps).map(drop)
        })?;
    }
    Ok(())
}

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    let steps = steps(trial, 400);
    let mut talk = Talk::with(discovery(trial, 0)?);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        play(&mut talk, &steps)?;
        let Some(size) = talk.discovery.memory_bytes() else {
            return Err(Stop::Skipped("the size of its memory is not known".into()));
        };
        sizes.push(size);
    }
    if sizes.windows(2).all(|pair| pair[1] > pair[0] + PAGE) {
        return Err(format!("it grew with each 400 steps: {sizes:?} bytes").into());
    }
    trial.measure("bytes", sizes[4] as f64);
    Ok(())
}

fn can_be_created_again(trial: &mut Trial<'_>) -> Checked {
    let steps = steps(trial, 60);
    let mut old = Talk::with(discovery(trial, 0)?);
    play(&mut old, &steps)?;
    let mut discovery_again = old.discovery;
    discovery_again.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
    let again = play(&mut Talk::with(discovery_again), &steps)?;
    let new = play(&mut Talk::with(discovery(trial, 0)?), &steps)?;
    differing(&again, &new).map_or(Ok(()), |how| Err(format!("created again and new: {how}").into()))
}
