use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::{spawn_local, yield_now};

use crate::telemetry::WorkerShard;

/// How the TLS handshakes of a worker, and those of QUIC, take turns with everything else that it does. One is some hundred microseconds of
/// arithmetic, so a flood of them would have each request wait for hundreds of others. Within a turn of the worker's loop they
/// may take [`SHARE`], and one step more; the rest waits for the next turn, in which whatever else is ready gets its own. Nothing is
/// lost where nothing else is ready: the next turn comes at once.
///
/// Not a bound on how many there are at a time: clients that say nothing would take all places, and honest ones none. Those are
/// bounded by `timeouts.tls_handshake` and `limits.connections`.
#[derive(Debug, Default)]
pub(super) struct Turns {
    spent: Cell<Duration>,
    waiting: RefCell<VecDeque<Waker>>,
    /// Somebody is there to begin the next turn.
    renewed: Cell<bool>,
}

const SHARE: Duration = Duration::from_millis(1);
/// As many as could have a step in a turn, if each were cheap.
const WOKEN: usize = 16;

impl Turns {
    /// Polls a step of a handshake, now or in a later turn.
    pub(super) fn poll<T>(
        self: &Rc<Self>,
        task: &mut Context<'_>,
        shard: &WorkerShard,
        step: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.spent.get() >= SHARE {
            shard.handshake_waits();
            self.waiting.borrow_mut().push_back(task.waker().clone());
            return Poll::Pending;
        }
        let begun = Instant::now();
        let polled = step(task);
        self.spent.set(self.spent.get() + begun.elapsed());
        if !self.renewed.replace(true) {
            spawn_local(self.clone().renew());
        }
        polled
    }

    async fn renew(self: Rc<Self>) {
        loop {
            yield_now().await;
            self.spent.set(Duration::ZERO);
            let mut waiting = self.waiting.borrow_mut();
            let woken = waiting.len().min(WOKEN);
            waiting.drain(..woken).for_each(Waker::wake);
            if waiting.is_empty() {
                self.renewed.set(false);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    #[test]
    fn what_else_is_ready_gets_its_turn_and_nobody_is_forgotten() {
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).expect("a runtime");
        runtime.block_on(async {
            let (turns, shard) = (Rc::new(Turns::default()), Rc::new(WorkerShard::default()));
            let (done, other) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let steps: Vec<_> = (0..100)
                .map(|_| {
                    let (turns, shard, done) = (turns.clone(), shard.clone(), done.clone());
                    spawn_local(poll_fn(move |task| {
                        turns.poll(task, &shard, |_| {
                            std::thread::sleep(SHARE);
                            done.set(done.get() + 1);
                            Poll::Ready(())
                        })
                    }))
                })
                .collect();
            let counted = other.clone();
            let counting = spawn_local(async move {
                loop {
                    counted.set(counted.get() + 1);
                    yield_now().await;
                }
            });
            for step in steps {
                step.await.expect("it ends");
            }
            counting.abort();
            assert_eq!(done.get(), 100);
            assert!(other.get() >= 90, "one turn for each step: {}", other.get());
        });
    }
}
