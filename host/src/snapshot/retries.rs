use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Repetitions of attempts that are under way at one cluster, on all workers. Only requests that are repeated look here.
#[derive(Debug, Default)]
#[repr(align(64))] // by itself: what is written beside it would slow down those who retry
pub struct Retries(AtomicU32);

/// One of them; ends when dropped.
#[derive(Debug)]
pub struct Retrying(Arc<Retries>);

impl Retries {
    /// Begins one unless `most` are under way. Never more, whoever else begins one.
    pub(crate) fn begin(self: &Arc<Self>, most: u32) -> Option<Retrying> {
        let one_more = |under_way: u32| (under_way < most).then(|| under_way + 1);
        let begun = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        begun.ok().map(|_| Retrying(self.clone()))
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_retries_are_under_way_than_may_be() {
        let retries = Arc::new(Retries::default());
        let held: Vec<_> = (0..3).map(|_| retries.begin(2)).collect();
        assert!(held[0].is_some() && held[1].is_some() && held[2].is_none());
        drop(held);
        assert!(retries.begin(1).is_some() && retries.begin(0).is_none());
    }
}
