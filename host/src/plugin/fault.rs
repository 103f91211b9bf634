use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Why a plugin gave no usable answer. The caller falls back; the fault is already counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The guest trapped, just now.
    Trapped(FaultKind),
    /// Broken before, and waiting for its next rebuild.
    Rebuilding,
    /// Left alone after repeated faults.
    Quarantined,
    /// It answered with something that does not exist or may not be used.
    InvalidAnswer,
}

/// What ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Used up its time.
    Deadline,
    /// Asked for more memory than it may have, and gave up.
    Memory,
    /// Any other trap.
    Trap,
}

/// A fault as people are told of it.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct FaultReport {
    pub at_unix_ms: u64,
    pub role: String,
    /// Name of the listener of a router, of the cluster otherwise.
    pub scope: String,
    /// `trap`, `deadline`, `memory` or `invalid_answer`.
    pub kind: String,
    /// Which call, and why it failed: `panicked in pick at src/lib.rs:8:30: index out of bounds`, `deadline of 2 ms passed in
    /// pick`, `picked slot 3, which is draining`.
    pub reason: String,
}

/// The last faults of a version of a plugin.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<FaultReport>>);

/// Faults that are remembered.
const REMEMBERED: usize = 16;

impl Faults {
    pub(super) fn note(&self, fault: FaultReport) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() == REMEMBERED {
            faults.pop_front();
        }
        faults.push_back(fault);
    }

    /// The oldest first.
    pub fn to_vec(&self) -> Vec<FaultReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: FaultKind,
    /// In words.
    pub(super) reason: String,
    /// What the engine says, with the guest's backtrace.
    pub(super) details: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.details)
    }
}

impl FaultKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Trap => "trap",
        }
    }
}

impl Fault {
    /// Label of the fallback counter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trapped(_) => "trap",
            Self::Rebuilding => "rebuilding",
            Self::Quarantined => "quarantined",
            Self::InvalidAnswer => "invalid_answer",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trapped(FaultKind::Deadline) => f.write_str("plugin passed its deadline"),
            Self::Trapped(FaultKind::Memory) => f.write_str("plugin passed its memory limit"),
            Self::Trapped(FaultKind::Trap) => f.write_str("plugin trapped"),
            Self::Rebuilding => f.write_str("plugin is being rebuilt"),
            Self::Quarantined => f.write_str("plugin is quarantined"),
            Self::InvalidAnswer => f.write_str("plugin gave an invalid answer"),
        }
    }
}

impl std::error::Error for Fault {}
