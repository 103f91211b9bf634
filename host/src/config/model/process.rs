use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minisign_verify::PublicKey;

use super::acme::Acme;
use super::cluster::Cluster;
use super::listener::Listener;
use super::plugin::Plugin;
use crate::config::source::Source;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub workers: usize,
    pub node: Node,
    /// None: one that lasts as long as the process.
    pub secret: Option<Vec<u8>>,
    /// None: no admin API.
    pub admin: Option<Admin>,
    pub access_log: AccessLog,
    pub shutdown_grace: Duration,
    pub overload: Overload,
    pub resolver: Resolver,
    pub plugins: Vec<Plugin>,
    /// Of which one must have signed a plugin that is not built in; empty: none need be signed.
    pub plugin_keys: Vec<PublicKey>,
    /// Of all tables of plugins.
    pub plugin_table_bytes: usize,
    /// Where uploaded plugins are kept.
    pub plugins_dir: StatePath,
    /// Where endpoints are kept that the admin API has added or removed.
    pub endpoints_file: StatePath,
    /// Where the state of endpoints is kept.
    pub state_file: StatePath,
    /// Where certificates are kept that were uploaded or ordered.
    pub certificates_dir: StatePath,
    /// From whom certificates are ordered.
    pub acme: Option<Acme>,
    pub listeners: Vec<Listener>,
    pub clusters: Vec<Cluster>,
    pub source: Source,
}

/// This proxy among others, as far as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: Option<String>,
    pub zone: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub bind: AdminBind,
    pub token: Option<String>,
    /// Names by which it may be asked while there is no token, besides those of loopback.
    pub hosts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminBind {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub format: AccessLogFormat,
    pub output: LogOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    Off,
    Json,
    Combined,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    Stdout,
    File(PathBuf),
}

/// What the process may have in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Of clients; 0 is no bound.
    pub max_connections: usize,
    pub max_memory: MaxMemory,
    pub max_open_files_percent: u32,
}

/// Resident memory that the process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxMemory {
    /// A share of what there is.
    OfMachine,
    At(u64),
    Off,
}

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Empty: those of the system.
    pub servers: Vec<SocketAddr>,
    pub min_ttl: Duration,
    /// Not below `min_ttl`.
    pub max_ttl: Duration,
    pub timeout: Duration,
}

/// Where something is kept that has to outlive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StatePath {
    /// Beside the configuration file.
    #[default]
    Beside,
    At(PathBuf),
    Off,
}

impl StatePath {
    /// The path, and whether the operator has asked for it. Beside the configuration's `file` it is the same with another
    /// `ending`.
    pub fn of(&self, file: Option<&Path>, ending: &str) -> Option<(PathBuf, bool)> {
        match self {
            Self::Beside => file.map(|file| (file.with_extension(ending), false)),
            Self::At(path) => Some((path.clone(), true)),
            Self::Off => None,
        }
    }
}
