use std::rc::Rc;
use std::time::{Duration, Instant};

use super::carrier::Carrier;

/// Whether the endpoint is still there, while it is waited for. When the wait is given up, and nothing at all has come on the
/// connection meanwhile, nothing new begins on it: it may lead nowhere, which the system would notice after minutes.
pub(in crate::upstream) struct Doubt<C: Carrier> {
    connection: Rc<C>,
    heard: u64,
    began: Instant,
}

/// A client may give up sooner, of a connection that is well.
const PATIENT: Duration = Duration::from_secs(1);

impl<C: Carrier> Doubt<C> {
    pub(in crate::upstream) fn begin(connection: &Rc<C>) -> Self {
        Self { heard: connection.heard(), connection: connection.clone(), began: Instant::now() }
    }

    pub(in crate::upstream) fn dispelled(&mut self) {
        self.heard = u64::MAX;
    }
}

impl<C: Carrier> Drop for Doubt<C> {
    fn drop(&mut self) {
        if self.began.elapsed() >= PATIENT && self.heard == self.connection.heard() {
            self.connection.places().retire();
        }
    }
}
