use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config;
use crate::plugin::Instance;
use crate::snapshot::{EndpointSet, Waiting};

/// What the control plane wants of a worker. Everything that could fail has been done before a command is sent.
#[derive(Debug)]
pub enum Command {
    /// Another configuration. Requests under way finish with the one that they began with.
    Install(Box<Install>, oneshot::Sender<()>),
    /// Another generation of a cluster's endpoints.
    Endpoints { cluster: Arc<str>, set: Arc<EndpointSet> },
    /// Another version of a plugin, with all its policies.
    Swap(Box<Instance>, oneshot::Sender<()>),
    /// Whether the health evaluators of these clusters want outcomes, as their new version says.
    TellHealth { clusters: Vec<(Arc<str>, bool)> },
    /// Accept nothing more, finish what is under way, and end after `grace` at the latest.
    Drain { grace: Duration },
}

/// A configuration as one worker needs it, with plugin instances made for it.
#[derive(Debug)]
pub struct Install {
    pub instances: Vec<Instance>,
    pub clusters: Vec<ClusterInstall>,
    pub listeners: Vec<ListenerInstall>,
}

/// A policy by the name of its plugin and its number there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRef {
    pub plugin: Arc<str>,
    pub policy: u32,
}

#[derive(Debug)]
pub struct ClusterInstall {
    pub config: Arc<config::Cluster>,
    pub endpoints: Arc<EndpointSet>,
    pub waiting: Arc<Waiting>,
    pub balancer: PolicyRef,
    /// The outermost first.
    pub partitioners: Vec<PolicyRef>,
    pub affinity: Option<PolicyRef>,
    pub tells_health: bool,
}

#[derive(Debug)]
pub struct ListenerInstall {
    pub config: Arc<config::Listener>,
    pub destination: Destined,
    /// A socket of the worker's own, if it has none for this address yet.
    pub socket: Option<std::net::TcpListener>,
    /// Connections of this address on all workers.
    pub count: Arc<AtomicUsize>,
}

/// Who decides where a listener's requests go.
#[derive(Clone, Debug)]
pub enum Destined {
    /// Position of a cluster.
    Cluster(usize),
    Router(PolicyRef),
}
