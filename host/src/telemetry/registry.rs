use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::cell::{SharedCounter, SharedGauge, Writers};
use super::families::Scrape;
use super::histogram::{CALL, HistogramTotal};
use super::label::{AcmeOrder, AdminRefusal, OutwardResult, ReloadResult, ShadowEnd, ShadowResult, TrapKind};
use super::sample::{CertificateSample, ClusterSample};
use super::shard::{ClusterShard, ListenerShard, PluginShard, PluginTotals, ShadowShard, WorkerShard};
use super::shards::{ShardMap, Shards};

/// What a request without a route is counted under. A cluster of this name would be counted together with those.
const NO_CLUSTER: &str = "none";

/// Everything that is counted, for the life of the process.
///
/// Each worker writes shards of its own and a scrape adds them up. A shard is found again by its name, so counts
/// outlive configurations; [`retain`](Self::retain) forgets what the configuration no longer names. The lock is taken
/// when shards are handed out and, briefly, by a scrape: never for a request.
pub struct Registry {
    shards: Mutex<Shards>,
    /// Apart from the shards because plugins count while a request waits, on any thread.
    plugins: ArcSwap<BTreeMap<Arc<str>, Arc<PluginTotals>>>,
    clusters_sampled: Mutex<Option<Arc<ClusterSource>>>,
    certificates: Mutex<Option<Arc<CertificateSource>>>,
    certificate_reloads: [SharedCounter; ReloadResult::ALL.len()],
    acme_orders: [SharedCounter; AcmeOrder::ALL.len()],
    start_seconds: f64,
    config_version: SharedGauge,
    reloads: [SharedCounter; ReloadResult::ALL.len()],
    last_reload_succeeded: AtomicBool,
    discoveries: [SharedCounter; ReloadResult::ALL.len()],
    access_log_dropped: Arc<SharedCounter>,
    admin_refused: [SharedCounter; AdminRefusal::ALL.len()],
}

type ClusterSource = dyn Fn() -> Vec<ClusterSample> + Send + Sync;

