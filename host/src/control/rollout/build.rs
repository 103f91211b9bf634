//! From a checked configuration to the policies it takes, and to plugin instances that have them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::placement::{New, Use};
use crate::config::{self, Config, Discover, PluginUse};
use crate::control::mistake::Mistake;
use crate::plugin::{CreateError, Instance, KnownClusters, Plugin, PolicyConfig, Role, Services};
use crate::snapshot::EndpointSet;

/// The number by which the control plane's instances are told from those of workers.
pub(in crate::control) const CONTROL: u32 = u32::MAX;

/// Which policies a configuration takes, by plugin.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Uses {
    /// On every worker: routers, balancers, partitioners, affinities.
    pub(in crate::control) data: BTreeMap<Arc<str>, Vec<PolicyConfig>>,
    /// In the control plane: health evaluators, probers, discoveries.
    pub(in crate::control) control: BTreeMap<Arc<str>, Vec<PolicyConfig>>,
    pub(in crate::control) clusters: Vec<ClusterUses>,
    /// Where each listener leads, in their order.
    pub(in crate::control) destinations: Vec<Leads>,
}

#[derive(Clone, Debug)]
pub(in crate::control) struct ClusterUses {
    pub(in crate::control) name: Arc<str>,
    pub(in crate::control) balancer: Use,
    pub(in crate::control) partitioners: Vec<Use>,
    pub(in crate::control) affinity: Option<Use>,
    pub(in crate::control) evaluator: Use,
    /// Of each check of its probe.
    pub(in crate::control) probers: Vec<Use>,
    /// Of those of its sources that are plugins.
    pub(in crate::control) discoveries: Vec<(Discover, Use)>,
}

/// Where a listener leads.
#[derive(Clone, Debug)]
pub(in crate::control) enum Leads {
    /// Position of a cluster.
    To(usize),
    By(Use),
    Nowhere,
}

impl Uses {
    pub(in crate::control) fn of(config: &Config) -> Self {
        let known: KnownClusters = Arc::new(
            config
                .clusters
                .iter()
                .enumerate()
                .map(|(position, cluster)| (cluster.name.as_str().into(), position as u32))
                .collect(),
        );
        let mut uses = Self::default();
        for (index, cluster) in config.clusters.iter().enumerate() {
            let scope = Scope { name: &cluster.name, of_connections: false };
            let add = |map: &mut BTreeMap<_, _>, role, plugin: &PluginUse| add_policy(map, role, scope, plugin, &known);
            let balancer = add(&mut uses.data, Role::Balancer, &cluster.balancer);
            let partitioners =
                cluster.partitioners.iter().map(|plugin| add(&mut uses.data, Role::Partitioner, plugin)).collect();
            let affinity = cluster.affinity.as_ref().map(|plugin| add(&mut uses.data, Role::Affinity, plugin));
            let evaluator = add(&mut uses.control, Role::Health, &cluster.health.evaluator);
            let checks = cluster.health.probe.iter().flat_map(|probe| &probe.checks);
            let probers = checks.map(|check| add(&mut uses.control, Role::Prober, &check.plugin)).collect();
            let mut discoveries = Vec::new();
            for (source, from) in cluster.discover.iter().enumerate() {
                if let Discover::Plugin { plugin, config } = from {
                    let pointer = format!("/clusters/{index}/discover/{source}/config");
                    let plugin = PluginUse { plugin: plugin.clone(), config: config.clone(), pointer };
                    discoveries.push((from.clone(), add(&mut uses.control, Role::Discovery, &plugin)));
                }
            }
            let name = cluster.name.as_str().into();
            uses.clusters.push(ClusterUses { name, balancer, partitioners, affinity, evaluator, probers, discoveries });
        }
        for listener in &config.listeners {
            let destination = match &listener.destination {
                config::Destination::Cluster(name) => {
                    Leads::To(known.get(name.as_str()).map_or(usize::MAX, |position| *position as usize))
                }
                config::Destination::Nowhere => Leads::Nowhere,
                config::Destination::Router(plugin) => {
                    let of_connections = listener.protocol != config::Protocol::Http;
                    let scope = Scope { name: &listener.name, of_connections };
                    Leads::By(add_policy(&mut uses.data, Role::Router, scope, plugin, &known))
                }
            };
            uses.destinations.push(destination);
        }
        uses
    }

    /// Names of the plugins, each with the roles it is used in and where the configuration says so.
    pub(in crate::control) fn plugins(&self) -> BTreeMap<Arc<str>, Vec<(Role, String)>> {
        let mut plugins: BTreeMap<Arc<str>, Vec<(Role, String)>> = BTreeMap::new();
        for (name, policies) in self.data.iter().chain(&self.control) {
            let roles = plugins.entry(name.clone()).or_default();
            roles.extend(policies.iter().map(|policy| (policy.role, pointer_to_name(&policy.pointer))));
        }
        plugins
    }
}

