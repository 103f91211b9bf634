//! Who the members of clusters are: what sources besides the configuration tell, and the addresses of names. A cluster's
//! endpoints are the union of what all its sources say: the configuration, the admin API, and those that are discovered.
//! What each said last holds until it says something else.

mod adaptation;
mod amending;
mod amendments;
mod care;
mod cluster;
mod departures;
mod discovering;
mod effects;
mod endpoints;
mod events;
mod heard;
mod hearing;
mod kept;
mod member;
mod probing;
mod recalling;
mod remembered;
mod tasks;
mod untold;
mod warmth;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use self::amendments::Amendments;
use crate::config::{self, Address, Discover, Endpoint};
use crate::control::task::Task;
use crate::discovery::{FileSource, Resolver, ServiceSource, Source};

pub use amending::EndpointChange;
pub(super) use care::{end_departed, hear_outcomes};
pub(super) use cluster::ClusterState;
pub(super) use departures::Departures;
pub(super) use effects::tell_untold;
pub use endpoints::{EndpointPatch, PatchError};
pub use events::Event;
pub(in crate::control) use events::Events;
pub(super) use heard::HeardProbe;
pub use kept::AmendError;
pub(super) use kept::KeptAmendments;
pub use member::{HealthState, Member};
pub(in crate::control) use probing::{Asked, Place};
pub(in crate::control) use remembered::{Remembered, Remembering};
pub(super) use tasks::Tasks;

/// What sources have said, and who listens to them.
#[derive(Debug, Default)]
pub(in crate::control) struct Membership {
    /// What the admin API has said.
    amendments: Amendments,
    /// What was kept of endpoints before the start, for a while.
    remembered: Remembered,
    names: HashMap<Arc<str>, Said<IpAddr>>,
    sources: HashMap<SourceKey, Said<Endpoint>>,
    listening: HashMap<Watch, Task>,
    resolver: Option<Arc<Resolver>>,
}

/// What was said last, and what is wrong since.
#[derive(Clone, Debug)]
pub(in crate::control) struct Said<T> {
    last: Vec<T>,
    error: Option<String>,
}

/// A source of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::control) struct SourceKey {
    pub(in crate::control) cluster: Arc<str>,
    pub(in crate::control) from: Discover,
    /// For endpoints that do not say it themselves.
    max_connections: u32,
}

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::control) enum Watch {
    Name(Arc<str>),
    Source(SourceKey),
}

impl Watch {
    /// Whether it can only be heard of what is live.
    pub(in crate::control) fn is_plugin(&self) -> bool {
        matches!(self, Self::Source(SourceKey { from: Discover::Plugin { .. }, .. }))
    }
}

/// What sources say of one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::control) struct Found {
    /// No two with the same id.
    pub(in crate::control) endpoints: Vec<FoundEndpoint>,
    /// Endpoints that are left out since their names have no address, with the reason.
    pub(in crate::control) unresolved: Vec<(Address, String)>,
    /// Ids of endpoints of the configuration that are removed.
    pub(in crate::control) removed: Vec<String>,
    pub(in crate::control) sources: Vec<SourceReport>,
    /// Who tells of which id, resolved or not; the first of several.
    told: BTreeMap<String, Origin>,
}

/// An endpoint with one address.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::control) struct FoundEndpoint {
    pub(in crate::control) endpoint: Endpoint,
    pub(in crate::control) address: SocketAddr,
    pub(in crate::control) origin: Origin,
    /// Id of the endpoint that this is one address of, where its name has several.
    whole: Option<String>,
}

/// Who tells of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Origin {
    Configuration,
    Api,
    Discovered(Discover),
}

/// How a source is doing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct SourceReport {
    /// `dns HOST`, `srv NAME`, `file PATH`, `plugin NAME`, or `api`, the admin API, where it has added endpoints.
    pub source: String,
    /// Endpoints, or addresses of a host, that it told of last.
    pub endpoints: usize,
    /// What is wrong with it by now; what it told last still holds.
    pub error: Option<String>,
}

const NOT_YET: &str = "there is no answer yet";

