use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Cluster for clients of the beta.
    beta: String,
    /// Cluster for everybody else.
    stable: String,
}

/// Sends clients with the cookie `beta` to a cluster of their own.
pub struct PluginType {
    config: Config,
}

impl Router for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { config })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Cookie("beta".to_owned())]
    }

    fn clusters(&self) -> Vec<String> {
        vec![self.config.beta.clone(), self.config.stable.clone()]
    }

    fn routes(&self) -> Vec<Route> {
        vec![Route::new("beta"), Route::new("stable")]
    }

    /// While the plugin cannot be asked, everybody is served by the cluster for everybody.
    fn fallback(&self) -> Option<u32> {
        Some(1)
    }

    fn route(&mut self, request: &Request<'_>) -> Decision {
        let which = if request.cookie("beta").is_some() { 0 } else { 1 };
        Decision { action: Action::Forward(which), route: Some(which), repeatable: true }
    }
}

plimsoll_sdk::plugin! { router: PluginType }
