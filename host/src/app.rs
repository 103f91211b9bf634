//! Wiring: starts the workers and the control plane, waits for signals, and ends everything in order.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin;
use crate::config::{self, Config};
use crate::control::{self, ApplyError, Control, Settings, TriedProbe, TryProbeError, try_probe};
use crate::discovery::Watched;
use crate::health::Watcher;
use crate::plugin::{Engine, Node, Services};
use crate::snapshot::Overload;
use crate::telemetry::{AccessLog, Format, LineWriter, Output, Registry};
use crate::tls::{Challenges, Tickets};
use crate::worker::{Spawn, Worker};

/// Batches of outcomes that may wait for the control plane; a worker drops and counts what does not fit.
const OUTCOME_BATCHES: usize = 256;

/// Why the proxy did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The configuration does not work.
    Config(ApplyError),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for StartError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// The file that a configuration came from.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    /// Whether it is read again whenever it changes.
    pub(crate) watch: bool,
}

/// Where a running proxy can be reached.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Name and addresses of each listener.
    pub(crate) listeners: Vec<(String, Vec<String>)>,
    /// Address of the admin API, if it is on.
    pub(crate) admin: Option<String>,
}

/// Runs the proxy until it is told to end. `live` is called once it serves.
pub(crate) fn run(config: Config, file: Option<ConfigFile>, live: impl FnOnce(&Addresses)) -> Result<(), StartError> {
    // The control plane has a thread of its own, this one, and the threads on which plugins are compiled.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config, file, live));
    // Dropping it would wait for the workers, which are not waited for when the end was to come at once.
    runtime.shutdown_background();
    served
}

async fn serve(config: Config, file: Option<ConfigFile>, live: impl FnOnce(&Addresses)) -> Result<(), StartError> {
    let mut changes = ConfigChanges::of(file.as_ref());
    let file = file.map(|file| file.path);
    // Signals that come while everything is being started wait for the loop below.
    let mut signals = Signals::new()?;
    let registry = Arc::new(Registry::new());
    let (log_writer, access_logs) = access_log(&config, &registry)?;
    let (outcomes, heard) = mpsc::channel(OUTCOME_BATCHES);
    let challenges = Arc::new(Challenges::default());
    let overload = Arc::new(Overload::default());
    control::raise_open_files();
    let workers = access_logs
        .into_iter()
        .enumerate()
        .map(|(number, access_log)| {
            let (registry, outcomes, challenges) = (registry.clone(), outcomes.clone(), challenges.clone());
            let (workers, overload) = (config.workers, overload.clone());
            Worker::spawn(Spawn { number, workers, registry, access_log, outcomes, challenges, overload })
        })
        .collect::<Result<Vec<_>, _>>()
        .context("starting a worker failed")?;
    drop(outcomes);
    let secret = secret(&config);
    let node = Node::of(config.node.id.clone(), config.node.zone.clone(), config.workers);
    let control = Control::start(Settings {
        engine: Engine::new()?,
        services: Arc::new(Services::new(&secret, registry).with_node(node)),
        workers: workers.iter().map(|worker| worker.commands.clone()).collect(),
        outcomes: heard,
        tickets: Tickets::new(&secret),
        challenges,
        overload,
        plugin_keys: config.plugin_keys.clone(),
        config_file: file.clone(),
    });
    if let Some((directory, is_asked_for)) = config.plugins_dir.of(file.as_deref(), "plugins") {
        control.open_store(&directory, is_asked_for);
        control.tidy_store();
    }
    if let Some((path, _)) = config.endpoints_file.of(file.as_deref(), "endpoints.json") {
        control.open_amendments(&path);
    }
    if let Some((path, _)) = config.state_file.of(file.as_deref(), "state.json") {
        control.open_state(&path);
    }
    if let Some((directory, _)) = config.certificates_dir.of(file.as_deref(), "certificates") {
        control.open_certificates(&directory);
    }
    let mut grace = config.shutdown_grace;
    let admin_config = config.admin.clone();
    control.apply(config, "start").await.map_err(StartError::Config)?;
    let admin = match admin_config {
        Some(admin) => Some(admin::start(&admin, control.clone()).await?),
        None => None,
    };
    let addresses = Addresses {
        listeners: control.status().listeners.into_iter().map(|listener| (listener.name, listener.addresses)).collect(),
        admin: admin.as_ref().map(|admin| admin.address().to_owned()),
    };
    announce(&addresses);
    live(&addresses);

    loop {
        let told = tokio::select! {
            told = signals.next() => told,
            () = changes.next(&control) => Told::Reload,
        };
        match told {
            Told::Reload => {
                // What is wrong is in the log, and the configuration that was live still is.
                if control.reload().await.is_ok()
                    && let Some(config) = control.config()
                {
                    grace = config.shutdown_grace;
                }
            }
            Told::ReopenLogs => {
                if let Some(writer) = &log_writer {
                    writer.reopen();
                }
            }
            Told::End => break,
        }
    }
    tracing::info!(?grace, "ending: nothing new is accepted, what is under way finishes");
    control.keep_state().await;
    control.drain(grace).await;
    let ended = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::join));
    tokio::select! {
        _ = ended => tracing::info!("all workers have ended"),
        () = signals.told_again() => {
            tracing::warn!("told to end a second time, ending at once");
            return Err(anyhow!("ended with requests under way").into());
        }
    }
    drop(admin);
    // Writes what is queued.
    drop(log_writer);
    Ok(())
}

