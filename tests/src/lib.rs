//! Harness of the integration tests. They start the real binary on ports that the system chooses, speak bytes, and wait
//! for conditions, never for a time.

mod client;
mod endpoint;
mod guests;
mod proxy;

pub use client::{Connection, Response, curl, get, request};
pub use endpoint::{Endpoint, Script};
pub use guests::{example_plugin, guest};
pub use proxy::{Proxy, Signal};

use std::time::{Duration, Instant};

/// How long a condition is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` answers something.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
