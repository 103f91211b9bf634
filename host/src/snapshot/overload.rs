use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// What the process has in use against what it may have, and what follows. Workers look at it for each connection and each
/// request; the control plane measures.
#[derive(Debug)]
#[repr(align(64))] // read for every request, and hardly ever written
pub struct Overload {
    /// New requests are answered with 503.
    sheds_requests: AtomicBool,
    /// New connections are refused.
    refuses_connections: AtomicBool,
    /// Connections of clients that may be open; 0 is no bound.
    most_connections: AtomicUsize,
    /// File descriptors that may be open before a connection is refused.
    most_files: AtomicI32,
    connections: Connections,
}

#[derive(Debug, Default)]
#[repr(align(64))] // written for every connection
struct Connections(AtomicUsize);

impl Default for Overload {
    fn default() -> Self {
        Self {
            sheds_requests: AtomicBool::default(),
            refuses_connections: AtomicBool::default(),
            most_connections: AtomicUsize::default(),
            most_files: AtomicI32::new(i32::MAX),
            connections: Connections::default(),
        }
    }
}

impl Overload {
    /// Bounds the connections of clients, from now on; 0 is no bound.
    pub fn bound_connections(&self, most: usize) {
        self.most_connections.store(most, Ordering::Relaxed);
    }

    /// Bounds the file descriptors with which connections of clients are still accepted, from now on.
    pub fn bound_files(&self, most: u64) {
        self.most_files.store(i32::try_from(most).unwrap_or(i32::MAX), Ordering::Relaxed);
    }

    /// What was measured wants this.
    pub fn shed(&self, requests: bool, connections: bool) {
        self.sheds_requests.store(requests, Ordering::Relaxed);
        self.refuses_connections.store(connections, Ordering::Relaxed);
    }

    #[inline]
    pub fn sheds_requests(&self) -> bool {
        self.sheds_requests.load(Ordering::Relaxed)
    }

    pub fn refuses_connections(&self) -> bool {
        self.refuses_connections.load(Ordering::Relaxed)
    }

    /// Connections of clients that are open.
    pub fn connections(&self) -> usize {
        self.connections.0.load(Ordering::Relaxed)
    }

    /// Whether a connection with this descriptor is one too many. A new descriptor is the lowest that is free, so that as many as
    /// its number are open beside it: this holds however many connections come between two measurements.
    pub(crate) fn is_beyond_files(&self, descriptor: BorrowedFd<'_>) -> bool {
        descriptor.as_raw_fd() >= self.most_files.load(Ordering::Relaxed)
    }

    /// Another connection; false when it is to be refused. [`Self::leave`] follows one that is not.
    pub(crate) fn enter(&self) -> bool {
        let most = self.most_connections.load(Ordering::Relaxed);
        let before = self.connections.0.fetch_add(1, Ordering::Relaxed);
        let enters = !self.refuses_connections() && (most == 0 || before < most);
        if !enters {
            self.leave();
        }
        enters
    }

    pub(crate) fn leave(&self) {
        self.connections.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_are_open_than_may_be() {
        let overload = Overload::default();
        assert!(overload.enter() && overload.enter());
        overload.bound_connections(2);
        assert!(!overload.enter());
        overload.leave();
        assert!(overload.enter());
        overload.leave();
        overload.shed(false, true);
        assert!(!overload.enter() && !overload.sheds_requests());
        assert_eq!(overload.connections(), 1);
    }
}