/// A plugin's name stands beside its configuration.
fn pointer_to_name(pointer_to_config: &str) -> String {
    let beside = pointer_to_config.strip_suffix("/config").unwrap_or(pointer_to_config);
    format!("{beside}/plugin")
}

/// What a policy decides for.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// Of the cluster or listener.
    name: &'a str,
    of_connections: bool,
}

fn add_policy(
    map: &mut BTreeMap<Arc<str>, Vec<PolicyConfig>>,
    role: Role,
    scope: Scope<'_>,
    plugin: &PluginUse,
    known: &KnownClusters,
) -> Use {
    let name: Arc<str> = plugin.plugin.as_str().into();
    let policies = map.entry(name.clone()).or_default();
    policies.push(PolicyConfig {
        role,
        scope: scope.name.into(),
        config: text_of(&plugin.config).into(),
        pointer: plugin.pointer.clone(),
        known_clusters: known.clone(),
        of_connections: scope.of_connections,
    });
    Use { plugin: name, position: policies.len() - 1 }
}

/// What a policy is given. Keys have one order, so that who writes them in another has not written another configuration.
fn text_of(config: &Value) -> String {
    if config.is_null() {
        return "{}".to_owned();
    }
    let mut config = config.clone();
    config.sort_all_objects();
    config.to_string()
}

/// What instances are made from.
pub(in crate::control) struct Builder<'a> {
    pub(in crate::control) services: &'a Arc<Services>,
    pub(in crate::control) endpoints: &'a HashMap<Arc<str>, Arc<EndpointSet>>,
}

impl Builder<'_> {
    /// The instances that have to be made for a worker.
    pub(in crate::control) fn instances(&self, new: &[New], worker: u32) -> Result<Vec<(u64, Instance)>, Vec<Mistake>> {
        let mut instances = Vec::new();
        let mut mistakes = Vec::new();
        for New { number, plugin, policies } in new {
            match self.instance(plugin, worker, policies) {
                Ok(instance) => instances.push((*number, instance)),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() { Ok(instances) } else { Err(mistakes) }
    }

    /// One instance of a plugin for a worker, with all its policies.
    fn instance(&self, plugin: &Arc<Plugin>, worker: u32, policies: &[PolicyConfig]) -> Result<Instance, Vec<Mistake>> {
        let whole = |message: String| {
            let pointer = policies.first().map(|policy| policy.pointer.clone()).unwrap_or_default();
            vec![Mistake { pointer, message }]
        };
        let mut instance = Instance::start(plugin.clone(), self.services.clone(), worker)
            .map_err(|error| whole(format!("plugin `{}` could not be started: {error}", plugin.name)))?;
        let mut mistakes = Vec::new();
        for policy in policies {
            let endpoints = self.endpoints.get(&policy.scope).cloned().unwrap_or_default();
            if let Err(error) = instance.add_policy(policy.clone(), endpoints) {
                mistakes.extend(at(policy, plugin, error));
            }
        }
        if mistakes.is_empty() { Ok(instance) } else { Err(mistakes) }
    }
}

/// Mistakes of all policies against the schemas of their plugins: cheaper than asking, and it finds all at once.
pub(in crate::control) fn check_schemas(plugin: &Plugin, policies: &[PolicyConfig]) -> Vec<Mistake> {
    policies
        .iter()
        .flat_map(|policy| {
            let config = serde_json::from_str(&policy.config).unwrap_or_default();
            plugin.check_config(policy.role, &config).into_iter().map(|mistake| Mistake {
                pointer: format!("{}{}", policy.pointer, mistake.path),
                message: mistake.message,
            })
        })
        .collect()
}

fn at(policy: &PolicyConfig, plugin: &Plugin, error: CreateError) -> Vec<Mistake> {
    match error {
        CreateError::Refused(mistakes) => mistakes
            .into_iter()
            .map(|mistake| Mistake { pointer: format!("{}{}", policy.pointer, mistake.path), message: mistake.message })
            .collect(),
        CreateError::MissingRole => vec![Mistake {
            pointer: policy.pointer.clone(),
            message: format!(
                "plugin `{}` is no {}; it is: {}",
                plugin.name,
                policy.role,
                plugin.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
            ),
        }],
        CreateError::Failed(error) => vec![Mistake {
            pointer: policy.pointer.clone(),
            message: format!("plugin `{}` failed on this configuration: {error}", plugin.name),
        }],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_in_another_order_are_the_same_configuration() {
        let (one, other) = (json!({ "a": { "b": 1, "c": [2] }, "d": 3 }), json!({ "d": 3, "a": { "c": [2], "b": 1 } }));
        assert_eq!(text_of(&one), text_of(&other));
        assert_eq!(text_of(&Value::Null), "{}");
    }
}
