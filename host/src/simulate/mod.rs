//! The lab's scenarios, as files and built in, and components as its balancers: run as the proxy runs them, but with a
//! clock and a seed of the simulation.

mod check;
mod choice;
mod clients;
mod contestant;
mod fleet;
mod referee;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::anyhow;
use plimsoll_lab as lab;

pub use check::{Overrides, Prepared, Variant};
pub use choice::{BALANCERS, Choice};
pub use clients::Kind;

use crate::config::{self, ConfigErrors};
use crate::plugin::{CreateError, Engine, Role, thread_cpu_time};
use contestant::Contestant;
use fleet::{Companions, Fleet};
use referee::Referee;

/// A scenario that comes with the proxy.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    /// As a file would have it.
    pub text: &'static str,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(BuiltIn { name: $name, text: include_str!(concat!("scenarios/", $name, ".yaml")) }),*]
    };
}

/// In the order in which one would look at them.
pub const BUILT_IN: &[BuiltIn] = built_in![
    "steady",
    "weighted",
    "uneven",
    "slow-endpoint",
    "bursts",
    "heavy-tail",
    "failing",
    "joining",
    "many-proxies",
    "hot-keys",
    "resizing",
    "memory",
    "zones",
    "packing",
    "retry-storm",
    "hedging",
    "ejection",
];

/// What is compared when neither the command line nor the scenario says.
pub const USUAL: [&str; 7] =
    ["round-robin", "random", "least-request", "least-connections", "least-time", "peak-ewma", "weighted-by-signal"];

impl BuiltIn {
    pub fn find(name: &str) -> Option<&'static Self> {
        BUILT_IN.iter().find(|built_in| built_in.name == name)
    }

    pub fn prepare(&self, overrides: &Overrides) -> Result<Prepared, ConfigErrors> {
        check::scenario(self.text, Path::new(&format!("{}.yaml", self.name)), self.name, overrides)
    }
}

/// Reads a scenario from a file.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Prepared, ConfigErrors> {
    let text = config::read_file(path)?;
    let name = path.file_stem().map_or_else(|| "scenario".to_owned(), |name| name.to_string_lossy().into_owned());
    check::scenario(&text, path, &name, overrides)
}

/// The endpoints of a proxy's cluster. How much they can do is not in its configuration: all are alike but for their
/// weights, which are taken to be right.
pub fn endpoints(cluster: &config::Cluster) -> Vec<lab::Endpoint> {
    let weights: f64 = cluster.endpoints.iter().map(|endpoint| f64::from(endpoint.weight)).sum();
    let mean = (weights / cluster.endpoints.len().max(1) as f64).max(f64::MIN_POSITIVE);
    let endpoint = |endpoint: &config::Endpoint| lab::Endpoint {
        id: endpoint.id.clone(),
        weight: endpoint.weight,
        priority: endpoint.priority,
        max_connections: endpoint.max_connections,
        concurrency: (CONCURRENCY * f64::from(endpoint.weight) / mean).round().max(1.0) as u32,
        speed: 1.0,
        zone: endpoint.zone.clone(),
        metadata: endpoint.metadata.clone().into_iter().collect(),
    };
    cluster.endpoints.iter().map(endpoint).collect()
}

/// Requests at a time that an endpoint of mean weight is taken to work on.
const CONCURRENCY: f64 = 8.0;

/// A plugin that a proxy's configuration uses, such as the balancer of a cluster.
pub fn configured(config: &config::Config, used: &config::PluginUse) -> Choice {
    let own = config.plugins.iter().find(|plugin| plugin.name == used.plugin);
    let name = own.map_or_else(|| used.plugin.clone(), |own| own.path.to_string_lossy().into_owned());
    Choice { name, config: if used.config.is_null() { "{}".to_owned() } else { used.config.to_string() } }
}

/// Why nothing was simulated.
#[derive(Debug)]
pub enum SimulateError {
    /// A balancer is not one, or refuses its configuration; the text says it all.
    Usage(String),
    Other(anyhow::Error),
}

/// Plays a scenario with each balancer, on several threads. `progress` is told the share of all that is done.
pub fn compare(
    prepared: &Prepared,
    choices: Vec<Choice>,
    comparison: Comparison,
    progress: &mut dyn FnMut(f64),
) -> Result<lab::Report, SimulateError> {
    let engine = Engine::new().map_err(SimulateError::Other)?;
    let companions = companions(&engine, prepared)?;
    let contestant = |choice| contestant(&engine, choice, &companions, &prepared.scenario).map(Arc::new);
    let contestants: Result<Vec<Arc<Contestant>>, SimulateError> = choices.into_iter().map(contestant).collect();
    let evaluators: Result<Vec<_>, SimulateError> =
        prepared.variants.iter().map(|variant| evaluator(&engine, variant.evaluator.as_ref())).collect();
    let contests = contests(prepared, &contestants?, &evaluators?, &companions);
    comparison.check(&contests)?;
    let mut entries = play_all(&contests, progress).map_err(SimulateError::Other)?;
    if comparison.times_choices {
        // By itself: what runs beside it would be measured, too.
        for entry in &mut entries {
            let contest = contests.iter().find(|contest| contest.name == entry.name);
            entry.choice_ns = contest.map(choice_ns).transpose().map_err(SimulateError::Other)?;
        }
    }
    let mut report = lab::Report::new(&prepared.scenario, &prepared.text, comparison.command, entries);
    if let Some(baseline) = &comparison.baseline
        && !report.compare_with(baseline)
    {
        return Err(SimulateError::Usage(format!(
            "error: with {baseline} too many requests failed to compare with it"
        )));
    }
    Ok(report)
}

