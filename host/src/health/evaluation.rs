use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::plugin::{
    Evaluator, Fault, HealthPlan, Instance, ProbeAction, ProbeEvent, ProbeResult, Prober, Services, Target, Transition,
    Transport,
};
use crate::snapshot::{EndpointSet, Outcome};

/// The control plane's plugin instances, with the health policies of all clusters. Calls are short and bounded, so a
/// plain lock serves.
#[derive(Debug)]
pub struct Evaluation {
    services: Arc<Services>,
    inner: Mutex<Inner>,
    /// Another version of an evaluator, which may have another plan, has become live.
    swapped: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    instances: HashMap<Arc<str>, Instance>,
    clusters: HashMap<Arc<str>, Policies>,
    session: u32,
}

/// The health policies of one cluster, each by the name of its plugin.
#[derive(Debug)]
pub struct Policies {
    pub evaluator: (Arc<str>, Evaluator),
    pub prober: Option<(Arc<str>, Prober)>,
}

impl Evaluation {
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, inner: Mutex::default(), swapped: watch::Sender::default() }
    }

    /// Goes over to another configuration. Policies that know a state take it with them.
    pub fn install(&self, instances: Vec<Instance>, clusters: HashMap<Arc<str>, Policies>) {
        let mut inner = self.lock();
        let mut next = HashMap::new();
        for mut instance in instances {
            let name = instance.plugin().name.clone();
            if let Some(before) = inner.instances.get_mut(&name) {
                instance.restore(&before.save());
            }
            next.insert(name, instance);
        }
        inner.instances = next;
        inner.clusters = clusters;
    }

    /// Puts another version of a plugin in the place of the one that is live.
    pub fn swap(&self, mut instance: Instance) {
        let mut inner = self.lock();
        if let Some(place) = inner.instances.get_mut(&instance.plugin().name) {
            instance.restore(&place.save());
            *place = instance;
        }
        drop(inner);
        self.swapped.send_replace(());
    }

    /// Tells when plans may have changed.
    pub fn swaps(&self) -> watch::Receiver<()> {
        self.swapped.subscribe()
    }

    /// Clusters whose evaluator is a plugin, and whether it wants outcomes.
    pub fn wanting_outcomes(&self, plugin: &str) -> Vec<(Arc<str>, bool)> {
        let inner = self.lock();
        let of_plugin = inner.clusters.iter().filter(|(_, policies)| *policies.evaluator.0 == *plugin);
        of_plugin
            .filter_map(|(cluster, Policies { evaluator: (name, evaluator), .. })| {
                Some((cluster.clone(), evaluator.plan(inner.instances.get(name)?)?.outcomes))
            })
            .collect()
    }

    pub fn plan(&self, cluster: &str) -> Option<HealthPlan> {
        let inner = self.lock();
        let (plugin, evaluator) = &inner.clusters.get(cluster)?.evaluator;
        evaluator.plan(inner.instances.get(plugin)?)
    }

    pub fn set_endpoints(&self, cluster: &str, endpoints: &Arc<EndpointSet>) {
        self.evaluate(cluster, |evaluator, instance| {
            evaluator.set_endpoints(instance, endpoints);
            Ok(Vec::new())
        });
    }

    pub fn outcomes(&self, cluster: &str, batch: &[Outcome]) -> Vec<Transition> {
        let now_ms = self.services.now_ms();
        self.evaluate(cluster, |evaluator, instance| evaluator.outcomes(instance, now_ms, batch))
    }

    pub fn probed(&self, cluster: &str, result: &ProbeResult) -> Vec<Transition> {
        let now_ms = self.services.now_ms();
        self.evaluate(cluster, |evaluator, instance| evaluator.probed(instance, now_ms, result))
    }

    pub fn tick(&self, cluster: &str) -> Vec<Transition> {
        let now_ms = self.services.now_ms();
        self.evaluate(cluster, |evaluator, instance| evaluator.tick(instance, now_ms))
    }

    pub(super) fn transport(&self, cluster: &str) -> Option<Transport> {
        let inner = self.lock();
        let (plugin, prober) = inner.clusters.get(cluster)?.prober.as_ref()?;
        prober.transport(inner.instances.get(plugin)?)
    }

    /// Begins a probe; answers its session and the first actions.
    pub(super) fn open(&self, cluster: &str, target: &Target) -> Result<(u32, Vec<ProbeAction>), Fault> {
        let mut inner = self.lock();
        inner.session = inner.session.wrapping_add(1);
        let session = inner.session;
        let actions = inner.prober(cluster, |prober, instance| prober.open(instance, session, target))?;
        Ok((session, actions))
    }

    pub(super) fn advance(&self, cluster: &str, session: u32, event: ProbeEvent) -> Result<Vec<ProbeAction>, Fault> {
        self.lock().prober(cluster, |prober, instance| prober.advance(instance, session, event))
    }

    pub(super) fn close(&self, cluster: &str, session: u32) {
        // The cluster may be gone by now, and its sessions with it.
        let _ = self.lock().prober(cluster, |prober, instance| {
            prober.close(instance, session);
            Ok(())
        });
    }

    /// A policy that fails leaves every endpoint as it is; the fault is counted where it happened.
    fn evaluate(
        &self,
        cluster: &str,
        ask: impl FnOnce(&Evaluator, &mut Instance) -> Result<Vec<Transition>, Fault>,
    ) -> Vec<Transition> {
        let mut inner = self.lock();
        let Inner { instances, clusters, .. } = &mut *inner;
        let Some(policies) = clusters.get(cluster) else { return Vec::new() };
        let (plugin, evaluator) = &policies.evaluator;
        let Some(instance) = instances.get_mut(plugin) else { return Vec::new() };
        ask(evaluator, instance).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn prober<R>(
        &mut self,
        cluster: &str,
        ask: impl FnOnce(&Prober, &mut Instance) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let policies = self.clusters.get(cluster).ok_or(Fault::Rebuilding)?;
        let (plugin, prober) = policies.prober.as_ref().ok_or(Fault::Rebuilding)?;
        let instance = self.instances.get_mut(plugin).ok_or(Fault::Rebuilding)?;
        ask(prober, instance)
    }
}
