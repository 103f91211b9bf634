use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::Uses;
use crate::config::{self, Cluster, Config, Destination, Listener, PluginUse};
use crate::control::beside::beside;
use crate::control::desired::ApplyError;
use crate::control::plugins::PluginEntries;
use crate::control::state::Control;

/// What a configuration would change of the one that is live, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct ConfigChanges {
    pub listeners: Changes,
    /// Settings of clusters, apart from their endpoints.
    pub clusters: Changes,
    /// Each as `CLUSTER/ID`.
    pub endpoints: Changes,
    /// Of those that are declared or used: versions and limits.
    pub plugins: Changes,
    /// Settings that are only taken at a start.
    pub after_restart: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Changes {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

impl Changes {
    fn between<T: PartialEq>(before: &BTreeMap<String, T>, after: &BTreeMap<String, T>) -> Self {
        let names = |of: &BTreeMap<String, T>, but: &BTreeMap<String, T>| -> Vec<String> {
            of.keys().filter(|name| !but.contains_key(*name)).cloned().collect()
        };
        let is_changed = |(name, value): &(&String, &T)| before.get(*name).is_some_and(|before| before != *value);
        Self {
            added: names(after, before),
            removed: names(before, after),
            changed: after.iter().filter(is_changed).map(|(name, _)| name.clone()).collect(),
        }
    }
}

impl Control {
    /// Prepares a configuration as [`Self::apply_after`] does, on the side, and answers what it would change and the version
    /// that it would take the place of. Nothing is changed, also not what policies remember.
    pub async fn dry_run(
        self: &Arc<Self>,
        made_from: Option<u64>,
        config: Config,
    ) -> Result<(u64, ConfigChanges), ApplyError> {
        let live = self.config_version();
        if made_from.is_some_and(|made_from| made_from != live) {
            return Err(ApplyError::Outdated { live });
        }
        let control = self.clone();
        let changes = beside("judging the configuration", move || control.would_change(config)).await?;
        Ok((live, changes.inspect_err(|error| tracing::info!("a configuration would be refused:\n{error}"))?))
    }

    fn would_change(&self, config: Config) -> Result<ConfigChanges, ApplyError> {
        let mut aside =
            Self::for_checking(self.engine.clone(), Arc::new(self.services.apart()), self.loader.keys.clone());
        (aside.loader, aside.gate) = (self.loader.clone(), self.gate.clone());
        let (before, uses, plugins) = {
            let (mut aside, live) = (aside.lock(), self.lock());
            aside.plugins = live.plugins.clone();
            aside.clusters = live.clusters.clone();
            (live.versions.live().map(|version| version.config.clone()), live.uses.clone(), live.plugins.clone())
        };
        ApplyError::if_any(&config, aside.look_at(&config, "dry run"))?;
        let prepared = aside.prepare(config)?;
        let after = &prepared.wanted.config;
        let sockets = self.lock().sockets.clone();
        sockets.could_bind(after).map_err(|(address, error)| ApplyError::Bind { address, error })?;
        let Some(before) = before else { return Ok(ConfigChanges::default()) };
        Ok(ConfigChanges {
            listeners: Changes::between(&listeners(&before), &listeners(after)),
            clusters: Changes::between(&clusters(&before), &clusters(after)),
            endpoints: Changes::between(&endpoints(&before), &endpoints(after)),
            plugins: Changes::between(
                &versions(&plugins, &uses, &before),
                &versions(&prepared.wanted.plugins, &prepared.wanted.uses, after),
            ),
            after_restart: after_restart(&before, after),
        })
    }
}

fn listeners(config: &Config) -> BTreeMap<String, Listener> {
    let listener = |listener: &Listener| {
        let mut plain = listener.clone();
        if let Destination::Router(plugin) = &mut plain.destination {
            forget_place(plugin);
        }
        (listener.name.clone(), plain)
    };
    config.listeners.iter().map(listener).collect()
}

fn clusters(config: &Config) -> BTreeMap<String, Cluster> {
    let cluster = |cluster: &Cluster| {
        let mut plain = cluster.clone();
        plain.endpoints.clear();
        forget_place(&mut plain.balancer);
        forget_place(&mut plain.health.evaluator);
        let checks = plain.health.probe.iter_mut().flat_map(|probe| &mut probe.checks);
        let others = plain.partitioners.iter_mut().chain(&mut plain.affinity);
        others.chain(checks.map(|check| &mut check.plugin)).for_each(forget_place);
        (cluster.name.clone(), plain)
    };
    config.clusters.iter().map(cluster).collect()
}

/// Where something stands in the file is no change of it.
fn forget_place(plugin: &mut PluginUse) {
    plugin.pointer.clear();
}

fn endpoints(config: &Config) -> BTreeMap<String, config::Endpoint> {
    let of_cluster = |cluster: &Cluster| {
        let name = cluster.name.clone();
        let endpoint = move |endpoint: &config::Endpoint| (format!("{name}/{}", endpoint.id), endpoint.clone());
        cluster.endpoints.iter().map(endpoint).collect::<Vec<_>>()
    };
    config.clusters.iter().flat_map(of_cluster).collect()
}

/// Digest and limits of the versions of the plugins that a configuration declares or uses.
fn versions(plugins: &PluginEntries, uses: &Uses, config: &Config) -> BTreeMap<String, (String, usize)> {
    let used = uses.plugins().into_keys().map(|name| name.to_string());
    let declared = config.plugins.iter().map(|plugin| plugin.name.clone());
    used.chain(declared)
        .filter_map(|name| {
            let live = plugins.get(name.as_str())?.live.as_ref()?;
            Some((name, (live.digest.clone(), live.limits.memory_bytes)))
        })
        .collect()
}

fn after_restart(before: &Config, after: &Config) -> Vec<String> {
    [
        ("workers", before.workers != after.workers),
        ("node", before.node != after.node),
        ("secret", before.secret != after.secret),
        ("admin", before.admin != after.admin),
        ("access_log", before.access_log != after.access_log),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect()
}
