use plimsoll_sdk::{Evidence, HealthVerdict, ProbeResult, Transition};

use crate::in_a_row;

/// How many probes in a row decide.
#[derive(Clone, Copy, Debug)]
pub struct ProbeRules {
    /// Good ones that bring an endpoint back.
    pub rise: u32,
    /// Bad ones that take it out.
    pub fall: u32,
    /// The same as long as none has been good.
    pub initial_fall: u32,
    /// Good ones that a new endpoint needs before its first request.
    pub initial: u32,
}

/// What the probes of one endpoint have come to.
#[derive(Clone, Debug)]
pub struct Probing {
    /// Not known to be good yet: the host may hold it back until it is called healthy.
    fresh: bool,
    out: bool,
    good: u32,
    bad: u32,
}

impl Default for Probing {
    fn default() -> Self {
        Self { fresh: true, out: false, good: 0, bad: 0 }
    }
}

impl Probing {
    /// Whether probes keep it out.
    pub fn is_out(&self) -> bool {
        self.out
    }

    /// What another probe changes. An endpoint that is otherwise kept out, as `held` says, is not called healthy.
    pub fn hear(&mut self, probe: &ProbeResult, rules: &ProbeRules, held: bool) -> Option<Transition> {
        let (verdict, reason) = if !probe.passed {
            let fall = if self.fresh { rules.initial_fall } else { rules.fall };
            if !self.failed(fall) {
                return None;
            }
            let what = in_a_row(fall, "probe", "failed");
            let reason = if probe.detail.is_empty() { what } else { format!("{what}: {}", probe.detail) };
            (HealthVerdict::Unhealthy, reason)
        } else if self.passed(rules) && !held {
            (HealthVerdict::Healthy, "probes pass".to_owned())
        } else {
            return None;
        };
        Some(Transition { slot: probe.slot, verdict, evidence: Evidence::Probe, reason })
    }

    /// Whether that is the word to let it serve: at first after `initial` good probes, later after `rise` of them.
    fn passed(&mut self, rules: &ProbeRules) -> bool {
        self.bad = 0;
        if !self.fresh && !self.out {
            return false;
        }
        self.good += 1;
        if self.good < if self.out { rules.rise } else { rules.initial } {
            return false;
        }
        self.fresh = false;
        self.out = false;
        true
    }

    /// Whether that is the word to take it out.
    fn failed(&mut self, fall: u32) -> bool {
        self.good = 0;
        if self.out {
            return false;
        }
        self.bad += 1;
        if self.bad < fall {
            return false;
        }
        self.bad = 0;
        self.out = true;
        true
    }
}