type CertificateSource = dyn Fn() -> Vec<CertificateSample> + Send + Sync;

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    pub fn new() -> Self {
        Self {
            shards: Mutex::default(),
            plugins: ArcSwap::default(),
            clusters_sampled: Mutex::default(),
            certificates: Mutex::default(),
            certificate_reloads: Default::default(),
            acme_orders: Default::default(),
            start_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
            config_version: SharedGauge::default(),
            reloads: Default::default(),
            last_reload_succeeded: AtomicBool::new(false),
            discoveries: Default::default(),
            access_log_dropped: Arc::default(),
            admin_refused: Default::default(),
        }
    }

    /// The worker's shard for a listener, the same one for the same name.
    pub fn listener(&self, worker: usize, name: &str) -> Arc<ListenerShard> {
        get_or_create(&mut lock(&self.shards).listeners, name, worker, Arc::default)
    }

    /// The worker's shard for a cluster; `""` is for requests that no route sent to one.
    pub fn cluster(&self, worker: usize, name: &str) -> Arc<ClusterShard> {
        let name = if name.is_empty() { NO_CLUSTER } else { name };
        get_or_create(&mut lock(&self.shards).clusters, name, worker, Arc::default)
    }

    /// The worker's shard for a plugin in a role; no worker means the control plane.
    pub fn plugin(&self, worker: Option<usize>, plugin: &str, role: &'static str) -> Arc<PluginShard> {
        // Its totals begin at zero with its first shard, not at one with its first fault.
        self.with_plugin(plugin, |_| ());
        let writers = if worker.is_some() { Writers::One } else { Writers::Many };
        let create = || Arc::new(PluginShard::new(writers));
        get_or_create(&mut lock(&self.shards).plugins, plugin, (role, worker), create)
    }

    /// The worker's shard for a candidate beside a plugin in a role.
    pub fn shadow(&self, worker: usize, plugin: &str, role: &'static str) -> Arc<ShadowShard> {
        get_or_create(&mut lock(&self.shards).shadows, plugin, (role, Some(worker)), Arc::default)
    }

    /// How a candidate's decisions have stood to those of the plugin, by role.
    pub fn shadow_decisions(&self, plugin: &str, role: &str) -> [u64; ShadowResult::ALL.len()] {
        let shards = lock(&self.shards);
        let of_role = || shards.shadows.get(plugin).into_iter().flatten().filter(|((of, _), _)| *of == role);
        ShadowResult::ALL.map(|result| of_role().map(|(_, shard)| shard.decisions[result as usize].get()).sum())
    }

    /// Counts a shadow that is over.
    pub fn shadow_ended(&self, plugin: &str, end: ShadowEnd) {
        self.with_plugin(plugin, |totals| totals.shadows_ended[end as usize].increment());
    }

    /// Forgets a candidate: its counts beside the plugin, and those under its own name.
    pub fn forget_shadow(&self, plugin: &str, candidate: &str) {
        {
            let mut shards = lock(&self.shards);
            shards.shadows.remove(plugin);
            shards.plugins.remove(candidate);
        }
        self.plugins.rcu(|before| {
            let mut after = BTreeMap::clone(before);
            after.remove(candidate);
            after
        });
    }

    /// Calls of workers into a plugin in a role that were timed, and their seconds.
    pub fn plugin_call_time(&self, plugin: &str, role: &str) -> (u64, f64) {
        let shards = lock(&self.shards);
        let of_role = shards.plugins.get(plugin).into_iter().flatten();
        let of_role = of_role.filter(|((of, worker), _)| *of == role && worker.is_some());
        let total = HistogramTotal::of(&CALL, of_role.map(|(_, shard)| &shard.call_seconds));
        (total.count, total.sum)
    }

    pub fn worker(&self, worker: usize) -> Arc<WorkerShard> {
        lock(&self.shards).workers.entry(worker).or_default().clone()
    }

    /// Forgets the counts of everything that is not named. Whoever still holds a shard of it may go on counting; nobody
    /// will read it.
    pub fn retain<C, L, P>(&self, clusters: &[C], listeners: &[L], plugins: &[P])
    where
        C: AsRef<str>,
        L: AsRef<str>,
        P: AsRef<str>,
    {
        fn set<T: AsRef<str>>(names: &[T]) -> BTreeSet<&str> {
            names.iter().map(AsRef::as_ref).collect()
        }
        let (clusters, listeners, plugins) = (set(clusters), set(listeners), set(plugins));
        {
            let mut shards = lock(&self.shards);
            shards.clusters.retain(|name, _| &**name == NO_CLUSTER || clusters.contains(&**name));
            shards.listeners.retain(|name, _| listeners.contains(&**name));
            shards.plugins.retain(|name, _| plugins.contains(&**name));
            shards.shadows.retain(|name, _| plugins.contains(&**name));
        }
        self.plugins.rcu(|before| {
            let mut after = BTreeMap::clone(before);
            after.retain(|name, _| plugins.contains(&**name));
            after
        });
    }

    /// Where a scrape gets clusters and endpoints from. Called on the scraping thread, with no lock held.
    pub fn set_cluster_source(&self, source: Box<dyn Fn() -> Vec<ClusterSample> + Send + Sync>) {
        *lock(&self.clusters_sampled) = Some(Arc::from(source));
    }

    /// Where a scrape gets the certificates from, in the same way.
    pub fn set_certificate_source(&self, source: Box<dyn Fn() -> Vec<CertificateSample> + Send + Sync>) {
        *lock(&self.certificates) = Some(Arc::from(source));
    }

    /// The files of a certificate have changed.
    pub fn certificate_reloaded(&self, result: ReloadResult) {
        self.certificate_reloads[result as usize].increment();
    }

    /// An order for a certificate is over.
    pub fn acme_ordered(&self, result: AcmeOrder) {
        self.acme_orders[result as usize].increment();
    }

    /// Counts an instance of a plugin that was made anew after a fault.
    pub fn plugin_rebuilt(&self, plugin: &str) {
        self.with_plugin(plugin, |totals| totals.rebuilds.increment());
    }

    pub fn set_plugin_quarantined(&self, plugin: &str, quarantined: bool) {
        self.with_plugin(plugin, |totals| totals.quarantined.set(quarantined.into()));
    }

    /// Counts a message of a plugin that was not logged, since there were too many.
    pub fn plugin_message_dropped(&self, plugin: &str) {
        self.with_plugin(plugin, |totals| totals.messages_dropped.increment());
    }

    /// Bytes that the tables of plugins take; those that are not among them have none.
    pub fn set_plugin_table_bytes(&self, bytes: &BTreeMap<Arc<str>, usize>) {
        for (plugin, totals) in &**self.plugins.load() {
            totals.table_bytes.set(bytes.get(plugin).copied().unwrap_or(0) as u64);
        }
    }

    /// Counts an entry of a plugin's table that gave way to another for want of room.
    pub fn plugin_table_evicted(&self, plugin: &str) {
        self.with_plugin(plugin, |totals| totals.table_evicted.increment());
    }

    /// Counts an entry that found no room in a plugin's table.
    pub fn plugin_table_refused(&self, plugin: &str) {
        self.with_plugin(plugin, |totals| totals.table_refused.increment());
    }

    /// Counts a request that was made for a plugin.
    pub fn called_for_plugin(&self, plugin: &str, result: OutwardResult) {
        self.with_plugin(plugin, |totals| totals.outward_calls[result as usize].increment());
    }

    /// Adds to one of the counters that a plugin keeps for itself. Takes no lock once the plugin is known.
    pub fn add_plugin_counter(&self, plugin: &str, name: &str, amount: u64) {
        self.with_plugin(plugin, |totals| totals.own.add(name, amount));
    }

    /// Sets one of the gauges that a plugin keeps for itself. Takes no lock once the plugin is known.
    pub fn set_plugin_gauge(&self, plugin: &str, name: &str, value: f64) {
        self.with_plugin(plugin, |totals| totals.own.set(name, value));
    }

    /// Counts a value in one of the histograms that a plugin keeps for itself. Takes no lock once the plugin is known.
    pub fn observe_plugin_value(&self, plugin: &str, name: &str, value: f64) {
        self.with_plugin(plugin, |totals| totals.own.observe(name, value));
    }

    /// The version of the configuration in force.
    pub fn set_config_version(&self, version: u64) {
        self.config_version.set(version);
    }

    /// Counts a request that the admin API refused for where it came from or what it lacked.
    pub fn admin_refused(&self, reason: AdminRefusal) {
        self.admin_refused[reason as usize].increment();
    }

    pub fn config_reloaded(&self, result: ReloadResult) {
        self.reloads[result as usize].increment();
        self.last_reload_succeeded.store(result == ReloadResult::Success, Ordering::Relaxed);
    }

    /// A source of endpoints or a name server has said something.
    pub fn discovered(&self, succeeded: bool) {
        let result = if succeeded { ReloadResult::Success } else { ReloadResult::Failure };
        self.discoveries[result as usize].increment();
    }

    /// Lines that the access log lost; for its [`LineWriter`](super::LineWriter).
    pub fn access_log_dropped(&self) -> Arc<SharedCounter> {
        self.access_log_dropped.clone()
    }

    /// What went wrong with a plugin since the process began: calls that it did not survive, by kind, and answers that were not
    /// valid, over all threads and roles. None that did not happen.
    pub fn plugin_faults(&self, plugin: &str) -> Vec<(&'static str, u64)> {
        let shards = lock(&self.shards);
        let of_plugin = || shards.plugins.get(plugin).into_iter().flat_map(BTreeMap::values);
        let traps = TrapKind::ALL
            .map(|kind| (kind.as_str(), of_plugin().map(|shard| shard.traps[kind as usize].get()).sum::<u64>()));
        let invalid = ("invalid_answer", of_plugin().map(|shard| shard.invalid_answers.get()).sum());
        traps.into_iter().chain([invalid]).filter(|(_, count)| *count > 0).collect()
    }

    /// All families as text, in the format of [`CONTENT_TYPE`](super::CONTENT_TYPE).
    pub fn encode(&self) -> String {
        let source = lock(&self.clusters_sampled).clone();
        let mut sampled = source.map_or_else(Vec::new, |source| source());
        // A source that names one twice must not make the whole scrape invalid.
        sampled.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        sampled.dedup_by(|a, b| a.cluster == b.cluster);
        for cluster in &mut sampled {
            cluster.endpoints.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
            cluster.endpoints.dedup_by(|a, b| a.endpoint == b.endpoint);
        }
        let source = lock(&self.certificates).clone();
        let mut certificates = source.map_or_else(Vec::new, |source| source());
        certificates.sort();
        certificates.dedup_by(|a, b| (&a.name, &a.serial) == (&b.name, &b.serial));
        Scrape {
            certificates,
            certificate_reloads: ReloadResult::ALL.map(|result| self.certificate_reloads[result as usize].get()),
            acme_orders: AcmeOrder::ALL.map(|result| self.acme_orders[result as usize].get()),
            // Copied, so that a worker that asks for a shard does not wait for the text.
            shards: lock(&self.shards).clone(),
            plugins: self.plugins.load_full(),
            sampled,
            start_seconds: self.start_seconds,
            config_version: self.config_version.get(),
            reloads: ReloadResult::ALL.map(|result| self.reloads[result as usize].get()),
            last_reload_succeeded: self.last_reload_succeeded.load(Ordering::Relaxed),
            discoveries: ReloadResult::ALL.map(|result| self.discoveries[result as usize].get()),
            access_log_dropped: self.access_log_dropped.get(),
            admin_refused: AdminRefusal::ALL.map(|reason| self.admin_refused[reason as usize].get()),
            log_dropped: super::trace::dropped().get(),
        }
        .into_text()
    }

    fn with_plugin(&self, plugin: &str, use_totals: impl FnOnce(&PluginTotals)) {
        if let Some(totals) = self.plugins.load().get(plugin) {
            return use_totals(totals);
        }
        let name: Arc<str> = plugin.into();
        let fresh = Arc::new(PluginTotals::default());
        self.plugins.rcu(|before| {
            let mut after = BTreeMap::clone(before);
            after.entry(name.clone()).or_insert_with(|| fresh.clone());
            after
        });
        // Another thread may have been first; and if it was forgotten again meanwhile, nobody will read `fresh`.
        use_totals(self.plugins.load().get(plugin).unwrap_or(&fresh));
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("config_version", &self.config_version.get()).finish_non_exhaustive()
    }
}

