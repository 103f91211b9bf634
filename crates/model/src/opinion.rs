use std::time::Duration;

/// What a health policy says of itself when it is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthPlan {
    /// Whether it wants to hear what became of attempts.
    pub outcomes: bool,
    pub tick: Option<Duration>,
    /// Good probes that an endpoint needs before its first request.
    pub initial_probes: u32,
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    pub slot: u32,
    pub passed: bool,
    pub took: Duration,
    /// For people: lower case, no full stop.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Healthy,
    Unhealthy,
}

/// What led to a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    Probe,
    Traffic,
}

/// A changed opinion about an endpoint, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub slot: u32,
    pub verdict: Verdict,
    pub evidence: Evidence,
    pub reason: String,
}

impl Transition {
    pub fn is_healthy(&self) -> bool {
        self.verdict == Verdict::Healthy
    }
}
