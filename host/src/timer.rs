//! Timeouts of a worker. Almost every one is set and never fires, thousands a second, so setting one must cost next to
//! nothing: a slot in a table, which one task sweeps every 50 ms. A timeout fires up to that much late.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;

const SWEEP: Duration = Duration::from_millis(50);

/// The timers of one worker.
#[derive(Clone, Debug, Default)]
pub struct Timers(Rc<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: RefCell<Slab<Entry>>,
    first: Notify,
}

#[derive(Debug)]
struct Entry {
    due: Option<Instant>,
    fired: bool,
    waker: Option<Waker>,
}

/// One timer, disarmed until [`Timer::arm`] is called.
#[derive(Debug)]
pub struct Timer {
    table: Rc<Table>,
    key: usize,
}

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Timers {
    pub fn timer(&self) -> Timer {
        let mut entries = self.0.entries.borrow_mut();
        if entries.is_empty() {
            self.0.first.notify_one();
        }
        let key = entries.insert(Entry { due: None, fired: false, waker: None });
        Timer { table: self.0.clone(), key }
    }

    /// Waits for `future`, but not longer than `limit`; `None` waits as long as it takes.
    pub async fn bound<F: Future>(&self, limit: Option<Duration>, future: F) -> Result<F::Output, Elapsed> {
        let Some(limit) = limit else { return Ok(future.await) };
        let timer = self.timer();
        timer.arm(limit);
        timer.bound(future).await
    }

    /// Fires what is due, for as long as the worker lives.
    pub async fn run(&self) {
        loop {
            if self.0.entries.borrow().is_empty() {
                self.0.first.notified().await;
            }
            tokio::time::sleep(SWEEP).await;
            let now = Instant::now();
            let mut wakers = Vec::new();
            for (_, entry) in self.0.entries.borrow_mut().iter_mut() {
                if entry.due.is_some_and(|due| due <= now) {
                    entry.due = None;
                    entry.fired = true;
                    wakers.extend(entry.waker.take());
                }
            }
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Timer {
    /// Fires `after` from now; an earlier setting is forgotten.
    pub fn arm(&self, after: Duration) {
        let due = Instant::now().checked_add(after);
        self.with(|entry| {
            entry.due = due;
            entry.fired = false;
        });
    }

    /// Fires `after` from now unless it is set already.
    pub fn arm_if_idle(&self, after: Duration) {
        if self.with(|entry| entry.due.is_none() && !entry.fired) {
            self.arm(after);
        }
    }

    pub fn disarm(&self) {
        self.with(|entry| {
            entry.due = None;
            entry.fired = false;
        });
    }

    /// Ready once it has fired.
    pub fn poll_fired(&self, context: &mut Context<'_>) -> Poll<()> {
        self.with(|entry| {
            if entry.fired {
                return Poll::Ready(());
            }
            match &mut entry.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
    }

    /// Waits for `future` until the timer fires.
    pub async fn bound<F: Future>(&self, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            self.poll_fired(context).map(|()| Err(Elapsed))
        })
        .await
    }

    fn with<R>(&self, change: impl FnOnce(&mut Entry) -> R) -> R {
        change(&mut self.table.entries.borrow_mut()[self.key])
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.table.entries.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn with_timers<F: Future>(test: impl FnOnce(Timers) -> F) {
        let timers = Timers::default();
        tokio::select! {
            () = timers.run() => unreachable!("the sweep never ends"),
            _ = test(timers.clone()) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_future_is_given_up_after_its_time() {
        with_timers(|timers| async move {
            // The sweep compares with the real clock, so the wait is real but short.
            let result = timers.bound(Some(Duration::from_millis(1)), std::future::pending::<()>()).await;
            assert_eq!(result, Err(Elapsed));
            assert!(timers.0.entries.borrow().is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_done_in_time_is_not_disturbed() {
        with_timers(|timers| async move {
            assert_eq!(timers.bound(Some(Duration::from_secs(60)), async { 1 }).await, Ok(1));
            assert_eq!(timers.bound(None, async { 2 }).await, Ok(2));
        })
        .await;
    }

    #[tokio::test]
    async fn arming_again_forgets_the_earlier_setting() {
        with_timers(|timers| async move {
            let timer = timers.timer();
            timer.arm(Duration::from_millis(1));
            timer.arm(Duration::from_secs(60));
            let other = timers.bound(Some(Duration::from_millis(120)), timer.bound(std::future::pending::<()>()));
            assert_eq!(other.await, Err(Elapsed), "the outer one fires, the inner one does not");
        })
        .await;
    }
}
