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
    values: Vec<String>,
}

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
            match groups.iter_mut().find(|group| group.name == *value) {
                Some(group) => group.slots.push(endpoint.slot),
                None => groups.push(Group { name: value.clone(), slots: vec![endpoint.slot] }),
            }
        }
        self.values = groups.iter().map(|group| group.name.clone()).collect();
        groups
    }

    fn choose(&mut self, question: &Choose<'_>) -> Option<u32> {
        let wanted = question.request.get(0).unwrap_or(self.config.default.as_bytes());
        let place = self.values.iter().position(|value| value.as_bytes() == wanted)?;
        u32::try_from(place).ok()
    }
}

plimsoll_sdk::plugin! { partitioner: PluginType }