impl Membership {
    /// Endpoints that become members from now on are as it says.
    fn recall(&mut self, remembered: Remembered) {
        self.remembered = remembered;
    }

    /// The endpoints of a cluster, and what is missing.
    pub(in crate::control) fn of(&self, cluster: &config::Cluster) -> Found {
        let mut found = Found::default();
        let mut ids = HashSet::new();
        let is_removed = |id: &str| self.amendments.has_removed(&cluster.name, id);
        let removed = cluster.endpoints.iter().filter(|endpoint| is_removed(&endpoint.id));
        found.removed = removed.map(|endpoint| endpoint.id.clone()).collect();
        let configured = cluster.endpoints.iter().filter(|endpoint| !is_removed(&endpoint.id));
        self.add(configured, &Origin::Configuration, &mut ids, &mut found);
        let added = self.amendments.added(cluster);
        if !added.is_empty() {
            found.sources.push(SourceReport { source: Origin::Api.to_string(), endpoints: added.len(), error: None });
            self.add(&added, &Origin::Api, &mut ids, &mut found);
        }
        for from in &cluster.discover {
            let said = self.sources.get(&SourceKey::of(cluster, from));
            let endpoints = said.map(|said| said.last.as_slice()).unwrap_or_default();
            let error = said.map_or_else(|| Some(NOT_YET.to_owned()), |said| said.error.clone());
            found.sources.push(SourceReport { source: from.to_string(), endpoints: endpoints.len(), error });
            self.add(endpoints, &Origin::Discovered(from.clone()), &mut ids, &mut found);
        }
        found
    }

    /// Changes what the admin API has said.
    pub(in crate::control) fn amend<T>(&mut self, change: impl FnOnce(&mut Amendments) -> T) -> T {
        change(&mut self.amendments)
    }

    fn add<'a>(
        &self,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
        origin: &Origin,
        ids: &mut HashSet<String>,
        found: &mut Found,
    ) {
        for endpoint in endpoints {
            found.told.entry(endpoint.id.clone()).or_insert_with(|| origin.clone());
            let host = endpoint.address.host.as_str();
            let addresses = match endpoint.address.ip() {
                Some(ip) => vec![ip],
                None => self.names.get(host).map(|said| said.last.clone()).unwrap_or_default(),
            };
            if endpoint.address.ip().is_none() {
                found.note_name(host, self.names.get(host));
            }
            if addresses.is_empty() {
                let reason = self.names.get(host).and_then(|said| said.error.as_deref()).unwrap_or(NOT_YET);
                found.unresolved.push((endpoint.address.clone(), reason.to_owned()));
            }
            for ip in &addresses {
                let mut endpoint = endpoint.clone();
                let whole = (addresses.len() > 1).then(|| endpoint.id.clone());
                if let Some(whole) = &whole {
                    endpoint.id = format!("{whole}@{ip}");
                }
                if ids.insert(endpoint.id.clone()) {
                    let address = (*ip, endpoint.address.port).into();
                    found.endpoints.push(FoundEndpoint { endpoint, address, origin: origin.clone(), whole });
                }
            }
        }
    }

    /// Everything that is to be listened to for a cluster.
    pub(in crate::control) fn wanted(&self, cluster: &config::Cluster) -> Vec<Watch> {
        let keys = cluster.discover.iter().map(|from| SourceKey::of(cluster, from));
        let added = self.amendments.added(cluster);
        let (mut wanted, mut hosts) = (Vec::new(), names_in(&cluster.endpoints));
        hosts.extend(names_in(&added));
        for key in keys {
            hosts.extend(self.sources.get(&key).map(|said| names_in(&said.last)).unwrap_or_default());
            wanted.push(Watch::Source(key));
        }
        wanted.extend(hosts.into_iter().map(|host| Watch::Name(host.into())));
        wanted
    }

    pub(in crate::control) fn name(&mut self, host: &Arc<str>) -> &mut Said<IpAddr> {
        self.names.entry(host.clone()).or_default()
    }

    pub(in crate::control) fn source(&mut self, key: &SourceKey) -> &mut Said<Endpoint> {
        self.sources.entry(key.clone()).or_default()
    }

    pub(in crate::control) fn has_heard(&self, watch: &Watch) -> bool {
        match watch {
            Watch::Name(name) => self.names.contains_key(name),
            Watch::Source(key) => self.sources.contains_key(key),
        }
    }

    /// Listens to what these clusters need, and to nothing else.
    pub(in crate::control) fn listen(
        &mut self,
        clusters: &[&config::Cluster],
        settings: &config::Resolver,
        begin: impl Fn(&Watch, &Arc<Resolver>) -> Task,
    ) {
        let resolver = match self.resolver.take().filter(|resolver| resolver.settings() == settings) {
            Some(resolver) => resolver,
            None => {
                // All have to ask others from now on.
                self.listening.clear();
                Arc::new(Resolver::new(settings))
            }
        };
        let wanted: HashSet<Watch> = clusters.iter().flat_map(|cluster| self.wanted(cluster)).collect();
        self.listening.retain(|watch, _| wanted.contains(watch));
        self.names.retain(|name, _| wanted.contains(&Watch::Name(name.clone())));
        self.sources.retain(|key, _| wanted.contains(&Watch::Source(key.clone())));
        for watch in wanted {
            self.listening.entry(watch).or_insert_with_key(|watch| begin(watch, &resolver));
        }
        self.resolver = Some(resolver);
    }
}

