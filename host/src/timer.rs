//! Timeouts of a worker. Almost every one is set and never fires, thousands a second, so setting one must cost next to
//! nothing: a slot in a table, which one task sweeps every 20 ms, and no look at the clock. A timeout never fires early,
//! and up to 60 ms late.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::sync::Notify;

const SWEEP: Duration = Duration::from_millis(20);
/// What the table's time may lag behind, since it only moves on at a sweep.
const LAG: Duration = Duration::from_millis(40);

/// Milliseconds of the monotonic clock since the first look at it, the same on all threads.
pub fn now_ms() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = FIRST.get_or_init(Instant::now);
    u64::try_from(first.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The timers of one worker.
#[derive(Clone, Debug, Default)]
pub struct Timers(Rc<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: RefCell<Slab<Entry>>,
    first: Notify,
    /// Time since the worker began, as of the last sweep. It moves on by [`LAG`] at most: a worker that was stalled for
    /// longer has not waited for anybody meanwhile.
    now: Cell<Duration>,
}

#[derive(Debug)]
struct Entry {
    due: Option<Duration>,
    fired: Option<Fired>,
    /// What is waited for, if it may be called off; see [`Timers::call_off`].
    subject: Option<(Subject, CallOff)>,
    waker: Option<Waker>,
}

/// What somebody waits for: any number that is that of one thing while it is there.
pub type Subject = std::num::NonZeroUsize;

/// For whom a wait is called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOff {
    /// For those who may go elsewhere.
    Leave,
    /// For everyone.
    End,
}

