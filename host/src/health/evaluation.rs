use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::telling::Telling;
use crate::config::Discover;
use crate::plugin::{
    Discovery, DiscoveryAction, DiscoveryPlan, Evaluator, Fault, HealthPlan, Instance, OutwardAnswer, OutwardError,
    ProbeAction, ProbeEvent, ProbeResult, Prober, ProberPlan, Services, Target, Transition, Transport,
};
use crate::snapshot::{EndpointSet, Outcome};

/// The control plane's plugin instances, with the policies of all clusters that live there: of health and of discovery. Calls are short and bounded, so a
/// plain lock serves.
#[derive(Debug)]
pub struct Evaluation {
    services: Arc<Services>,
    /// Checks that may be under way at once.
    room: Semaphore,
    inner: Mutex<Inner>,
    /// Told whenever policies may be others.
    installs: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By their numbers.
    instances: HashMap<u64, Instance>,
    clusters: HashMap<Arc<str>, Policies>,
    /// What their evaluators know of the endpoints.
    tellings: HashMap<Arc<str>, Telling>,
    session: u32,
}

/// A probe under way, as its prober knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    number: u32,
    instance: u64,
    prober: Prober,
}

/// The discovery policy of a source, with the number of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finder {
    instance: u64,
    discovery: Discovery,
}

/// What a discovery is told.
#[derive(Debug)]
pub enum Found {
    Tick,
    Answered(u32, Result<OutwardAnswer, OutwardError>),
}

/// The policies of one cluster, each with the number of its instance.
#[derive(Debug)]
pub struct Policies {
    pub evaluator: (u64, Evaluator),
    /// Of each check of its probe.
    pub probers: Vec<(u64, Prober)>,
    /// Of those of its sources that are plugins.
    pub discoveries: Vec<(Discover, u64, Discovery)>,
}

/// Checks that may be under way at once. Each has a file descriptor, for as long as its endpoint is silent: a quarter of them
/// at most, since clients and their requests are refused when there are none.
fn most_checks() -> usize {
    let quarter = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |most| most / 4);
    usize::try_from(quarter).unwrap_or(usize::MAX).clamp(LEAST_CHECKS, Semaphore::MAX_PERMITS)
}

/// However few descriptors there are.
const LEAST_CHECKS: usize = 64;

