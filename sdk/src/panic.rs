//! The last words of a plugin that panics. The instance ends with it, and the host knows no more than that it did, unless it
//! is told before.

/// Has panics say what and where in the proxy's log, from now on. Natively the test harness shows them.
#[cfg(target_arch = "wasm32")]
pub fn have_panics_told() {
    use std::sync::atomic::{AtomicBool, Ordering};

    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|panic| {
            let what = panic.payload_as_str().unwrap_or("something that is no text");
            match panic.location() {
                Some(at) => crate::host::log::error(&format!("panicked at {at}: {what}")),
                None => crate::host::log::error(&format!("panicked: {what}")),
            }
        }));
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub fn have_panics_told() {}
