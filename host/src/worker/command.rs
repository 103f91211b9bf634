use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::{self, SocketKey};
use crate::listener::ConnectionCount;
use crate::net::SocketGroup;
use crate::plugin::{Differences, Instance, Recorded};
use crate::snapshot::{EndpointCounters, EndpointSet, UnderWay, Waiting};
use crate::tls::{ServerTls, UpstreamTls};

/// What the control plane wants of a worker. Everything that could fail has been done before a command is sent.
#[derive(Debug)]
pub enum Command {
    /// Another configuration. Requests under way finish with the one that they began with.
    Install(Box<Install>, oneshot::Sender<()>),
    /// Another generation of a cluster's endpoints.
    Endpoints { cluster: Arc<str>, set: Arc<EndpointSet> },
    /// Have a candidate of a plugin decide beside instances of it.
    Shadow(Box<BeginShadow>, oneshot::Sender<()>),
    /// The candidate whose differences these are decides no more.
    EndShadow(Arc<Differences>),
    /// End what is under way at the endpoint with these counters: it has been out of service for as long as that may go on.
    Deregister(Arc<EndpointCounters>),
    /// Close a socket that gives way to others, now that it has accepted all that came to it before.
    Close(SocketKey),
    /// Accept nothing more, finish what is under way, and end after `grace` at the latest.
    Drain { grace: Duration },
}

/// A candidate's instances for one worker.
#[derive(Debug)]
pub struct BeginShadow {
    /// Each under the number of the one that it stands beside.
    pub instances: Vec<(InstanceNumber, Instance)>,
    pub differences: Arc<Differences>,
    /// Where what happens to it is written down, if it is to be recorded.
    pub recorded: Option<Arc<Recorded>>,
}

/// A configuration as one worker needs it, with the plugin instances that were made for it.
#[derive(Debug)]
pub struct Install {
    /// For policies that are new or have changed. The others live on where they are.
    pub instances: Vec<(InstanceNumber, Instance)>,
    pub clusters: Vec<ClusterInstall>,
    pub listeners: Vec<ListenerInstall>,
}

/// What an instance is known by, on all threads that have one made for the same; never used again.
pub type InstanceNumber = u64;

/// A policy by its instance and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRef {
    pub instance: InstanceNumber,
    pub policy: u32,
}

#[derive(Debug)]
pub struct ClusterInstall {
    pub config: Arc<config::Cluster>,
    pub tls: Option<UpstreamTls>,
    /// None when the worker is told later, and stays with those that it knows until then.
    pub endpoints: Option<Arc<EndpointSet>>,
    pub waiting: Arc<Waiting>,
    pub under_way: Arc<UnderWay>,
    pub balancer: PolicyRef,
    /// The outermost first.
    pub partitioners: Vec<PolicyRef>,
    pub affinity: Option<PolicyRef>,
    pub tells_health: bool,
}

#[derive(Debug)]
pub struct ListenerInstall {
    pub config: Arc<config::Listener>,
    /// Which of its addresses.
    pub bind: SocketAddr,
    /// The port in force there.
    pub port: u16,
    pub destination: Destined,
    pub tls: Option<ServerTls>,
    /// A socket of the worker's own, if it has none for this address yet.
    pub socket: Option<std::net::TcpListener>,
    /// The same of UDP, where it speaks HTTP/3 or carries datagrams.
    pub udp: Option<GroupSocket>,
    /// Connections of all its addresses on all workers.
    pub count: Arc<ConnectionCount>,
}

/// A worker's socket of UDP, of a group that ends together.
#[derive(Debug)]
pub struct GroupSocket {
    pub group: Arc<SocketGroup>,
    pub socket: std::net::UdpSocket,
}

/// Who decides where a listener's requests go.
#[derive(Clone, Copy, Debug)]
pub enum Destined {
    /// Position of a cluster.
    Cluster(usize),
    Router(PolicyRef),
    Nowhere,
}