/// What else is wanted of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The command line that makes the same again.
    pub command: String,
    /// The name of the one that the others are compared with.
    pub baseline: Option<String>,
    /// Whether it is measured what a choice costs.
    pub times_choices: bool,
}

impl Comparison {
    fn check(&self, contests: &[Contest]) -> Result<(), SimulateError> {
        let Some(baseline) = &self.baseline else { return Ok(()) };
        if contests.iter().any(|contest| contest.name == *baseline) {
            return Ok(());
        }
        let names: Vec<&str> = contests.iter().map(|contest| &*contest.name).collect();
        let names = names.join(", ");
        Err(SimulateError::Usage(format!("error: `{baseline}` is not among those that are compared: {names}")))
    }
}

/// A balancer in a scenario.
struct Contest {
    scenario: lab::Scenario,
    contestant: Arc<Contestant>,
    /// Who ejects endpoints.
    evaluator: Option<Arc<Contestant>>,
    companions: Companions,
    /// What its entry is called.
    name: String,
}

/// Each balancer, with each of what proxies may do about failures, and the evaluator of that.
fn contests(
    prepared: &Prepared,
    contestants: &[Arc<Contestant>],
    evaluators: &[Option<Arc<Contestant>>],
    companions: &Companions,
) -> Vec<Contest> {
    let Prepared { scenario, variants, .. } = prepared;
    let plain = |contestant: &Arc<Contestant>| Contest {
        scenario: scenario.clone(),
        contestant: contestant.clone(),
        evaluator: None,
        companions: companions.clone(),
        name: contestant.choice.label(),
    };
    if variants.is_empty() {
        return contestants.iter().map(plain).collect();
    }
    let with = |variant: &Variant, evaluator: &Option<Arc<Contestant>>, contestant: &Arc<Contestant>| {
        let resilience = variant.resilience.clone();
        let name = match contestants.len() {
            1 => resilience.name.clone(),
            _ => format!("{}, {}", contestant.choice.label(), resilience.name),
        };
        let max_attempts = variant.max_attempts.unwrap_or(scenario.max_attempts);
        let scenario = lab::Scenario { max_attempts, resilience, ..scenario.clone() };
        let (contestant, evaluator) = (contestant.clone(), evaluator.clone());
        Contest { scenario, contestant, evaluator, companions: companions.clone(), name }
    };
    let all = variants.iter().zip(evaluators).flat_map(|(variant, evaluator)| {
        contestants.iter().map(move |contestant| with(variant, evaluator, contestant))
    });
    all.collect()
}

/// Instances of plugins at a time.
const MOST_INSTANCES: u32 = 4 * check::MOST_WORKERS;

/// Loads a balancer, and lets it judge its configuration.
fn contestant(
    engine: &Engine,
    choice: Choice,
    companions: &Companions,
    scenario: &lab::Scenario,
) -> Result<Contestant, SimulateError> {
    let contestant = Contestant::load(engine, choice).map_err(SimulateError::Other)?;
    match Fleet::start(&contestant, companions, scenario) {
        Ok(_) => Ok(contestant),
        Err(error) => Err(refused(&contestant.choice, error)),
    }
}

/// Loads who stands around the balancers, and lets them judge their configurations.
fn companions(engine: &Engine, prepared: &Prepared) -> Result<Companions, SimulateError> {
    let load = |role, choice: &Choice| -> Result<Arc<Contestant>, SimulateError> {
        let contestant = Contestant::load(engine, choice.clone()).map_err(SimulateError::Other)?;
        fleet::judge(role, &contestant).map_err(|error| refused(choice, error))?;
        Ok(Arc::new(contestant))
    };
    let partitioners = prepared.partitioners.iter().map(|choice| load(Role::Partitioner, choice));
    Ok(Companions {
        partitioners: partitioners.collect::<Result<_, _>>()?,
        affinity: prepared.affinity.as_ref().map(|choice| load(Role::Affinity, choice)).transpose()?,
        kinds: prepared.kinds.clone().into(),
    })
}

