use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of a listener on all workers.
#[derive(Debug, Default)]
pub struct ConnectionCount {
    total: AtomicUsize,
    /// Of those sources that have any, and only while they are bounded. The lock is held for a look into it.
    by_source: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection in the count of its source; taken out when dropped.
#[derive(Debug)]
pub(super) struct OfSource {
    count: Arc<ConnectionCount>,
    source: IpAddr,
}

impl ConnectionCount {
    /// All that are open.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// False when there are as many as may be.
    pub(super) fn enter(&self, most: usize) -> bool {
        let enters = self.total.fetch_add(1, Ordering::Relaxed) < most;
        if !enters {
            self.leave();
        }
        enters
    }

    pub(super) fn leave(&self) {
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    /// None when the source has as many as it may.
    pub(super) fn enter_from(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Box<OfSource>> {
        let source = source(address);
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_source.entry(source).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Box::new(OfSource { count: self.clone(), source }))
    }
}

impl Drop for OfSource {
    fn drop(&mut self) {
        let mut by_source = self.count.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_source.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

/// What counts as one source: an address of IPv4, and of IPv6 the network of 64 bits that one client may have all of.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_counted_apart_and_forgotten_when_they_have_none() {
        let count = Arc::new(ConnectionCount::default());
        let enter = |address: &str| count.enter_from(address.parse().expect("an address"), 2);
        let first = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(first.iter().all(Option::is_some) && enter("192.0.2.1").is_none());
        let other = [enter("2001:db8::1"), enter("2001:db8::2"), enter("2001:db8:0:1::1"), enter("192.0.2.2")];
        assert!(other.iter().all(Option::is_some) && enter("2001:db8::3").is_none());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop(other);
        assert!(count.by_source.lock().expect("nobody has panicked").is_empty());
    }
}
