use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::config::{self, Cluster, Config, Endpoint, GivenEndpoint};

/// What the admin API has changed about who belongs to clusters, beside the configuration.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Amendments(BTreeMap<Arc<str>, Amended>);

/// What it has changed about one cluster.
#[derive(Clone, Debug, Default)]
struct Amended {
    /// In the order in which they came.
    added: Vec<GivenEndpoint>,
    /// Ids of endpoints that the configuration has.
    removed: BTreeSet<String>,
}

impl Amendments {
    /// The endpoints that were added to a cluster.
    pub(super) fn added(&self, cluster: &Cluster) -> Vec<Endpoint> {
        let amended = self.0.get(cluster.name.as_str());
        let added = amended.into_iter().flat_map(|amended| &amended.added);
        added.map(|given| given.in_cluster(cluster.max_connections)).collect()
    }

    pub(super) fn has_removed(&self, cluster: &str, id: &str) -> bool {
        self.0.get(cluster).is_some_and(|amended| amended.removed.contains(id))
    }

    /// Adds an endpoint to a cluster. One that the configuration has in just this form, and that was removed, is back.
    pub(super) fn add(&mut self, cluster: &Cluster, given: &GivenEndpoint) {
        let amended = self.0.entry(cluster.name.as_str().into()).or_default();
        amended.added.retain(|known| known.id() != given.id());
        let configured = cluster.endpoints.iter().find(|endpoint| endpoint.id == given.id());
        if configured.is_some_and(|configured| *configured == given.in_cluster(cluster.max_connections)) {
            amended.removed.remove(given.id());
        } else {
            amended.added.push(given.clone());
        }
    }

    /// Removes an endpoint, whether it was added before or is one of the configuration.
    pub(super) fn remove(&mut self, cluster: &Cluster, id: &str) {
        let amended = self.0.entry(cluster.name.as_str().into()).or_default();
        amended.added.retain(|given| given.id() != id);
        if cluster.endpoints.iter().any(|endpoint| endpoint.id == id) {
            amended.removed.insert(id.to_owned());
        }
    }

    /// Forgets what the configuration that goes live has taken over: added endpoints that it has by itself, removed ones that
    /// it does not have, and clusters that are gone. True when there was something.
    pub(in crate::control) fn settle(&mut self, config: &Config) -> bool {
        let before = self.count();
        let clusters: BTreeMap<&str, BTreeSet<&str>> = config.clusters.iter().map(ids_of).collect();
        self.0.retain(|name, amended| {
            let Some(ids) = clusters.get(&**name) else { return false };
            amended.added.retain(|given| !ids.contains(given.id()) || amended.removed.contains(given.id()));
            amended.removed.retain(|id| ids.contains(id.as_str()));
            !amended.added.is_empty() || !amended.removed.is_empty()
        });
        self.count() != before
    }

    fn count(&self) -> usize {
        self.0.values().map(|amended| amended.added.len() + amended.removed.len()).sum()
    }

    /// The form in which they are kept.
    pub(super) fn to_json(&self) -> Value {
        let cluster = |(name, amended): (&Arc<str>, &Amended)| {
            let added: Vec<&Value> = amended.added.iter().map(GivenEndpoint::given).collect();
            (name.to_string(), serde_json::json!({ "added": added, "removed": amended.removed }))
        };
        let is_amended =
            |(_, amended): &(&Arc<str>, &Amended)| !amended.added.is_empty() || !amended.removed.is_empty();
        let clusters: serde_json::Map<String, Value> = self.0.iter().filter(is_amended).map(cluster).collect();
        serde_json::json!({ "format": FORMAT, "clusters": clusters })
    }

    /// What was kept. Endpoints are held to what the configuration's are held to.
    pub(super) fn from_json(text: &[u8]) -> Result<Self, String> {
        let kept: Kept = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if kept.format != FORMAT {
            return Err(format!("its format is {}, and {FORMAT} is the one that is known", kept.format));
        }
        let mut amendments = Self::default();
        for (name, KeptCluster { added, removed }) in kept.clusters {
            let added = added.iter().map(|given| config::parse_endpoint(&given.to_string(), &name));
            let added = added.collect::<Result<_, _>>().map_err(|errors| errors.to_string())?;
            amendments.0.insert(name.into(), Amended { added, removed });
        }
        Ok(amendments)
    }
}