impl Evaluation {
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            room: Semaphore::new(most_checks()),
            inner: Mutex::default(),
            installs: watch::Sender::new(()),
        }
    }

    /// Waits until another check may be under way.
    pub(super) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    /// Goes over to another configuration. `instances` have the policies that are new; the others live on where they are.
    /// Answers the clusters whose evaluator begins without knowing anything.
    pub fn install(&self, instances: Vec<(u64, Instance)>, clusters: HashMap<Arc<str>, Policies>) -> Vec<Arc<str>> {
        let mut inner = self.lock();
        let Inner { instances: live, .. } = &mut *inner;
        // Policies that took over what those before them knew, by instance and number.
        let mut restored = HashSet::new();
        let new: HashSet<u64> = instances.iter().map(|(number, _)| *number).collect();
        for (number, mut instance) in instances {
            let name = instance.plugin().name.clone();
            for before in live.values_mut().filter(|before| before.plugin().name == name) {
                restored.extend(instance.restore(&before.save()).into_iter().map(|policy| (number, policy)));
            }
            live.insert(number, instance);
        }
        let used: HashSet<u64> = clusters.values().flat_map(Policies::instances).collect();
        live.retain(|number, _| used.contains(number));
        inner.clusters = clusters;
        self.installs.send_replace(());
        // Whoever knows them already is not told again.
        inner.tellings.clear();
        let knows_nothing = |policies: &Policies| {
            let (instance, evaluator) = &policies.evaluator;
            new.contains(instance) && !restored.contains(&(*instance, evaluator.policy()))
        };
        let ignorant = inner.clusters.iter().filter(|(_, policies)| knows_nothing(policies));
        ignorant.map(|(name, _)| name.clone()).collect()
    }

    pub fn plan(&self, cluster: &str) -> Option<HealthPlan> {
        let inner = self.lock();
        let (plugin, evaluator) = &inner.clusters.get(cluster)?.evaluator;
        evaluator.plan(inner.instances.get(plugin)?)
    }

    /// How the prober of a cluster's check wants to be carried.
    pub fn prober_plan(&self, cluster: &str, check: usize) -> Option<ProberPlan> {
        let inner = self.lock();
        let (instance, prober) = inner.clusters.get(cluster)?.probers.get(check)?;
        prober.plan(inner.instances.get(instance)?)
    }

    /// The evaluator of a cluster hears of its endpoints in good time.
    pub fn set_endpoints(&self, cluster: &str, endpoints: &Arc<EndpointSet>) {
        let mut inner = self.lock();
        if let Some((name, _)) = inner.clusters.get_key_value(cluster) {
            let name = name.clone();
            inner.tellings.entry(name).or_default().note(endpoints);
        }
    }

    pub fn outcomes(&self, cluster: &str, batch: &[Outcome]) -> Vec<Transition> {
        let now_ms = self.services.now_ms();
        self.evaluate(cluster, now_ms, |evaluator, instance| evaluator.outcomes(instance, now_ms, batch))
    }

    pub fn probed(&self, cluster: &str, result: &ProbeResult) -> Vec<Transition> {
        let now_ms = self.services.now_ms();
        self.evaluate(cluster, now_ms, |evaluator, instance| evaluator.probed(instance, now_ms, result))
    }

    pub fn tick(&self, cluster: &str) -> Vec<Transition> {
        let now_ms = self.services.now_ms();
        self.evaluate(cluster, now_ms, |evaluator, instance| evaluator.tick(instance, now_ms))
    }

    /// Begins a check of one of a cluster's endpoints, of this number; answers its session, what it goes over, and the first
    /// actions.
    pub(super) fn open(
        &self,
        cluster: &str,
        check: usize,
        target: &Target,
    ) -> Option<(Session, Transport, Vec<ProbeAction>)> {
        let mut inner = self.lock();
        inner.session = inner.session.wrapping_add(1);
        let (instance, prober) = *inner.clusters.get(cluster)?.probers.get(check)?;
        let session = Session { number: inner.session, instance, prober };
        let instance = inner.instances.get_mut(&instance)?;
        let transport = prober.plan(instance)?.transport;
        // A prober that fails says nothing of the endpoint; the fault is counted where it happened.
        let actions = prober.open(instance, session.number, target).ok()?;
        Some((session, transport, actions))
    }

    /// Tells the prober that began the probe what happened. Should its instance have been replaced meanwhile, that is a
    /// fault, and says nothing about the endpoint.
    pub(super) fn advance(&self, session: Session, event: ProbeEvent) -> Result<Vec<ProbeAction>, Fault> {
        let mut inner = self.lock();
        let instance = inner.instances.get_mut(&session.instance).ok_or(Fault::Rebuilding)?;
        session.prober.advance(instance, session.number, event)
    }

    pub(super) fn close(&self, session: Session) {
        // The instance may be gone by now, and its sessions with it.
        if let Some(instance) = self.lock().instances.get_mut(&session.instance) {
            session.prober.close(instance, session.number);
        }
    }

    /// Tells whenever policies may be others than before.
    pub fn installs(&self) -> watch::Receiver<()> {
        self.installs.subscribe()
    }

    /// The policy that finds endpoints for a source, with its plan.
    pub fn finder(&self, cluster: &str, from: &Discover) -> Option<(Finder, DiscoveryPlan)> {
        let inner = self.lock();
        let mut discoveries = inner.clusters.get(cluster)?.discoveries.iter();
        let (_, instance, discovery) = discoveries.find(|(of, ..)| of == from)?;
        let finder = Finder { instance: *instance, discovery: *discovery };
        Some((finder, discovery.plan(inner.instances.get(instance)?)?))
    }

    /// Asks a discovery what it wants done now.
    pub fn find(&self, finder: Finder, event: Found) -> Result<Vec<DiscoveryAction>, Fault> {
        let now_ms = self.services.now_ms();
        let mut inner = self.lock();
        let instance = inner.instances.get_mut(&finder.instance).ok_or(Fault::Rebuilding)?;
        match event {
            Found::Tick => finder.discovery.tick(instance, now_ms),
            Found::Answered(number, answer) => finder.discovery.answered(instance, now_ms, number, answer),
        }
    }

    /// It wanted what cannot be done.
    pub fn wanted_invalid(&self, finder: Finder, reason: &str) {
        if let Some(instance) = self.lock().instances.get_mut(&finder.instance) {
            finder.discovery.invalid(instance, reason);
        }
    }

    /// A policy that fails leaves every endpoint as it is; the fault is counted where it happened.
    fn evaluate(
        &self,
        cluster: &str,
        now_ms: u64,
        ask: impl FnOnce(&Evaluator, &mut Instance) -> Result<Vec<Transition>, Fault>,
    ) -> Vec<Transition> {
        let mut inner = self.lock();
        let Inner { instances, clusters, tellings, .. } = &mut *inner;
        let Some(policies) = clusters.get(cluster) else { return Vec::new() };
        let (plugin, evaluator) = &policies.evaluator;
        let Some(instance) = instances.get_mut(plugin) else { return Vec::new() };
        if let Some(endpoints) = tellings.get_mut(cluster).and_then(|telling| telling.due(now_ms)) {
            evaluator.set_endpoints(instance, &endpoints);
        }
        ask(evaluator, instance).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policies {
    fn instances(&self) -> impl Iterator<Item = u64> {
        let probers = self.probers.iter().map(|(instance, _)| *instance);
        let discoveries = self.discoveries.iter().map(|(_, instance, _)| *instance);
        std::iter::once(self.evaluator.0).chain(probers).chain(discoveries)
    }
}
