//! Sends a request only to endpoints whose labels have the values that it asks for: the version in a header, the tenant in
//! a cookie. What asks for nothing, or for what is not there, is decided by the fallback, as in Envoy.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group, Sorted, sort_by};

/// What is matched with what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Labels, each with where the request says the wanted value. An endpoint must match all of them.
    #[serde(default = "version_by_header")]
    labels: Vec<Label>,
    /// Where requests go that ask for nothing, or for what no ready endpoint has.
    #[serde(default)]
    fallback: Fallback,
    /// The labels of the endpoints that `default` means.
    #[serde(default)]
    default: Sorted<String, String>,
}

/// A label of endpoints and where a request names its value. One of `header`, `cookie` and `query_parameter`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Key in the endpoints' metadata.
    metadata: String,
    /// Name of a header.
    #[serde(default)]
    header: Option<String>,
    /// Name of a cookie.
    #[serde(default)]
    cookie: Option<String>,
    /// Name of a query parameter.
    #[serde(default)]
    query_parameter: Option<String>,
}

/// Where requests without a subset go.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// To any endpoint.
    #[default]
    Any,
    /// Nowhere.
    None,
    /// To the endpoints with the labels under `default`.
    Default,
}

fn version_by_header() -> Vec<Label> {
    let header = Some("x-version".to_owned());
    vec![Label { metadata: "version".into(), header, cookie: None, query_parameter: None }]
}

/// Divides by labels.
#[derive(Debug)]
pub struct Subset {
    config: Config,
    attributes: Vec<Attribute>,
    /// Groups that have a ready endpoint, by the values of the labels, joined as in [`join`].
    by_values: Sorted<Vec<u8>, u32>,
    fallback: Option<u32>,
    /// The values of the request at hand.
    wanted: Vec<u8>,
}

/// More labels than anybody combines.
const MOST_LABELS: usize = 8;
/// Groups that a partitioner may have: one of them is the fallback's.
const MOST_SUBSETS: usize = 1023;

impl Partitioner for Subset {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if config.labels.is_empty() || config.labels.len() > MOST_LABELS {
            let message = format_args!("expected 1 to {MOST_LABELS} labels, not {}", config.labels.len());
            return Err(ConfigErrors::at("/labels", message));
        }
        if (config.fallback == Fallback::Default) == config.default.is_empty() {
            return Err(ConfigErrors::at("/default", "expected labels here with `fallback: default`, and only then"));
        }
        let mut attributes = Vec::new();
        for (number, label) in config.labels.iter().enumerate() {
            attributes.push(match (&label.header, &label.cookie, &label.query_parameter) {
                (Some(name), None, None) => Attribute::Header(name.to_ascii_lowercase()),
                (None, Some(name), None) => Attribute::Cookie(name.clone()),
                (None, None, Some(name)) => Attribute::QueryParameter(name.clone()),
                _ => {
                    let path = format!("/labels/{number}");
                    return Err(ConfigErrors::at(&path, "expected one of header, cookie and query_parameter"));
                }
            });
        }
        Ok(Self { config, attributes, by_values: Sorted::new(), fallback: None, wanted: Vec::new() })
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.attributes.clone()
    }

    /// Who has configured where requests without a subset go does not want them to go anywhere.
    fn is_strict(&self) -> bool {
        self.config.fallback != Fallback::Any
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        let usable = |endpoint: &Endpoint| endpoint.availability == Availability::Ready && endpoint.weight > 0;
        let mut labelled: Vec<(Vec<u8>, &Endpoint)> =
            endpoints.iter().filter_map(|endpoint| Some((self.values(endpoint)?, endpoint))).collect();
        sort_by(&mut labelled, |(values_of_a, a), (values_of_b, b)| {
            values_of_a.cmp(values_of_b).then(a.slot.cmp(&b.slot))
        });
        let mut alike: Vec<&[(Vec<u8>, &Endpoint)]> = labelled.chunk_by(|(a, _), (b, _)| a == b).collect();
        sort_by(&mut alike, |a, b| a[0].1.slot.cmp(&b[0].1.slot));
        alike.truncate(MOST_SUBSETS);
        let mut groups = Vec::with_capacity(alike.len() + 1);
        let mut by_values = Vec::new();
        for (group, at) in alike.iter().zip(0..) {
            let (values, first) = &group[0];
            if group.iter().any(|(_, endpoint)| usable(endpoint)) {
                by_values.push((values.clone(), at));
            }
            groups.push(Group { name: self.name(first), slots: group.iter().map(|(_, e)| e.slot).collect() });
        }
        self.by_values = by_values.into_iter().collect();
        let by_default: Vec<&Endpoint> = match self.config.fallback {
            Fallback::None => Vec::new(),
            Fallback::Any => endpoints.iter().collect(),
            Fallback::Default => {
                let is_one = |endpoint: &Endpoint| {
                    self.config.default.iter().all(|(key, value)| value_of(endpoint, key) == Some(value.as_str()))
                };
                endpoints.iter().filter(|endpoint| is_one(endpoint)).collect()
            }
        };
        self.fallback = by_default.iter().any(|endpoint| usable(endpoint)).then_some(groups.len() as u32);
        groups.push(Group { name: "(fallback)".into(), slots: by_default.iter().map(|e| e.slot).collect() });
        groups
    }

    fn choose(&mut self, question: &Choose<'_>) -> Option<u32> {
        self.wanted.clear();
        for index in 0..self.attributes.len() {
            let Some(value) = question.request.get(index) else { return self.fallback };
            join(&mut self.wanted, value);
        }
        self.by_values.get(&self.wanted).copied().or(self.fallback)
    }
}

impl Subset {
    /// The values of all labels, joined; none for an endpoint that lacks one.
    fn values(&self, endpoint: &Endpoint) -> Option<Vec<u8>> {
        let mut joined = Vec::new();
        for label in &self.config.labels {
            join(&mut joined, value_of(endpoint, &label.metadata)?.as_bytes());
        }
        Some(joined)
    }

    /// Tells the subset that the endpoint belongs to from every other, and from the fallback.
    fn name(&self, endpoint: &Endpoint) -> String {
        let mut name = String::new();
        for (number, label) in self.config.labels.iter().enumerate() {
            if number > 0 {
                name.push_str(", ");
            }
            for letter in value_of(endpoint, &label.metadata).unwrap_or_default().chars() {
                if matches!(letter, '\\' | ',' | '(') {
                    name.push('\\');
                }
                name.push(letter);
            }
        }
        name
    }
}

fn value_of<'a>(endpoint: &'a Endpoint, key: &str) -> Option<&'a str> {
    endpoint.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// Adds a value to a list of them in one piece of memory: its length first, so that no two lists look the same.
fn join(joined: &mut Vec<u8>, value: &[u8]) {
    joined.extend_from_slice(&(value.len() as u32).to_le_bytes());
    joined.extend_from_slice(value);
}

plimsoll_sdk::plugin! { summary: "only endpoints whose labels the request asks for", partitioner: Subset }

#[cfg(test)]
mod tests;
