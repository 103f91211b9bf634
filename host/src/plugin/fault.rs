use std::fmt;

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
