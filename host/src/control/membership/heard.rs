use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::plugin::ProbeResult;

/// How many probes of an endpoint are remembered.
const MOST: usize = 5;

/// What came of the last probes of an endpoint, for the people who look after it.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Heard(VecDeque<HeardProbe>);

#[derive(Clone, Debug)]
pub(in crate::control) struct HeardProbe {
    pub(in crate::control) passed: bool,
    /// What the prober said.
    pub(in crate::control) detail: String,
    pub(in crate::control) took: Duration,
    pub(in crate::control) ended: Instant,
}

impl Heard {
    pub(super) fn note(&mut self, result: &ProbeResult) {
        self.0.truncate(MOST - 1);
        self.0.push_front(HeardProbe {
            passed: result.passed,
            detail: result.detail.clone(),
            took: result.took,
            ended: Instant::now(),
        });
    }

    /// The newest first.
    pub(in crate::control) fn iter(&self) -> impl Iterator<Item = &HeardProbe> {
        self.0.iter()
    }
}
