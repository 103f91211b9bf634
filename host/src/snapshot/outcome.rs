pub use plimsoll_resilience::OutcomeClass;

/// What became of one attempt; told once to whoever wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub slot: u32,
    pub class: OutcomeClass,
    /// HTTP status; 0 when there was none.
    pub status: u16,
    /// From sending to the first byte of the answer, in microseconds; 0 when there was none.
    pub first_byte_us: u32,
    /// From sending to the end, in microseconds.
    pub total_us: u32,
}