impl Found {
    /// Who tells of an endpoint, by the id that it was told with.
    pub(in crate::control) fn origin_of(&self, id: &str) -> Option<&Origin> {
        self.told.get(id)
    }

    /// The endpoint of which this id is one of several addresses.
    fn whole_of(&self, id: &str) -> Option<String> {
        self.endpoints.iter().find(|found| found.endpoint.id == id)?.whole.clone()
    }

    /// A name is a source of addresses.
    fn note_name(&mut self, host: &str, said: Option<&Said<IpAddr>>) {
        let source = format!("dns {host}");
        if self.sources.iter().all(|known| known.source != source) {
            let endpoints = said.map_or(0, |said| said.last.len());
            let error = said.map_or_else(|| Some(NOT_YET.to_owned()), |said| said.error.clone());
            self.sources.push(SourceReport { source, endpoints, error });
        }
    }
}

fn names_in(endpoints: &[Endpoint]) -> Vec<&str> {
    let names = endpoints.iter().filter(|endpoint| endpoint.address.ip().is_none());
    names.map(|endpoint| endpoint.address.host.as_str()).collect()
}

impl SourceKey {
    fn of(cluster: &config::Cluster, from: &Discover) -> Self {
        Self { cluster: cluster.name.as_str().into(), from: from.clone(), max_connections: cluster.max_connections }
    }

    /// None for a plugin, which is asked in the control plane.
    pub(in crate::control) fn source(&self, resolver: &Arc<Resolver>) -> Option<Box<dyn Source>> {
        match &self.from {
            Discover::File(path) => Some(Box::new(FileSource::new(path, self.max_connections))),
            Discover::Srv(name) => Some(Box::new(ServiceSource::new(resolver.clone(), name, self.max_connections))),
            Discover::Plugin { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("configuration"),
            Self::Api => f.write_str("api"),
            Self::Discovered(from) => from.fmt(f),
        }
    }
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { last: Vec::new(), error: Some(NOT_YET.to_owned()) }
    }
}

impl<T: PartialEq> Said<T> {
    /// True when that changes something.
    pub(in crate::control) fn note(&mut self, what: &str, answer: Result<Vec<T>, String>) -> bool {
        match answer {
            Ok(found) => {
                let changed = self.last != found || self.error.is_some();
                if self.error.take().is_some() {
                    tracing::info!(what, found = found.len(), "endpoints are found");
                }
                self.last = found;
                changed
            }
            Err(error) => {
                let changed = self.error.as_ref() != Some(&error);
                if changed {
                    let kept = self.last.len();
                    tracing::error!(what, kept, "endpoints cannot be found, those that were known stay: {error}");
                }
                self.error = Some(error);
                changed
            }
        }
    }
}