fn ids_of(cluster: &Cluster) -> (&str, BTreeSet<&str>) {
    (&cluster.name, cluster.endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect())
}

/// Version of the form in which they are kept.
const FORMAT: u32 = 1;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    clusters: BTreeMap<String, KeptCluster>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptCluster {
    added: Vec<Value>,
    removed: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoints: &str) -> Config {
        let text = format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, max_connections: 7, endpoints: [ {endpoints} ] }} ]"
        );
        config::parse(&text, "test").expect("a configuration")
    }

    fn given(text: &str) -> GivenEndpoint {
        config::parse_endpoint(text, "test").expect("an endpoint")
    }

    fn ids(amendments: &Amendments, config: &Config) -> Vec<String> {
        amendments.added(&config.clusters[0]).into_iter().map(|endpoint| endpoint.id).collect()
    }

    #[test]
    fn what_a_configuration_takes_over_is_its_own_again() {
        let config = config("\"a:1\", \"b:1\"");
        let mut amendments = Amendments::default();
        for text in ["\"c:1\"", "{ id: d, address: \"d:1\", max_connections: 2 }"] {
            amendments.add(&config.clusters[0], &given(text));
        }
        amendments.remove(&config.clusters[0], "a:1");
        let bounds: Vec<u32> =
            amendments.added(&config.clusters[0]).iter().map(|added| added.max_connections).collect();
        assert_eq!((ids(&amendments, &config), bounds), (vec!["c:1".to_owned(), "d".to_owned()], vec![7, 2]));
        assert!(!amendments.settle(&config) && amendments.has_removed("app", "a:1"));
        let next = self::config("\"b:1\", \"c:1\"");
        assert!(amendments.settle(&next));
        assert_eq!((ids(&amendments, &next), amendments.has_removed("app", "a:1")), (vec!["d".to_owned()], false));
        assert!(
            amendments.settle(&config::parse(&next.source.text().replace("app", "other"), "test").expect("another"))
        );
        assert_eq!(ids(&amendments, &next), [""; 0]);
    }

    #[test]
    fn a_removed_endpoint_of_the_configuration_comes_back_as_it_was_or_otherwise() {
        let config = config("{ id: a, address: \"a:1\" }");
        let app = &config.clusters[0];
        let mut amendments = Amendments::default();
        amendments.remove(app, "a");
        amendments.add(app, &given("{ id: a, address: \"a:1\" }"));
        let standing = |amendments: &Amendments| (amendments.has_removed("app", "a"), amendments.added(app).len());
        assert_eq!(standing(&amendments), (false, 0));
        amendments.remove(app, "a");
        amendments.add(app, &given("{ id: a, address: \"other:1\" }"));
        assert_eq!(standing(&amendments), (true, 1));
        assert!(!amendments.settle(&config), "it stays in the place of the configuration's");
        amendments.remove(app, "a");
        assert_eq!(standing(&amendments), (true, 0));
    }

    #[test]
    fn what_is_kept_is_the_same_when_it_is_read_again() {
        let config = config("\"a:1\"");
        let mut amendments = Amendments::default();
        amendments.add(&config.clusters[0], &given("{ address: \"[::1]:80\", weight: 3, metadata: { zone: x } }"));
        amendments.remove(&config.clusters[0], "a:1");
        let kept = amendments.to_json();
        let again = Amendments::from_json(kept.to_string().as_bytes()).expect("it can be read");
        assert_eq!(again.to_json(), kept);
        for bad in [
            "",
            "{",
            r#"{"format":2,"clusters":{}}"#,
            r#"{"format":1,"clusters":{},"more":1}"#,
            r#"{"format":1,"clusters":{"app":{"added":["nowhere"],"removed":[]}}}"#,
        ] {
            assert!(Amendments::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
