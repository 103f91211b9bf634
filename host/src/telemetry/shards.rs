use std::collections::BTreeMap;
use std::sync::Arc;

use super::shard::{ClusterShard, ListenerShard, PluginShard, ShadowShard, WorkerShard};

/// Shards by the name of what they count, then by who writes them.
pub(super) type ShardMap<K, S> = BTreeMap<Arc<str>, BTreeMap<K, Arc<S>>>;

/// Role, then worker; `None` is the control plane.
pub(super) type PluginKey = (&'static str, Option<usize>);

#[derive(Clone, Debug, Default)]
pub(super) struct Shards {
    pub(super) listeners: ShardMap<usize, ListenerShard>,
    pub(super) clusters: ShardMap<usize, ClusterShard>,
    pub(super) plugins: ShardMap<PluginKey, PluginShard>,
    /// By the name of the plugin that a candidate stands beside.
    pub(super) shadows: ShardMap<PluginKey, ShadowShard>,
    pub(super) workers: BTreeMap<usize, Arc<WorkerShard>>,
}
