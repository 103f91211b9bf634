use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::command::Command;
use super::state::State;
use crate::proxy::{Context, OutcomeBatch};
use crate::snapshot::Overload;
use crate::telemetry::{AccessLog, Registry};
use crate::timer::{CallOff, Timers, now_ms};
use crate::tls::Challenges;
use crate::upstream::subject;

/// Commands that may wait for a worker.
const COMMANDS: usize = 1024;
/// Guests have 256 KiB of it, see the engine; hyper and tokio need a fraction.
const STACK_BYTES: usize = 4 << 20;
/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);
const LOG_FLUSH: Duration = Duration::from_millis(100);
const DRAIN_CHECK: Duration = Duration::from_millis(10);

/// A running worker, as the control plane holds it.
#[derive(Debug)]
pub struct Worker {
    pub commands: mpsc::Sender<Command>,
    thread: std::thread::JoinHandle<()>,
}

/// What a worker is started with.
#[derive(Debug)]
pub struct Spawn {
    pub number: usize,
    /// How many there are.
    pub workers: usize,
    pub registry: Arc<Registry>,
    pub access_log: Option<AccessLog>,
    pub outcomes: mpsc::Sender<OutcomeBatch>,
    pub challenges: Arc<Challenges>,
    pub overload: Arc<Overload>,
}

impl Worker {
    pub fn spawn(spawn: Spawn) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let thread = std::thread::Builder::new()
            .name(format!("plimsoll-w{}", spawn.number))
            .stack_size(STACK_BYTES)
            .spawn(move || run(spawn, inbox))?;
        Ok(Self { commands, thread })
    }

    /// Waits until the worker has ended.
    pub fn join(self) {
        drop(self.commands);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}

fn run(spawn: Spawn, inbox: mpsc::Receiver<Command>) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("a worker has no runtime: {error}");
            return;
        }
    };
    runtime.block_on(serve(spawn, inbox));
}

async fn serve(spawn: Spawn, mut inbox: mpsc::Receiver<Command>) {
    let timers = Timers::default();
    let Spawn { number, workers, registry, access_log, outcomes, challenges, overload } = spawn;
    let context = Rc::new(Context::new(timers.clone(), registry, number, access_log, outcomes, challenges, overload));
    tokio::task::spawn_local(async move { timers.run().await });
    let telling = context.clone();
    tokio::task::spawn_local(async move { telling.tell_outcomes().await });
    if context.access_log.is_some() {
        tokio::task::spawn_local(flush_log(context.clone()));
    }
    let mut state = State::new(number, workers, context.clone());
    let mut sweep = tokio::time::interval(SWEEP);
    let grace = loop {
        // Whatever has come may have brought policies or taken them away.
        let next_tick = state.tick();
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Install(install, done)) => {
                    state.install(*install);
                    // Nobody waits any more when the control plane is going down.
                    let _ = done.send(());
                }
                Some(Command::Endpoints { cluster, set }) => state.set_endpoints(&cluster, &set),
                Some(Command::Shadow(shadow, done)) => {
                    state.begin_shadow(*shadow);
                    let _ = done.send(());
                }
                Some(Command::EndShadow(differences)) => state.end_shadow(&differences),
                Some(Command::Deregister(counters)) => context.timers.call_off(subject(&counters), CallOff::End),
                Some(Command::Close(socket)) => state.close(&socket),
                Some(Command::Drain { grace }) => break grace,
                None => return,
            },
            _ = sweep.tick() => state.sweep(),
            () = until(next_tick) => {}
        }
    };
    drain(&mut state, grace).await;
    if let Some(access_log) = &context.access_log {
        access_log.flush();
    }
}

/// Waits until a moment; for ever when there is none.
async fn until(at_ms: Option<u64>) {
    match at_ms {
        Some(at_ms) => tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms()))).await,
        None => std::future::pending().await,
    }
}

async fn drain(state: &mut State, grace: Duration) {
    let begun = Instant::now();
    state.stop_accepting();
    while !state.is_done() && begun.elapsed() < grace {
        tokio::time::sleep(DRAIN_CHECK).await;
        state.tick();
    }
    let left = state.open_connections();
    if left > 0 {
        tracing::warn!(connections = left, "the grace period is over, closing what is left");
    }
}

async fn flush_log(context: Rc<Context>) {
    let mut interval = tokio::time::interval(LOG_FLUSH);
    loop {
        interval.tick().await;
        if let Some(access_log) = &context.access_log {
            access_log.flush();
        }
    }
}
