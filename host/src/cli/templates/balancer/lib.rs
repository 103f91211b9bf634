use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Requests that one endpoint gets in a row.
    burst: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { burst: 1 }
    }
}

/// Goes round, some requests at a time.
pub struct PluginType {
    burst: u32,
    picks: u32,
}

impl Balancer for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if config.burst == 0 {
            return Err(ConfigErrors::at("/burst", "expected at least 1"));
        }
        Ok(Self { burst: config.burst, picks: 0 })
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        if ready.is_empty() {
            return None;
        }
        let turn = (self.picks / self.burst) as usize % ready.len();
        self.picks = self.picks.wrapping_add(1);
        let (before, after) = ready.split_at(turn);
        let fresh = after.iter().chain(before).find(|e| !request.is_tried(e.slot));
        Some(Choice::slot(fresh.unwrap_or(&ready[turn]).slot))
    }
}

plimsoll_sdk::plugin! { balancer: PluginType }
