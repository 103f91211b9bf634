use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use minisign_verify::PublicKey;
use tokio::sync::{Notify, broadcast, mpsc};

use super::certificates::{ListenerTls, Ordered, Uploads};
use super::desired::Versions;
use super::membership::{ClusterState, Departures, Event, Events, KeptAmendments, Membership, Remembering, Tasks};
use super::plugins::{Gate, Loader, PluginEntries, Recordings, Shadows, Store, TrustedKeys, built_in};
use super::rollout::{Placements, Sockets, Uses};
use crate::config::Config;
use crate::health::Evaluation;
use crate::plugin::{Engine, PluginEvent, Services};
use crate::proxy::OutcomeBatch;
use crate::snapshot::{EndpointSet, Overload};
use crate::telemetry::Registry;
use crate::tls::{Challenges, Tickets};
use crate::worker::Command;

/// What the control plane is started with.
#[derive(Debug)]
pub struct Settings {
    pub engine: Engine,
    pub services: Arc<Services>,
    pub workers: Vec<mpsc::Sender<Command>>,
    pub outcomes: mpsc::Receiver<OutcomeBatch>,
    pub tickets: Tickets,
    /// Where workers find what answers challenges.
    pub challenges: Arc<Challenges>,
    /// Where workers find what they are to refuse.
    pub overload: Arc<Overload>,
    /// Keys of which one must have signed a plugin, if there are any.
    pub plugin_keys: Vec<PublicKey>,
    /// The file that the configuration came from, which a reload reads again.
    pub config_file: Option<PathBuf>,
}

/// The control plane.
#[derive(Debug)]
pub struct Control {
    pub(super) engine: Engine,
    pub(super) services: Arc<Services>,
    pub(super) loader: Loader,
    pub(super) gate: Arc<Gate>,
    /// Where uploads are kept, if they are.
    pub(super) store: Mutex<Option<Store>>,
    pub(super) registry: Arc<Registry>,
    pub(super) workers: Vec<mpsc::Sender<Command>>,
    pub(super) evaluation: Arc<Evaluation>,
    pub(super) tickets: Tickets,
    pub(super) challenges: Arc<Challenges>,
    pub(super) overload: Arc<Overload>,
    pub(super) config_file: Option<PathBuf>,
    /// Changes of configuration and plugins, which take time, come one after the other.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Certificates are uploaded and removed one after the other.
    pub(super) changing_certificates: tokio::sync::Mutex<()>,
    /// Amendments of membership that outlive the process. They come one after the other.
    pub(super) kept_amendments: tokio::sync::Mutex<KeptAmendments>,
    /// What outlives the process of how endpoints are.
    pub(super) remembering: Remembering,
    /// Endpoints that have left service, and are to be left in the end.
    pub(super) departures: Departures,
    /// Number of the next instance.
    pub(super) instances: AtomicU64,
    /// Health has said something of endpoints that is not in effect yet.
    pub(super) untold: Arc<Notify>,
    /// Endpoints have changed for which a balancer has to prepare.
    pub(super) unprepared: Arc<Notify>,
    /// Workers have been told of endpoints.
    pub(super) told: Notify,
    /// A source or a name server has said something.
    pub(super) heard: Notify,
    pub(super) events: Events,
    /// Held for moments only, never across an await.
    state: Mutex<State>,
    draining: AtomicBool,
    started: SystemTime,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) versions: Versions,
    pub(super) uses: Uses,
    pub(super) placed: Placements,
    pub(super) clusters: BTreeMap<Arc<str>, ClusterState>,
    pub(super) membership: Membership,
    pub(super) plugins: PluginEntries,
    pub(super) shadows: Shadows,
    pub(super) recordings: Recordings,
    pub(super) sockets: Sockets,
    /// Of the listeners that speak it, by their names.
    pub(super) tls: BTreeMap<String, ListenerTls>,
    pub(super) uploads: Uploads,
    pub(super) ordered: Ordered,
    pub(super) tasks: Tasks,
}

