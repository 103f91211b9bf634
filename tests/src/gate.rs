use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{PATIENCE, wait_for};

/// What a scripted endpoint waits at until the test lets it go on.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// Lets everyone pass from now on.
    pub fn open(&self) {
        self.lock().open = true;
        self.state.1.notify_all();
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        let mut state = self.lock();
        state.arrived += 1;
        // A test that failed before it opened the gate must not leave threads behind for good.
        let _ = self.state.1.wait_timeout_while(state, 3 * PATIENCE, |state| !state.open);
    }

    /// Waits until so many have come to the gate.
    pub fn wait_for_arrivals(&self, wanted: usize) {
        wait_for("the endpoint to be reached", || (self.lock().arrived >= wanted).then_some(()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
