//! Which property is being looked at, for who waits.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so long something is said, and again.
const SILENCE: Duration = Duration::from_secs(2);

static CURRENT: Mutex<Option<(&'static str, Instant)>> = Mutex::new(None);

/// Notes the property that a run has begun with.
pub(super) fn began(property: &'static str) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some((property, Instant::now()));
}

/// Does something that calls [`began`], and says on standard error what takes long about it.
pub(super) fn watched<T>(work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, is_done) = sync_channel::<()>(0);
        scope.spawn(move || {
            while is_done.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                let current = *CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((property, since)) = current.filter(|(_, since)| since.elapsed() >= SILENCE) {
                    eprintln!("{property}: at it for {} s", since.elapsed().as_secs());
                }
            }
        });
        let made = work();
        drop(done);
        made
    })
}
