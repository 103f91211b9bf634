use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::plugin::ProbeResult;

/// How many probes of an endpoint are remembered.
const MOST: usize = 5;

/// What came of the last probes of an endpoint, for the people who look after it.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Heard {
    probes: VecDeque<HeardProbe>,
    /// That the endpoint had had by then.
    requests: u64,
}

#[derive(Clone, Debug)]
pub(in crate::control) struct HeardProbe {
    pub(in crate::control) passed: bool,
    /// What the prober said.
    pub(in crate::control) detail: String,
    pub(in crate::control) took: Duration,
    pub(in crate::control) ended: Instant,
}

impl Heard {
    /// `requests` have gone to the endpoint by now. Answers whether some have since the probe before.
    pub(super) fn note(&mut self, result: &ProbeResult, requests: u64) -> bool {
        self.probes.truncate(MOST - 1);
        self.probes.push_front(HeardProbe {
            passed: result.passed,
            detail: result.detail.clone(),
            took: result.took,
            ended: Instant::now(),
        });
        std::mem::replace(&mut self.requests, requests) != requests
    }

    /// The newest first.
    pub(in crate::control) fn iter(&self) -> impl Iterator<Item = &HeardProbe> {
        self.probes.iter()
    }
}
