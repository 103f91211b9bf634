use std::task::{Context, Poll};

use plimsoll_fields::Frame;

use crate::error::Error;

/// A body while it comes, of a request or of an answer, by whatever protocol.
pub trait Body {
    /// The next piece; none at the end.
    fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>>;

    /// True once everything has been taken.
    fn is_ended(&self) -> bool;

    /// Bytes still to come, if that is known.
    fn remaining(&self) -> Option<u64>;
}
