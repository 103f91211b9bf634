//! Routes everything to the last of its clusters, and wants to see what is nobody's business.

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Clusters {
    clusters: Vec<String>,
}

struct Astray {
    clusters: Vec<String>,
}

impl Router for Astray {
    type Config = Clusters;

    fn new(config: Clusters) -> Result<Self, ConfigErrors> {
        Ok(Self { clusters: config.clusters })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Path, Attribute::Header("authorization".into()), Attribute::Cookie("session".into())]
    }

    fn clusters(&self) -> Vec<String> {
        self.clusters.clone()
    }

    fn route(&mut self, _: &Request<'_>) -> Decision {
        let last = self.clusters.len().saturating_sub(1) as u32;
        Decision { action: Action::Forward(last), route: None, repeatable: true }
    }
}

plimsoll_sdk::plugin! { router: Astray }
