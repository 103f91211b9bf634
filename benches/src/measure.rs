use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Processor time that one case takes in one round. Long against the resolution of the clock and the cold caches at the
/// beginning, short against the moods of a shared machine.
const BATCH: Duration = Duration::from_millis(8);

/// Something to measure.
pub(crate) struct Case {
    name: String,
    /// Makes so many calls and tells how long they took.
    batch: Box<dyn FnMut(u64) -> Result<Duration>>,
    most_calls: u64,
    goal: Option<f64>,
}

/// What came out, in nanoseconds per call.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) calls_per_round: u64,
    pub(crate) rounds: Vec<f64>,
    /// What a call may take.
    pub(crate) goal: Option<f64>,
}

impl Case {
    /// Calls with a number that counts up.
    pub(crate) fn new<T>(name: impl Into<String>, mut call: impl FnMut(u64) -> Result<T> + 'static) -> Self {
        let mut number = 0;
        Self::batches(name, move |calls| {
            timed(|| {
                for _ in 0..calls {
                    black_box(call(black_box(number))?);
                    number += 1;
                }
                Ok(())
            })
        })
    }

    /// Calls with something new for each, of which the making does not count.
    pub(crate) fn with_new<S, T>(
        name: impl Into<String>,
        mut make: impl FnMut() -> Result<S> + 'static,
        mut call: impl FnMut(&mut S) -> Result<T> + 'static,
    ) -> Self {
        let case = Self::batches(name, move |calls| {
            let mut made = (0..calls).map(|_| make()).collect::<Result<Vec<_>>>()?;
            timed(|| {
                for one in &mut made {
                    black_box(call(one)?);
                }
                Ok(())
            })
        });
        // They all live at once.
        Self { most_calls: 32, ..case }
    }

    /// Takes the time itself.
    pub(crate) fn batches(name: impl Into<String>, batch: impl FnMut(u64) -> Result<Duration> + 'static) -> Self {
        Self { name: name.into(), batch: Box::new(batch), most_calls: u64::MAX, goal: None }
    }

    /// With what a call may take, in nanoseconds.
    pub(crate) fn within(self, goal: impl Into<Option<f64>>) -> Self {
        Self { goal: goal.into(), ..self }
    }

    fn run(&mut self, calls: u64) -> Result<Duration> {
        (self.batch)(calls).with_context(|| format!("measure \"{}\"", self.name))
    }

    /// Number of calls that take about [`BATCH`].
    fn calls_per_round(&mut self) -> Result<u64> {
        let mut calls = 1;
        loop {
            let took = self.run(calls)?;
            if took >= BATCH / 2 || calls >= self.most_calls {
                let fitting = calls as f64 * BATCH.as_secs_f64() / took.as_secs_f64().max(1e-9);
                return Ok((fitting as u64).clamp(1, self.most_calls));
            }
            calls *= 2;
        }
    }
}

/// Measures all cases in turn, round by round, so that what disturbs the machine for a while disturbs all of them.
pub(crate) fn measure(mut cases: Vec<Case>, rounds: usize) -> Result<Vec<Measured>> {
    let mut measured = Vec::with_capacity(cases.len());
    for case in &mut cases {
        let calls_per_round = case.calls_per_round()?;
        let (name, rounds) = (case.name.clone(), Vec::with_capacity(rounds));
        measured.push(Measured { name, calls_per_round, rounds, goal: case.goal });
    }
    for round in 0..rounds {
        eprint!("\rround {} of {rounds}", round + 1);
        for (case, measured) in cases.iter_mut().zip(&mut measured) {
            let took = case.run(measured.calls_per_round)?;
            measured.rounds.push(took.as_secs_f64() * 1e9 / measured.calls_per_round as f64);
        }
    }
    eprintln!();
    Ok(measured)
}

impl Measured {
    pub(crate) fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// Whether it stays within its goal; none without one.
    pub(crate) fn meets_goal(&self) -> Option<bool> {
        self.goal.map(|goal| self.median() <= goal)
    }

    /// Median over the rounds of what this takes more than `other` in the same round.
    pub(crate) fn more_than(&self, other: &Self) -> f64 {
        let differences: Vec<f64> = self.rounds.iter().zip(&other.rounds).map(|(own, other)| own - other).collect();
        median(&differences)
    }

    pub(crate) fn raw(&self) -> Value {
        let tenths: Vec<f64> = self.rounds.iter().map(|ns| (ns * 10.0).round() / 10.0).collect();
        json!({ "name": self.name, "calls_per_round": self.calls_per_round, "ns_per_call": tenths })
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Processor time of this thread: time that others take from it on a shared machine does not count.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    clocked(ClockId::ThreadCPUTime, work)
}

/// Processor time of all threads of the process.
pub(crate) fn timed_on_all_threads(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    clocked(ClockId::ProcessCPUTime, work)
}

fn clocked(clock: ClockId, work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = now(clock);
    work()?;
    Ok(now(clock).saturating_sub(begun))
}

fn now(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
