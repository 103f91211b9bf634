use std::collections::VecDeque;

use judgement::{Ejections, Probing};

use crate::config::Passive;

/// What is known about one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id_hash: u64,
    pub(crate) probing: Probing,
    pub(crate) ejections: Ejections,
    /// When the last requests failed that count, the oldest first; fewer than eject.
    failures_ms: VecDeque<u64>,
}

impl Record {
    pub(crate) fn new(id_hash: u64) -> Self {
        Self { id_hash, probing: Probing::default(), ejections: Ejections::default(), failures_ms: VecDeque::new() }
    }

    /// What traffic said before is out of date.
    pub(crate) fn forget_failures(&mut self) {
        self.failures_ms.clear();
    }

    /// A time as long as the last ejection without another one forgives it.
    pub(crate) fn request_succeeded(&mut self, now_ms: u64, passive: &Passive) {
        if passive.within_ms.is_none() {
            self.failures_ms.clear();
        }
        let after_ms = self.ejections.length_ms(&passive.ejection);
        self.ejections.forgive(now_ms, after_ms);
    }

    /// For how long that ejects it, if it does.
    pub(crate) fn request_failed(&mut self, now_ms: u64, passive: &Passive) -> Option<u64> {
        if self.ejections.is_out() {
            // What was under way when it was ejected tells nothing new.
            return None;
        }
        if let Some(within_ms) = passive.within_ms {
            // Those of the future are of a clock that was set back since.
            self.failures_ms.retain(|failed_ms| now_ms.checked_sub(*failed_ms).is_some_and(|ago| ago < within_ms));
        }
        self.failures_ms.push_back(now_ms);
        if self.failures_ms.len() < passive.failures as usize {
            return None;
        }
        self.failures_ms.clear();
        Some(self.ejections.begin(now_ms, &passive.ejection))
    }

    /// Whether its ejection ends now, and nothing else keeps it out.
    pub(crate) fn ejection_over(&mut self, now_ms: u64) -> bool {
        if !self.ejections.is_over(now_ms) {
            return false;
        }
        self.forget_failures();
        !self.probing.is_out()
    }
}
