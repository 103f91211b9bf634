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

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeClass {
    /// A response below 500; for TCP a connection that ended in order.
    Success,
    /// A response of 500 or above.
    ServerError,
    /// Refused, reset while being made, or not made in time.
    ConnectFailure,
    /// Connected, but no response in time.
    Timeout,
    /// Lost or broken after it was made.
    Reset,
    /// Ended for a reason that is not the endpoint's: the client went away, or nobody said anything.
    ClientAbort,
}

impl OutcomeClass {
    /// True for what the endpoint is to blame for.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Success | Self::ClientAbort)
    }
}