impl Control {
    /// A control plane that serves nothing, to judge configurations.
    pub(super) fn for_checking(engine: Engine, services: Arc<Services>, keys: TrustedKeys) -> Self {
        Self {
            loader: Loader::new(engine.clone(), services.clone(), keys),
            gate: Arc::default(),
            store: Mutex::default(),
            engine,
            registry: services.registry().clone(),
            workers: Vec::new(),
            evaluation: Arc::new(Evaluation::new(services.clone())),
            services,
            tickets: Tickets::new(&[]),
            challenges: Arc::default(),
            overload: Arc::default(),
            config_file: None,
            changing: tokio::sync::Mutex::new(()),
            changing_certificates: tokio::sync::Mutex::new(()),
            kept_amendments: tokio::sync::Mutex::default(),
            remembering: Remembering::default(),
            departures: Departures::default(),
            instances: AtomicU64::new(1),
            untold: Arc::default(),
            unprepared: Arc::default(),
            told: Notify::new(),
            heard: Notify::new(),
            events: Events::default(),
            state: Mutex::new(State { plugins: built_in(), ..State::default() }),
            draining: AtomicBool::new(false),
            started: SystemTime::now(),
        }
    }

    /// The configuration that is live.
    pub fn config(&self) -> Option<Arc<Config>> {
        self.lock().versions.live().map(|version| version.config.clone())
    }

    /// Number of the configuration that is live; 0 before the first.
    pub fn config_version(&self) -> u64 {
        self.lock().versions.number()
    }

    /// False before the first configuration is live, and while draining.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && self.lock().versions.live().is_some()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// What plugins say and how they fail from now on.
    pub fn listen_to_plugins(&self) -> broadcast::Receiver<PluginEvent> {
        self.services.listen()
    }

    /// What changes about clusters from now on.
    pub fn listen_to_events(&self) -> broadcast::Receiver<Event> {
        self.events.listen()
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Makes all workers accept nothing more, finish what is under way, and end.
    pub async fn drain(&self, grace: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        for worker in &self.workers {
            // A worker that is gone has drained.
            let _ = worker.send(Command::Drain { grace }).await;
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the current endpoints of a cluster to everyone.
    pub(super) fn publish(&self, cluster: &mut ClusterState) {
        let name: Arc<str> = cluster.config.name.as_str().into();
        self.evaluation.set_endpoints(&name, &cluster.set);
        self.observe_departures(cluster);
        if cluster.prepares {
            self.unprepared.notify_one();
        } else {
            self.tell_workers(&name, &cluster.set);
            cluster.told = cluster.set.generation();
        }
        self.tell_panic(cluster);
    }

    /// Takes note of who has left service, where what is under way may not go on for ever.
    pub(super) fn observe_departures(&self, cluster: &ClusterState) {
        let delay = cluster.config.deregistration_delay;
        self.departures.observe(&cluster.config.name.as_str().into(), delay, &cluster.set, Instant::now());
    }

    pub(super) fn tell_workers(&self, cluster: &Arc<str>, set: &Arc<EndpointSet>) {
        self.send_to_workers(|| Command::Endpoints { cluster: cluster.clone(), set: set.clone() });
    }

    pub(super) fn send_to_workers(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            if let Err(mpsc::error::TrySendError::Full(command)) = worker.try_send(command()) {
                // Should others overtake it: a worker ignores generations older than its own.
                tokio::spawn(send_late(worker.clone(), command));
            }
        }
    }
}

impl State {
    /// Has all listeners offer the certificates that there are now.
    pub(super) fn offer_certificates(&self) {
        self.tls.values().for_each(|listener| listener.offer(&self.ordered, &self.uploads));
    }
}

/// How long a worker may take to make room for a command.
const ROOM_WITHIN: Duration = Duration::from_secs(5);

async fn send_late(worker: mpsc::Sender<Command>, command: Command) {
    if tokio::time::timeout(ROOM_WITHIN, worker.send(command)).await.is_err() {
        // The next change, or the next configuration, brings it up to date.
        tracing::error!("a worker has not taken a command for {ROOM_WITHIN:?}; its endpoints are out of date");
    }
}