fn get_or_create<K: Ord, S>(
    map: &mut ShardMap<K, S>,
    name: &str,
    writer: K,
    create: impl FnOnce() -> Arc<S>,
) -> Arc<S> {
    if let Some(shards) = map.get_mut(name) {
        return shards.entry(writer).or_insert_with(create).clone();
    }
    let shard = create();
    map.insert(name.into(), BTreeMap::from([(writer, shard.clone())]));
    shard
}

/// What the locks guard is whole after any panic: each holder makes one change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_as_long_as_the_configuration_names_them() {
        let registry = Registry::new();
        registry.cluster(0, "api").request(200, std::time::Duration::ZERO, None);
        assert!(Arc::ptr_eq(&registry.cluster(0, "api"), &registry.cluster(0, "api")));
        assert!(!Arc::ptr_eq(&registry.cluster(0, "api"), &registry.cluster(1, "api")));
        assert!(Arc::ptr_eq(&registry.cluster(0, ""), &registry.cluster(0, "none")));
        registry.plugin(Some(0), "rules", "router");
        registry.listener(0, "web");

        registry.retain(&["api"], &["web"], &["rules"]);
        let text = registry.encode();
        for series in [
            r#"plimsoll_requests_total{cluster="api",class="2xx"} 1"#,
            r#"plimsoll_connections_total{listener="web"} 0"#,
            r#"plimsoll_plugin_rebuilds_total{plugin="rules"} 0"#,
        ] {
            assert!(text.contains(series), "{series}\n{text}");
        }

        registry.retain::<&str, &str, &str>(&[], &[], &[]);
        let text = registry.encode();
        assert!(!text.contains("api") && !text.contains("\"web\"") && !text.contains("rules"), "{text}");
        assert!(text.contains(r#"plimsoll_requests_total{cluster="none",class="5xx"} 0"#));
    }

    #[test]
    fn a_plugin_may_count_before_it_has_a_shard() {
        let registry = Registry::new();
        registry.add_plugin_counter("mine", "hits", 2);
        registry.add_plugin_counter("mine", "hits", 3);
        registry.set_plugin_quarantined("mine", true);
        let text = registry.encode();
        assert!(text.contains(r#"plimsoll_plugin_counter_total{plugin="mine",name="hits"} 5"#), "{text}");
        assert!(text.contains(r#"plimsoll_plugin_quarantined{plugin="mine"} 1"#), "{text}");
    }
}
