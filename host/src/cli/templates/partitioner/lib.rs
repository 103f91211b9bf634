use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Label by which endpoints are divided.
    label: String,
    /// Value of the label that requests go to unless they ask for another.
    default: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { label: "tier".into(), default: "standard".into() }
    }
}

/// A group for each value of a label; requests name one in a header.
pub struct PluginType {
    config: Config,
    /// Of each group, and whether any of its endpoints can take requests.
    values: Vec<(String, bool)>,
}

/// The host takes no more.
const MOST_GROUPS: usize = 1024;

impl Partitioner for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if config.label.is_empty() {
            return Err(ConfigErrors::at("/label", "expected the key of a label"));
        }
        Ok(Self { config, values: Vec::new() })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Header(format!("x-{}", self.config.label))]
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for endpoint in endpoints {
            let label = endpoint.metadata.iter().find(|(key, _)| *key == self.config.label);
            let Some((_, value)) = label else { continue };
            match groups.iter().position(|group| group.name == *value) {
                Some(at) => groups[at].slots.push(endpoint.slot),
                None if groups.len() < MOST_GROUPS => {
                    groups.push(Group { name: value.clone(), slots: vec![endpoint.slot] });
                }
                None => {}
            }
        }
        let takes = |e: &Endpoint| e.availability == Availability::Ready && e.weight > 0;
        let is_open = |group: &Group| group.slots.iter().any(|slot| endpoints.get(*slot).is_some_and(takes));
        self.values = groups.iter().map(|group| (group.name.clone(), is_open(group))).collect();
        groups
    }

    fn choose(&mut self, question: &Choose<'_>) -> Option<u32> {
        let wanted = question.request.get(0).unwrap_or(self.config.default.as_bytes());
        let place = self.values.iter().position(|(value, is_open)| *is_open && value.as_bytes() == wanted)?;
        u32::try_from(place).ok()
    }
}

plimsoll_sdk::plugin! { partitioner: PluginType }
