use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::config::address::Address;

/// Somewhere that endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Discover {
    /// SRV records of this name.
    Srv(String),
    File(PathBuf),
    /// A plugin that finds them, with what it is configured with.
    Plugin {
        plugin: String,
        config: serde_json::Value,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: String,
    pub address: Address,
    pub weight: u32,
    pub priority: u32,
    /// 0 is no bound.
    pub max_connections: u32,
    pub zone: String,
    pub metadata: BTreeMap<String, String>,
}

impl Endpoint {
    /// With nothing else said about it.
    pub fn at(address: Address) -> Self {
        Self {
            id: address.to_string(),
            address,
            weight: 1,
            priority: 0,
            max_connections: 0,
            zone: String::new(),
            metadata: BTreeMap::new(),
        }
    }
}

/// An endpoint that was given outside of the configuration, in the same form.
#[derive(Clone, Debug)]
pub struct GivenEndpoint {
    pub(crate) endpoint: Endpoint,
    /// It says itself how many attempts may be under way.
    pub(crate) has_own_bound: bool,
    /// As it was given.
    pub(crate) given: serde_json::Value,
}

impl GivenEndpoint {
    pub fn id(&self) -> &str {
        &self.endpoint.id
    }

    /// What it is in a cluster that allows so many attempts at each endpoint.
    pub fn in_cluster(&self, max_connections: u32) -> Endpoint {
        let mut endpoint = self.endpoint.clone();
        if !self.has_own_bound {
            endpoint.max_connections = max_connections;
        }
        endpoint
    }

    /// As it was given: an address, or a mapping with one.
    pub fn given(&self) -> &serde_json::Value {
        &self.given
    }
}

impl fmt::Display for Discover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Srv(name) => write!(f, "srv {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Plugin { plugin, .. } => write!(f, "plugin {plugin}"),
        }
    }
}

/// What is spoken to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// What the handshake of TLS comes to (ALPN); only with TLS.
    Auto,
    Http1,
    /// In the clear with prior knowledge.
    Http2,
    /// Over QUIC, and HTTP/2 where that does not come through; only with TLS.
    Http3,
}

impl UpstreamProtocol {
    /// Whether calls of gRPC can be made by it.
    pub fn carries_grpc(self) -> bool {
        matches!(self, Self::Http2 | Self::Http3)
    }
}
