use std::time::Duration;

use plimsoll_model::OutcomeClass;
use plimsoll_resilience::{Budget, Concurrency, Heard, Latencies, Terms};

use crate::requests::UnderWay;

/// How often a limit is found anew, as in the proxy.
pub(crate) const ADAPTED_EVERY_US: u64 = 100_000;

/// What one proxy has under way.
#[derive(Debug, Default)]
pub(crate) struct Proxy {
    attempts: u32,
    repeats: u32,
    limiter: Option<Limiter>,
}

#[derive(Debug)]
struct Limiter {
    found: Concurrency,
    heard: Heard,
}

impl Proxy {
    pub(crate) fn new(terms: Option<Terms>) -> Self {
        let limiter = terms.map(|terms| Limiter { found: Concurrency::new(terms), heard: Heard::default() });
        Self { limiter, ..Self::default() }
    }

    /// Whether as many attempts are under way as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.limiter.as_ref().is_some_and(|limiter| self.attempts >= limiter.found.limit())
    }

    pub(crate) fn begin(&mut self) {
        self.attempts += 1;
        if let Some(limiter) = &mut self.limiter {
            limiter.heard.peak = limiter.heard.peak.max(self.attempts);
        }
    }

    pub(crate) fn end(&mut self, ended: &UnderWay, class: OutcomeClass, total_us: u32) {
        self.attempts = self.attempts.saturating_sub(1);
        if ended.repeats {
            self.give_back_part();
        }
        if let Some(limiter) = &mut self.limiter
            && matches!(class, OutcomeClass::Success | OutcomeClass::Timeout)
        {
            limiter.heard.latencies.note(Latencies::bucket(total_us), 1);
        }
    }

    /// Takes a part of the budget of repetitions, if there is one left.
    pub(crate) fn take_part(&mut self, budget: &Budget) -> bool {
        let is_left = self.repeats < budget.allows(self.attempts);
        self.repeats += u32::from(is_left);
        is_left
    }

    pub(crate) fn give_back_part(&mut self) {
        self.repeats = self.repeats.saturating_sub(1);
    }

    /// Finds how many attempts may be under way by now, where that is found. True when they are more than before.
    pub(crate) fn adapt(&mut self, now: Duration, random: impl FnMut() -> u64) -> bool {
        let Some(limiter) = &mut self.limiter else { return false };
        let before = limiter.found.limit();
        let heard = std::mem::replace(&mut limiter.heard, Heard { peak: self.attempts, ..Heard::default() });
        limiter.found.hear(now, &heard, random) > before
    }
}
