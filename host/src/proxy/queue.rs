use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::error::ErrorKind;
use crate::snapshot::Waiting;
use crate::telemetry::{ClusterShard, QueueResult};

/// Where there is room, or none: a cluster as its queue sees it.
pub(super) trait Room: std::fmt::Debug {
    /// Requests that may wait on all workers.
    fn most_waiting(&self) -> u32;

    fn shard(&self) -> &ClusterShard;

    /// Whether any endpoint could take a request of those that may be waiting.
    fn has_room(&self) -> bool;

    /// Whether a request that waits, for `bound` alone or anywhere, should look for room again, or will never find any.
    fn may_have_room(&self, bound: Option<u32>) -> bool;

    /// Whether not every request may go to every endpoint.
    fn is_divided(&self) -> bool;
}

/// Requests of one worker that wait for room at the endpoints of a cluster, in the order in which they came.
///
/// Whenever there may be room, the queue goes a round: it gives the turn to the first request that may find room, and
/// when that has begun its attempt, or has found none after all, to the next one behind it.
///
/// A round never stops with room left and somebody waiting, since whoever has the turn hands it on in every case: it begins
/// and drops its [`Place`], it says [`Place::found_no_room`], or it goes away (a timeout, a client that is gone) and drops its
/// place with the turn. Nothing here is held over an await, so that no round sees another one half done.
#[derive(Debug)]
pub(super) struct Queue {
    worker: usize,
    waiting: Arc<Waiting>,
    /// In the order of their numbers, which only grow, so that a place is found by halving.
    entries: RefCell<VecDeque<Entry>>,
    entered: Cell<u64>,
    round: Cell<Option<Round>>,
    /// A round that was asked for while one was going: how many other workers are to hear of the room.
    again: Cell<Option<usize>>,
    /// The cluster as of the last request that waited.
    cluster: RefCell<Option<Weak<dyn Room>>>,
    /// The task that hears of room. There is none before the first request has waited.
    hearing: OnceCell<AbortHandle>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    cluster: Rc<dyn Room>,
    /// The only endpoint that will do.
    bound: Option<u32>,
    has_turn: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    /// Number of the last request that had its turn.
    after: u64,
    /// A request that would have gone anywhere found no room.
    full: bool,
    others: usize,
}

impl Queue {
    pub(super) fn new(worker: usize, waiting: Arc<Waiting>) -> Rc<Self> {
        Rc::new(Self {
            worker,
            waiting,
            entries: RefCell::default(),
            entered: Cell::new(0),
            round: Cell::new(None),
            again: Cell::new(None),
            cluster: RefCell::default(),
            hearing: OnceCell::new(),
        })
    }

