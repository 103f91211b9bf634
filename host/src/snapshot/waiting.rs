use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Who waits for room at the endpoints of one cluster, on all workers. An attempt that ends on any of them offers its
/// place to the workers with waiting requests in turn. While nobody waits, that is one load of a line that nobody
/// writes.
#[derive(Debug, Default)]
#[repr(align(64))] // read at the end of every attempt
pub struct Waiting {
    /// Requests that wait, on all workers.
    total: AtomicU32,
    /// Where the next place is offered first, so that no worker is always the last.
    first: AtomicUsize,
    workers: Box<[OnWorker]>,
}

#[derive(Debug, Default)]
struct OnWorker {
    waiting: AtomicU32,
    /// Workers after this one that are still to hear of a place that nobody took.
    others: AtomicUsize,
    room: Notify,
}

// `SeqCst` throughout: who waits writes its count and then looks for room, who ends an attempt makes room and then looks
// for counts. In one order of all of these, at least one of them sees the other.
impl Waiting {
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| OnWorker::default()).collect(), ..Self::default() }
    }

    /// A request of `worker` begins to wait, unless `most` do on all workers. Whoever calls this looks for room once more before
    /// it sleeps.
    pub(crate) fn enter(&self, worker: usize, most: u32) -> bool {
        let one_more = |waiting: u32| (waiting < most).then(|| waiting + 1);
        if self.total.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
            return false;
        }
        if let Some(place) = self.workers.get(worker) {
            place.waiting.fetch_add(1, Ordering::SeqCst);
        }
        true
    }

    pub(crate) fn leave(&self, worker: usize) {
        if let Some(place) = self.workers.get(worker) {
            place.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        self.total.fetch_sub(1, Ordering::SeqCst);
    }

    /// There is room: tells the next worker that has somebody waiting.
    #[inline]
    pub(crate) fn offer(&self) {
        if self.total.load(Ordering::SeqCst) > 0 {
            self.offer_from(self.first.fetch_add(1, Ordering::Relaxed), self.workers.len());
        }
    }

    /// `worker` has no use for the room that it heard of: the next of `others` workers after it hears of it.
    pub(crate) fn pass_on(&self, worker: usize, others: usize) {
        self.offer_from(worker + 1, others);
    }

    /// Waits until there may be room. Answers how many other workers are to hear of it if it is not taken here.
    pub(crate) async fn room(&self, worker: usize) -> usize {
        let Some(place) = self.workers.get(worker) else { return std::future::pending().await };
        place.room.notified().await;
        place.others.swap(0, Ordering::SeqCst)
    }

    #[cold]
    fn offer_from(&self, first: usize, workers: usize) {
        for step in 0..workers.min(self.workers.len()) {
            let place = &self.workers[first.wrapping_add(step) % self.workers.len()];
            if place.waiting.load(Ordering::SeqCst) > 0 {
                // Offers that meet here become one: each covers the workers that come next.
                place.others.fetch_max(workers - step - 1, Ordering::SeqCst);
                place.room.notify_one();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn hears(waiting: &Waiting, worker: usize) -> Option<usize> {
        tokio::time::timeout(Duration::from_secs(1), waiting.room(worker)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_offered_in_turn_to_those_who_wait() {
        let waiting = Waiting::new(3);
        waiting.offer();
        assert_eq!(hears(&waiting, 0).await, None, "nobody waited");
        assert!(waiting.enter(0, 2));
        assert!(waiting.enter(2, 2) && !waiting.enter(1, 2));
        waiting.offer();
        waiting.offer();
        assert_eq!(hears(&waiting, 0).await, Some(2));
        assert_eq!(hears(&waiting, 2).await, Some(1), "worker 1 has nobody waiting");
        assert_eq!(hears(&waiting, 1).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_offered_once_to_everyone() {
        let waiting = Waiting::new(3);
        assert!((0..3).all(|worker| waiting.enter(worker, 3)));
        waiting.offer();
        for worker in 0..3 {
            let others = hears(&waiting, worker).await.expect("an offer");
            assert_eq!(others, 2 - worker);
            waiting.pass_on(worker, others);
        }
        assert_eq!(hears(&waiting, 0).await, None);
        (0..3).for_each(|worker| waiting.leave(worker));
        waiting.offer();
        assert_eq!(hears(&waiting, 1).await, None);
    }
}
