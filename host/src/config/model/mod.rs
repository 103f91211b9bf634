//! What a configuration means: addresses parsed, references resolved, bounds held. Only `check` makes these.

mod acme;
mod cluster;
mod endpoint;
mod health;
mod listener;
mod plugin;
mod process;
mod tls;

pub use acme::{Acme, AcmeNames, Challenge, ExternalAccount};
pub use cluster::{
    Cluster, ClusterLimits, ClusterTimeouts, HashKey, MOST_BODY_PREFIX, NetworkPrefixes, PathPart, Pool, Queue,
    Retries, SendProxyProtocol, SlowStart,
};
pub use endpoint::{Discover, Endpoint, GivenEndpoint, UpstreamProtocol};
pub use health::{Check, CheckTls, Health, Pace, Passes, Probe};
pub use listener::{
    Destination, Forwarded, Http3, Listener, ListenerLimits, ListenerTimeouts, Protocol, ProxyProtocol, Qlog, Quic,
    RedirectHttps, ServerId, Udp, Underscores, Upgrades,
};
pub use plugin::{Conformance, Plugin, PluginUse};
pub use process::{
    AccessLog, AccessLogFormat, Admin, AdminBind, Config, LogOutput, MaxMemory, Node, Overload, Resolver, StatePath,
};
pub use tls::{Certificate, ClientCertificates, KeyPair, Passthrough, Tls, TlsPolicy, UpstreamTls};