/// Of the addresses of a listener, when it begins to listen; a range may have thousands.
const MOST_TOLD: usize = 8;

fn announce(addresses: &Addresses) {
    for (name, addresses) in &addresses.listeners {
        for address in addresses.iter().take(MOST_TOLD) {
            tracing::info!(listener = name, address, "listening");
        }
        if let Some(further @ 1..) = addresses.len().checked_sub(MOST_TOLD) {
            tracing::info!(listener = name, "listening at {further} further addresses");
        }
    }
    if let Some(address) = &addresses.admin {
        tracing::info!(address, "admin API is up");
    }
}

/// One access log for each worker, all writing through one thread.
fn access_log(
    config: &Config,
    registry: &Registry,
) -> Result<(Option<LineWriter>, Vec<Option<AccessLog>>), anyhow::Error> {
    let format = match config.access_log.format {
        config::AccessLogFormat::Off => return Ok((None, (0..config.workers).map(|_| None).collect())),
        config::AccessLogFormat::Json => Format::Json,
        config::AccessLogFormat::Combined => Format::Combined,
    };
    let destination = match &config.access_log.output {
        config::LogOutput::Stdout => Output::Stdout,
        config::LogOutput::File(path) => Output::File(path.clone()),
    };
    let writer =
        LineWriter::start(destination, registry.access_log_dropped()).context("opening the access log failed")?;
    let logs = (0..config.workers).map(|_| Some(AccessLog::new(format, writer.sender()))).collect();
    Ok((Some(writer), logs))
}

/// The operator's secret, or one that lasts as long as the process.
fn secret(config: &Config) -> Vec<u8> {
    config.secret.clone().unwrap_or_else(|| {
        let mut random = [0; 32];
        // The kernel's generator has been seeded long before a proxy starts, so this neither fails nor waits.
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        random.to_vec()
    })
}

/// Changes of the configuration's file.
struct ConfigChanges(Option<Watched>);

/// A file that is larger is read again all the same, to be refused.
const CONFIG_BYTES: u64 = 16 << 20;

impl ConfigChanges {
    fn of(file: Option<&ConfigFile>) -> Self {
        Self(file.filter(|file| file.watch).map(|file| Watched::new(&file.path, CONFIG_BYTES)))
    }

    /// Waits until the file is another than the configuration that is live; for ever, if it is not watched. A change that
    /// happened while the proxy started is one, and one that the proxy has made itself, to save what is live, is none.
    async fn next(&mut self, control: &Control) {
        let Some(watched) = &mut self.0 else { return std::future::pending().await };
        loop {
            let text = watched.next().await;
            let is_live = |text: &Vec<u8>| control.config().is_some_and(|live| live.source.text().as_bytes() == text);
            if !text.as_ref().is_ok_and(is_live) {
                tracing::info!(file = %watched.path().display(), "the configuration file has changed");
                return;
            }
        }
    }
}

/// What is asked of the process.
enum Told {
    /// SIGHUP, or the file of the configuration has changed.
    Reload,
    /// SIGUSR1.
    ReopenLogs,
    /// SIGTERM or SIGINT.
    End,
}

struct Signals {
    hangup: Signal,
    user: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user.recv() => Told::ReopenLogs,
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
        }
    }

    async fn told_again(&mut self) {
        while !matches!(self.next().await, Told::End) {}
    }
}

/// Lets all plugins that a configuration names judge it, without serving. Answers a summary.
pub(crate) fn check(config: Config, file: &Path) -> Result<String, ApplyError> {
    let summary = Summary { listeners: config.listeners.len(), clusters: config.clusters.len() };
    let engine = Engine::new().map_err(ApplyError::Engine)?;
    let registry = Arc::new(Registry::new());
    let services = Arc::new(Services::new(b"", registry));
    let store = config.plugins_dir.of(Some(file), "plugins");
    let store = store.as_ref().map(|(directory, is_asked_for)| (directory.as_path(), *is_asked_for));
    crate::control::check(&engine, &services, config, store)?;
    Ok(summary.to_string())
}

/// Probes the endpoints of a cluster once, or only the one of an id or at an address; see [`try_probe`].
pub(crate) fn probe(
    config: Config,
    file: Option<&Path>,
    whom: (&str, Option<&str>),
    watcher: &dyn Watcher,
) -> Result<Vec<TriedProbe>, TryProbeError> {
    let engine = Engine::new().map_err(ApplyError::Engine)?;
    let services = Arc::new(Services::new(b"", Arc::new(Registry::new())));
    let store = file.and_then(|file| config.plugins_dir.of(Some(file), "plugins"));
    let store = store.as_ref().map(|(directory, is_asked_for)| (directory.as_path(), *is_asked_for));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TryProbeError::Runtime)?;
    runtime.block_on(try_probe(&engine, &services, config, store, whom, watcher))
}

struct Summary {
    listeners: usize,
    clusters: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ok, {} listeners, {} clusters", self.listeners, self.clusters)
    }
}
