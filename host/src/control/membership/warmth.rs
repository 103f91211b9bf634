use std::time::{Duration, Instant};

use crate::config::SlowStart;

/// Full weight, in thousandths.
pub(super) const FULL: u32 = 1000;
/// Smaller steps are not told: each is a new generation on every worker.
const STEP: u32 = 50;

/// How far an endpoint has warmed up. It is cold when it comes into service, and warm when its slow start is over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Warmth {
    phase: Phase,
    /// Share of the weight in force, in thousandths.
    ramp: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// It was there when the cluster began, and has not been in service yet.
    Beginning,
    Cold,
    Warming {
        since: Instant,
    },
    Warm,
}

/// What an endpoint's warmth depends on at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) now: Instant,
    pub(super) slow_start: Option<&'a SlowStart>,
    /// When the cluster began.
    pub(super) began: Instant,
    pub(super) in_service: bool,
}

impl Warmth {
    /// Of an endpoint that is there when its cluster begins.
    pub(super) fn beginning() -> Self {
        Self { phase: Phase::Beginning, ramp: FULL }
    }

    /// Of an endpoint that is added to a cluster.
    pub(super) fn cold() -> Self {
        Self { phase: Phase::Cold, ramp: FULL }
    }

    pub(super) fn ramp(&self) -> u32 {
        self.ramp
    }

    /// What it is under these circumstances.
    pub(super) fn next(&self, circumstances: Circumstances<'_>) -> Self {
        let Circumstances { now, slow_start, began, in_service } = circumstances;
        let Some(slow_start) = slow_start else {
            let phase = match self.phase {
                Phase::Beginning if !in_service => Phase::Beginning,
                _ if in_service => Phase::Warm,
                _ => Phase::Cold,
            };
            return Self { phase, ramp: FULL };
        };
        let phase = match self.phase {
            Phase::Beginning if !in_service => Phase::Beginning,
            // The others are as cold as it is.
            Phase::Beginning if now.duration_since(began) < slow_start.duration => Phase::Warm,
            Phase::Beginning | Phase::Cold if in_service => Phase::Warming { since: now },
            Phase::Warming { .. } | Phase::Warm if in_service => self.phase,
            _ => Phase::Cold,
        };
        let ramp = match phase {
            Phase::Warming { since } => ramp_after(slow_start, now.duration_since(since)),
            Phase::Beginning | Phase::Warm => FULL,
            Phase::Cold => ramp_after(slow_start, Duration::ZERO),
        };
        if ramp == FULL && matches!(phase, Phase::Warming { .. }) {
            return Self { phase: Phase::Warm, ramp };
        }
        let step_too_small = matches!(self.phase, Phase::Warming { .. }) && ramp < self.ramp.saturating_add(STEP);
        Self { phase, ramp: if phase == self.phase && step_too_small { self.ramp } else { ramp } }
    }
}

/// Envoy's formula: the share of the time that has passed, to the power of 1 by `aggression`, but at least the minimum.
fn ramp_after(slow_start: &SlowStart, passed: Duration) -> u32 {
    let share = passed.as_secs_f64() / slow_start.duration.as_secs_f64();
    let grown = share.min(1.0).powf(slow_start.aggression.recip()) * f64::from(FULL);
    (grown as u32).clamp(slow_start.min_weight_percent * 10, FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW_START: SlowStart =
        SlowStart { duration: Duration::from_secs(100), aggression: 1.0, min_weight_percent: 10 };

    /// The ramp at each of the seconds after an endpoint has come into service.
    fn ramps(slow_start: &SlowStart, seconds: &[u64]) -> Vec<u32> {
        let began = Instant::now();
        let mut warmth = Warmth::cold();
        let mut at = |seconds: u64| {
            let now = began + Duration::from_secs(seconds);
            warmth = warmth.next(Circumstances { now, slow_start: Some(slow_start), began, in_service: true });
            warmth.ramp()
        };
        at(0);
        seconds.iter().map(|seconds| at(*seconds)).collect()
    }

    #[test]
    fn weight_grows_in_steps_from_the_minimum_to_the_whole() {
        assert_eq!(
            ramps(&SLOW_START, &[0, 5, 14, 15, 19, 20, 99, 100, 200]),
            [100, 100, 100, 150, 150, 200, 990, 1000, 1000]
        );
        let eager = SlowStart { aggression: 2.0, ..SLOW_START };
        assert_eq!(ramps(&eager, &[0, 25, 64]), [100, 500, 800]);
    }

    #[test]
    fn who_was_there_at_the_beginning_is_not_slowed_down_unless_it_comes_late() {
        let began = Instant::now();
        let after = |seconds, in_service| Circumstances {
            now: began + Duration::from_secs(seconds),
            slow_start: Some(&SLOW_START),
            began,
            in_service,
        };
        let probed = Warmth::beginning().next(after(0, false)).next(after(2, true));
        assert_eq!(probed.ramp(), FULL);
        let late = Warmth::beginning().next(after(0, false)).next(after(200, true));
        assert_eq!(late.ramp(), 100);
        let recovered = probed.next(after(50, false)).next(after(60, true));
        assert_eq!(recovered.ramp(), 100);
        assert_eq!(recovered.next(after(110, true)).ramp(), 500);
        assert_eq!(recovered.next(after(110, false)).next(after(120, true)).ramp(), 100, "it begins anew");
    }

    #[test]
    fn without_a_slow_start_everyone_is_warm() {
        let now = Instant::now();
        let none = |in_service| Circumstances { now, slow_start: None, began: now, in_service };
        let warm = Warmth::cold().next(none(true));
        assert_eq!(warm.ramp(), FULL);
        // One that is configured later slows nobody down who was in service before.
        let later = Circumstances { slow_start: Some(&SLOW_START), ..none(true) };
        assert_eq!(warm.next(later).ramp(), FULL);
        assert_eq!(warm.next(none(false)).next(later).ramp(), 100);
    }
}