/// Why a timer has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// The time was up.
    Due,
    /// What was waited for will not come, or is not to be waited for any more.
    CalledOff(CallOff),
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
        let key = entries.insert(Entry { due: None, fired: None, subject: None, waker: None });
        Timer { table: self.0.clone(), key }
    }

    /// Waits for `future`, but not longer than `limit`; `None` waits as long as it takes.
    pub fn bound<F: Future>(&self, limit: Option<Duration>, future: F) -> Bounded<F, Timer> {
        let timer = limit.map(|limit| {
            let timer = self.timer();
            timer.arm(limit);
            timer
        });
        Bounded { future, timer }
    }

    /// Fires those that wait for something and hear this. It looks at every timer, so that none pays for it beforehand.
    pub fn call_off(&self, subject: Subject, call: CallOff) {
        let mut wakers = Vec::new();
        for (_, entry) in self.0.entries.borrow_mut().iter_mut() {
            if entry.subject.is_some_and(|(waited_for, hears)| waited_for == subject && hears <= call) {
                entry.due = None;
                entry.fired = Some(Fired::CalledOff(call));
                wakers.extend(entry.waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Fires what is due, for as long as the worker lives.
    pub async fn run(&self) {
        let mut swept = Instant::now();
        loop {
            if self.0.entries.borrow().is_empty() {
                self.0.first.notified().await;
                // The time without timers is nobody's wait.
                swept = Instant::now();
            }
            tokio::time::sleep(SWEEP).await;
            let before = std::mem::replace(&mut swept, Instant::now());
            let now = self.0.now.get() + swept.duration_since(before).min(LAG);
            self.0.now.set(now);
            // Woken once the table is free again: a task may arm, drop or make timers as it is woken.
            let mut wakers = Vec::new();
            for (_, entry) in self.0.entries.borrow_mut().iter_mut() {
                if entry.due.is_some_and(|due| due <= now) {
                    // It fires once; `fired` stays for whoever looks later, until it is armed anew.
                    entry.due = None;
                    entry.fired = Some(Fired::Due);
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
        // The table's time is behind by up to a sweep and what a sweep comes late: without that much more it could fire
        // early.
        let due = self.table.now.get().checked_add(after.saturating_add(LAG));
        self.with(|entry| {
            entry.due = due;
            // What was called off does not come back.
            entry.fired = entry.fired.filter(|fired| matches!(fired, Fired::CalledOff(_)));
        });
    }

    /// Fires `after` from now unless it is set already.
    pub fn arm_if_idle(&self, after: Duration) {
        if self.with(|entry| entry.due.is_none() && entry.fired.is_none()) {
            self.arm(after);
        }
    }

    pub fn disarm(&self) {
        self.with(|entry| {
            entry.due = None;
            entry.fired = None;
            entry.subject = None;
        });
    }

    /// Arms it with a time if there is one, or else lets it wait without end.
    pub fn arm_or_wait(&self, after: Option<Duration>) {
        match after {
            Some(after) => self.arm(after),
            None => self.with(|entry| entry.due = None),
        }
    }

    /// Also fires when this is called off, or more than that, until it is disarmed.
    pub fn wait_for(&self, subject: Subject, hears: CallOff) {
        self.with(|entry| entry.subject = Some((subject, hears)));
    }

    /// What it waits for is left by nobody any more who waits by this timer; it may still be ended.
    pub fn stay(&self) {
        self.with(|entry| entry.subject = entry.subject.map(|(subject, _)| (subject, CallOff::End)));
    }

    /// Why it has fired, if it has.
    pub fn fired(&self) -> Option<Fired> {
        self.with(|entry| entry.fired)
    }

    /// Ready once it has fired.
    pub fn poll_fired(&self, context: &mut Context<'_>) -> Poll<()> {
        self.with(|entry| {
            if entry.fired.is_some() {
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
    pub fn bound<F: Future>(&self, future: F) -> Bounded<F, &Self> {
        Bounded { future, timer: Some(self) }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Entry) -> R) -> R {
        change(&mut self.table.entries.borrow_mut()[self.key])
    }
}

pin_project! {
    /// Waits for a future until a timer fires. Written by hand, since an async block holds a future that it is given
    /// twice, and what encloses it twice that: the futures of requests are moved about and must stay small.
    #[derive(Debug)]
    pub struct Bounded<F, T> {
        #[pin]
        future: F,
        timer: Option<T>,
    }
}

impl<F: Future, T: Borrow<Timer>> Future for Bounded<F, T> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        match this.timer {
            Some(timer) => (*timer).borrow().poll_fired(context).map(|()| Err(Elapsed)),
            None => Poll::Pending,
        }
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
    async fn what_is_called_off_is_waited_for_no_longer() {
        with_timers(|timers| async move {
            let [one, other] = [1, 2].map(|number| Subject::new(number).expect("not 0"));
            let timer = timers.timer();
            timer.wait_for(one, CallOff::Leave);
            timer.arm(Duration::from_secs(60));
            timers.call_off(other, CallOff::End);
            assert_eq!(timer.fired(), None);
            let calls_off = async {
                tokio::task::yield_now().await;
                timers.call_off(one, CallOff::Leave);
                // A piece that comes meanwhile does not make it worth waiting for again.
                timer.arm(Duration::from_secs(60));
            };
            let (waited, ()) = tokio::join!(timer.bound(std::future::pending::<()>()), calls_off);
            assert_eq!((waited, timer.fired()), (Err(Elapsed), Some(Fired::CalledOff(CallOff::Leave))));
            timer.disarm();
            timers.call_off(one, CallOff::End);
            assert_eq!(timer.fired(), None);
        })
        .await;
    }

    #[tokio::test]
    async fn who_stays_is_called_off_at_the_end_alone() {
        let (timers, subject) = (Timers::default(), Subject::MIN);
        let (stays, leaves) = (timers.timer(), timers.timer());
        stays.wait_for(subject, CallOff::Leave);
        leaves.wait_for(subject, CallOff::Leave);
        stays.stay();
        timers.call_off(subject, CallOff::Leave);
        assert_eq!((stays.fired(), leaves.fired()), (None, Some(Fired::CalledOff(CallOff::Leave))));
        timers.call_off(subject, CallOff::End);
        assert_eq!(stays.fired(), Some(Fired::CalledOff(CallOff::End)));
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