/// The same of an evaluator.
fn evaluator(engine: &Engine, choice: Option<&Choice>) -> Result<Option<Arc<Contestant>>, SimulateError> {
    let Some(choice) = choice.cloned() else { return Ok(None) };
    let contestant = Contestant::load(engine, choice).map_err(SimulateError::Other)?;
    match Referee::start(&contestant.plugin, &contestant.choice.config, 0) {
        Ok(_) => Ok(Some(Arc::new(contestant))),
        Err(error) => Err(refused(&contestant.choice, error)),
    }
}

fn refused(choice: &Choice, error: CreateError) -> SimulateError {
    let text = format!("{}: {error}", choice.label());
    match error {
        CreateError::Failed(_) => SimulateError::Other(anyhow::Error::msg(text)),
        CreateError::Refused(_) | CreateError::MissingRole => SimulateError::Usage(format!("error: {text}")),
    }
}

fn play_all(contests: &[Contest], progress: &mut dyn FnMut(f64)) -> anyhow::Result<Vec<lab::Entry>> {
    let workers = contests.iter().map(|contest| contest.scenario.proxies * contest.scenario.workers).max().unwrap_or(1);
    // Each thread has two instances for each worker where keys are followed, and one for an evaluator; the engine has room for so
    // many in all.
    let of_each = contests.iter().map(|contest| 1 + contest.companions.count()).max().unwrap_or(1);
    let room = (MOST_INSTANCES / (2 * workers * of_each + 1)).max(1) as usize;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(contests.len()).min(room);
    let next = AtomicUsize::new(0);
    let steps = contests.len() * lab::SLICES;
    let (tells, hears) = mpsc::sync_channel(steps.max(1));
    std::thread::scope(|scope| {
        let start = |_| {
            let (tells, next) = (tells.clone(), &next);
            scope.spawn(move || play_in_turn(contests, next, &tells))
        };
        let players: Vec<_> = (0..threads).map(start).collect();
        drop(tells);
        for (done, ()) in hears.iter().enumerate() {
            progress(done as f64 / steps as f64);
        }
        let played =
            players.into_iter().map(|player| player.join().unwrap_or_else(|_| Err(anyhow!("a thread failed"))));
        Ok(played.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

/// Takes the next contest until none is left.
fn play_in_turn(
    contests: &[Contest],
    next: &AtomicUsize,
    tells: &mpsc::SyncSender<()>,
) -> anyhow::Result<Vec<lab::Entry>> {
    let mut entries = Vec::new();
    while let Some(contest) = contests.get(next.fetch_add(1, Ordering::Relaxed)) {
        entries.push(play(contest, tells)?);
    }
    Ok(entries)
}

fn play(contest: &Contest, tells: &mpsc::SyncSender<()>) -> anyhow::Result<lab::Entry> {
    let Contest { scenario, contestant, evaluator, companions, name } = contest;
    let choice = &contestant.choice;
    let mut make = || -> Result<Box<dyn lab::Balancer>, String> {
        let fleet = Fleet::start(contestant, companions, scenario).map_err(|error| error.to_string())?;
        Ok(Box::new(fleet))
    };
    // Nobody needs to hear of every step.
    let mut progress = |_| {
        let _ = tells.try_send(());
    };
    let evaluator = evaluator.as_ref().map(|evaluator| -> anyhow::Result<Box<dyn lab::Evaluator>> {
        let Contestant { choice, plugin } = &**evaluator;
        let referee = Referee::start(plugin, &choice.config, scenario.seed);
        Ok(Box::new(referee.map_err(|error| anyhow!("{}: {error}", choice.label()))?))
    });
    let measured = lab::run(scenario, &mut make, evaluator.transpose()?, &mut progress);
    let measured = measured.map_err(|error| anyhow!("{}: {error}", choice.label()))?;
    Ok(lab::Entry::new(name.clone(), choice.config.clone(), measured))
}

/// Choices that are measured, after some that are not.
const CHOICES: u64 = 20_000;

/// Processor time of a choice among the endpoints of the beginning, in nanoseconds.
fn choice_ns(contest: &Contest) -> anyhow::Result<u64> {
    let Contest { scenario, contestant, companions, .. } = contest;
    let fleet = Fleet::start(contestant, companions, scenario);
    let mut fleet = fleet.map_err(|error| anyhow!("{}: {error}", contestant.choice.label()))?;
    lab::Balancer::set_endpoints(&mut fleet, &lab::members(scenario));
    let has_keys = scenario.keys != lab::Keys::None;
    let mut choose = |from: u64, count: u64| {
        let began = thread_cpu_time();
        for number in from..from + count {
            let asked = lab::Asked { key: has_keys.then(|| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)), kind: 0 };
            // One that fails takes its time as well.
            let _ = lab::Balancer::pick(&mut fleet, 0, asked, &[]);
        }
        thread_cpu_time().saturating_sub(began)
    };
    choose(0, CHOICES / 10);
    Ok(choose(CHOICES / 10, CHOICES).as_nanos() as u64 / CHOICES)
}
