//! Hears what sources of endpoints and name servers say, and tells everyone what that changes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::discovering::listen_to_plugin;
use super::{Membership, Said, SourceKey, Watch};
use crate::config::{self, Config, Discover, Endpoint};
use crate::control::state::{Control, State};
use crate::control::task::Task;
use crate::discovery::{Name, Resolver, Source};

/// How long a configuration waits for the first answers of its sources and names. Who is slower joins later.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);

impl Control {
    /// Begins to listen to what a configuration needs that is not live yet, and waits for the first answers. None is needed
    /// for it to go live.
    pub(in crate::control) async fn hear_first(self: &Arc<Self>, config: &Config) {
        let clusters: Vec<&config::Cluster> = config.clusters.iter().collect();
        self.first_answers(&clusters, |watch| !watch.is_plugin(), || self.listen(Some(config))).await;
    }

    /// Waits for the first answers of plugins, which are asked once they are live.
    pub(in crate::control) async fn hear_plugins(self: &Arc<Self>, config: &Config) {
        let is_found =
            |cluster: &&config::Cluster| cluster.discover.iter().any(|from| matches!(from, Discover::Plugin { .. }));
        let clusters: Vec<&config::Cluster> = config.clusters.iter().filter(is_found).collect();
        self.first_answers(&clusters, |_| true, || self.listen(None)).await;
    }

    /// The same for the live cluster of a name, after an endpoint was added.
    pub(in crate::control) async fn hear_names_of(self: &Arc<Self>, cluster: &str) {
        let Some(config) = self.lock().clusters.get(cluster).map(|cluster| cluster.config.clone()) else { return };
        self.first_answers(&[&*config], |_| true, || self.listen(None)).await;
    }

    async fn first_answers(&self, clusters: &[&config::Cluster], counts: impl Fn(&Watch) -> bool, listen: impl Fn()) {
        let heard_all = async {
            loop {
                let news = self.heard.notified();
                listen();
                let missing = {
                    let State { membership, .. } = &*self.lock();
                    let mut wanted = clusters.iter().flat_map(|cluster| membership.wanted(cluster));
                    wanted.any(|watch| counts(&watch) && !membership.has_heard(&watch))
                };
                if !missing {
                    return;
                }
                news.await;
            }
        };
        // Whatever is missing is told when it is looked for: in the log, and with the cluster.
        let _ = tokio::time::timeout(FIRST_ANSWERS, heard_all).await;
    }

    /// Listens to what the live clusters need, and those of a configuration that is to be live.
    pub(in crate::control) fn listen(self: &Arc<Self>, coming: Option<&Config>) {
        let mut state = self.lock();
        let State { membership, clusters, versions, .. } = &mut *state;
        let live = versions.live().map(|version| version.config.clone());
        let Some(settings) = coming.or(live.as_deref()).map(|config| &config.resolver) else { return };
        let wanted: Vec<&config::Cluster> = clusters
            .values()
            .map(|cluster| &*cluster.config)
            .chain(coming.into_iter().flat_map(|config| &config.clusters))
            .collect();
        membership.listen(&wanted, settings, |watch, resolver| begin(self, watch, resolver));
    }

    /// Hears what a source or a name server says, and tells everyone what that changes.
    fn hear<T: PartialEq>(
        self: &Arc<Self>,
        what: &str,
        answer: Result<Vec<T>, String>,
        said: impl FnOnce(&mut Membership) -> &mut Said<T>,
    ) {
        self.registry.discovered(answer.is_ok());
        let is_news = said(&mut self.lock().membership).note(what, answer);
        self.heard.notify_waiters();
        if is_news {
            self.renew_clusters();
        }
    }

    /// The same of a source.
    pub(super) fn hear_source(self: &Arc<Self>, key: &SourceKey, answer: Result<Vec<Endpoint>, String>) {
        let what = format!("{} of cluster {}", key.from, key.cluster);
        self.hear(&what, answer, |membership| membership.source(key));
    }

    /// Puts into effect what sources say by now, and tells everyone what that changes.
    pub(in crate::control) fn renew_clusters(self: &Arc<Self>) {
        let mut changed = false;
        {
            let mut state = self.lock();
            let State { membership, clusters, .. } = &mut *state;
            for cluster in clusters.values_mut() {
                let generation = cluster.set.generation();
                if cluster.renew(membership) {
                    changed = true;
                    if cluster.set.generation() > generation {
                        self.publish(cluster);
                    }
                }
            }
        }
        if changed {
            self.renew_tasks();
        }
    }
}

fn begin(control: &Arc<Control>, watch: &Watch, resolver: &Arc<Resolver>) -> Task {
    let control = Arc::downgrade(control);
    match watch.clone() {
        Watch::Name(name) => Task::spawn(listen_to_name(control, resolver.clone(), name)),
        Watch::Source(key) => match key.source(resolver) {
            Some(source) => Task::spawn(listen_to_source(control, source, key)),
            None => Task::spawn(listen_to_plugin(control, key)),
        },
    }
}

async fn listen_to_name(control: Weak<Control>, resolver: Arc<Resolver>, host: Arc<str>) {
    let mut name = Name::new(resolver, host.clone());
    loop {
        let answer = name.next().await;
        let Some(control) = control.upgrade() else { return };
        control.hear(&host, answer, |membership| membership.name(&host));
    }
}

async fn listen_to_source(control: Weak<Control>, mut source: Box<dyn Source>, key: SourceKey) {
    loop {
        let answer = source.next().await;
        let Some(control) = control.upgrade() else { return };
        control.hear_source(&key, answer);
    }
}
