use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{DiscoveryAction, DiscoveryPlan, FoundEndpoint, OutwardAnswer, OutwardCall, OutwardError, from_json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the cluster that is asked.
    cluster: String,
    /// Path and query that it is asked for: a JSON list of `IP:PORT` or `HOST:PORT`.
    path: String,
    /// How often.
    #[serde(default = "ten_seconds")]
    interval: Duration,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// Asks an HTTP service for a list of addresses.
pub struct PluginType {
    config: Config,
    asked: u32,
    is_asking: bool,
}

impl Discovery for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if !config.path.starts_with('/') {
            return Err(ConfigErrors::at("/path", "expected a path that begins with `/`"));
        }
        Ok(Self { config, asked: 0, is_asking: false })
    }

    fn plan(&self) -> DiscoveryPlan {
        DiscoveryPlan { clusters: vec![self.config.cluster.clone()], tick: Some(self.config.interval) }
    }

    fn tick(&mut self, _now_ms: u64) -> Vec<DiscoveryAction> {
        if self.is_asking {
            return Vec::new();
        }
        self.is_asking = true;
        self.asked = self.asked.wrapping_add(1);
        vec![DiscoveryAction::Call(OutwardCall::get(self.asked, 0, &*self.config.path))]
    }

    fn answered(
        &mut self,
        _now_ms: u64,
        number: u32,
        answer: Result<OutwardAnswer, OutwardError>,
    ) -> Vec<DiscoveryAction> {
        if number != self.asked {
            return Vec::new();
        }
        self.is_asking = false;
        let action = match answer {
            Ok(answer) if answer.status == 200 => match from_json::<Vec<String>>(&answer.body) {
                Ok(addresses) => DiscoveryAction::Publish(once_each(addresses)),
                Err(error) => DiscoveryAction::Fail(format!("the answer is no list of addresses: {error}")),
            },
            Ok(answer) => DiscoveryAction::Fail(format!("the answer has the status {}", answer.status)),
            Err(error) => DiscoveryAction::Fail(error.as_str().to_owned()),
        };
        vec![action]
    }
}

/// Two of one address would be one endpoint twice, and the host takes none then.
fn once_each(mut addresses: Vec<String>) -> Vec<FoundEndpoint> {
    addresses.sort();
    addresses.dedup();
    addresses.into_iter().map(FoundEndpoint::at).collect()
}

plimsoll_sdk::plugin! { discovery: PluginType }