    /// Whether it is the one in which the requests of a cluster wait.
    pub(super) fn is_of(&self, waiting: &Arc<Waiting>) -> bool {
        Arc::ptr_eq(&self.waiting, waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// A place at the end, unless it is full.
    pub(super) fn enter(self: &Rc<Self>, cluster: Rc<dyn Room>, bound: Option<u32>) -> Result<Place, ErrorKind> {
        if !self.waiting.enter(self.worker, cluster.most_waiting()) {
            cluster.shard().queue_full();
            return Err(ErrorKind::QueueFull);
        }
        self.hearing.get_or_init(|| tokio::task::spawn_local(hear(Rc::downgrade(self))).abort_handle());
        *self.cluster.borrow_mut() = Some(Rc::downgrade(&cluster));
        let number = self.entered.get() + 1;
        self.entered.set(number);
        let entry = Entry { number, cluster: cluster.clone(), bound, has_turn: false, waker: None };
        self.entries.borrow_mut().push_back(entry);
        cluster.shard().queued();
        let place = Place { queue: self.clone(), cluster, number, result: QueueResult::Other, began: Instant::now() };
        // An attempt may have ended between the look for room and the count of those who wait.
        self.go_round(0);
        Ok(place)
    }

    /// There may be room. `others` more workers are to hear of it if nobody takes it here.
    pub(super) fn go_round(&self, others: usize) {
        if self.round.get().is_some() {
            self.again.set(Some(self.again.get().map_or(others, |again| again.max(others))));
            return;
        }
        self.round.set(Some(Round { after: 0, full: false, others }));
        self.next_turn();
    }

    /// Goes on with the round.
    fn next_turn(&self) {
        while let Some(round) = self.round.get() {
            if let Some((after, waker)) = self.give_turn(round) {
                // Before it is woken: what runs then may ask for a round, which has to find this one going.
                self.round.set(Some(Round { after, ..round }));
                waker.into_iter().for_each(Waker::wake);
                return;
            }
            if round.others > 0 && self.cluster_has_room() {
                self.waiting.pass_on(self.worker, round.others);
            }
            // Room that came while the round went may be for somebody whom it had passed over already.
            let again = self.again.take();
            self.round.set(again.map(|others| Round { after: 0, full: false, others }));
        }
    }

    fn cluster_has_room(&self) -> bool {
        let cluster = self.cluster.borrow().as_ref().and_then(Weak::upgrade);
        cluster.is_some_and(|cluster| cluster.has_room())
    }

    fn give_turn(&self, round: Round) -> Option<(u64, Option<Waker>)> {
        let mut entries = self.entries.borrow_mut();
        let behind = entries.partition_point(|entry| entry.number <= round.after);
        let mut full = round.full;
        let next = entries.range_mut(behind..).find(|entry| {
            if entry.bound.is_none() && full {
                return false;
            }
            // Asked for each that is bound, since each waits for another endpoint; once for all that would go anywhere.
            let may_go = entry.cluster.may_have_room(entry.bound);
            full |= entry.bound.is_none() && !may_go;
            may_go
        })?;
        next.has_turn = true;
        Some((next.number, next.waker.take()))
    }

    fn with_entry<R>(&self, number: u64, use_entry: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let mut entries = self.entries.borrow_mut();
        let at = entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        Some(use_entry(&mut entries[at]))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(hearing) = self.hearing.get() {
            hearing.abort();
        }
    }
}

/// Hears of room for as long as there is the queue.
async fn hear(queue: Weak<Queue>) {
    loop {
        let Some((waiting, worker)) = queue.upgrade().map(|queue| (queue.waiting.clone(), queue.worker)) else {
            return;
        };
        let others = waiting.room(worker).await;
        let Some(queue) = queue.upgrade() else { return };
        queue.go_round(others);
    }
}

/// A request's place in a queue; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    queue: Rc<Queue>,
    cluster: Rc<dyn Room>,
    number: u64,
    result: QueueResult,
    began: Instant,
}

impl Place {
    /// Waits for the turn.
    pub(super) async fn turn(&self) {
        std::future::poll_fn(|task| self.poll_turn(task)).await;
    }

    fn poll_turn(&self, task: &mut TaskContext<'_>) -> Poll<()> {
        let turn = self.queue.with_entry(self.number, |entry| {
            if entry.has_turn {
                return Poll::Ready(());
            }
            match &mut entry.waker {
                Some(waker) => waker.clone_from(task.waker()),
                none => *none = Some(task.waker().clone()),
            }
            Poll::Pending
        });
        // Without an entry there is nothing that could wake it.
        turn.unwrap_or(Poll::Ready(()))
    }

    /// There was no room after all: waits on at the same place.
    pub(super) fn found_no_room(&self) {
        // In a cluster that is divided it would not have gone anywhere either.
        let anywhere = self.queue.with_entry(self.number, |entry| {
            entry.has_turn = false;
            entry.bound.is_none() && !entry.cluster.is_divided()
        });
        if anywhere == Some(true)
            && let Some(round) = self.queue.round.get()
        {
            self.queue.round.set(Some(Round { full: true, ..round }));
        }
        self.queue.next_turn();
    }

    /// Notes how the wait ended.
    pub(super) fn ends(&mut self, result: QueueResult) {
        self.result = result;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.cluster.shard().dequeued(self.result, self.began.elapsed());
        // As often as `enter`: a count that stays would make every attempt that ends offer room to nobody.
        self.queue.waiting.leave(self.queue.worker);
        let had_turn = {
            let mut entries = self.queue.entries.borrow_mut();
            let at = entries.binary_search_by_key(&self.number, |entry| entry.number);
            at.ok().and_then(|at| entries.remove(at)).is_some_and(|entry| entry.has_turn)
        };
        // Without the turn there is nothing to hand on: the round is at somebody else.
        if had_turn {
            self.queue.next_turn();
        }
    }
}
