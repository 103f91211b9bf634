//! Goes by what it is shown of requests: the first digit of an attribute is the place of the endpoint that a request wants first, and
//! further attempts go to those after it.

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// A header, or one of `body`, `listener`, `server-name`, `route`, `keys`, `zone`: of the proxy itself.
    by: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { by: "x-want".into() }
    }
}

struct Shown {
    by: String,
}

impl Shown {
    /// Of keys, which of them there are, in binary with the first at the end.
    fn wanted(&self, request: &Pick<'_>) -> Option<usize> {
        if self.by == "keys" {
            return Some(request.keys.iter().rev().fold(0, |all, key| 2 * all + usize::from(key.is_some())));
        }
        if self.by == "zone" {
            let node = host::node();
            return (node.id == "edge").then(|| node.zone.len());
        }
        let digit = request.request.get(0)?.iter().find(|byte| byte.is_ascii_digit())?;
        Some(usize::from(digit - b'0'))
    }
}

impl Balancer for Shown {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { by: config.by })
    }

    fn reasons(&self) -> Vec<String> {
        vec!["unseen".to_owned(), "seen".to_owned()]
    }

    fn attributes(&self) -> Vec<Attribute> {
        match self.by.as_str() {
            "keys" | "zone" => Vec::new(),
            "body" => vec![Attribute::BodyPrefix(8)],
            "listener" => vec![Attribute::Listener],
            "server-name" => vec![Attribute::ServerName],
            "route" => vec![Attribute::Route],
            header => vec![Attribute::Header(header.to_owned())],
        }
    }

    fn wants_keys(&self) -> bool {
        self.by == "keys"
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let wanted = self.wanted(request);
        let ready = request.endpoints.ready();
        let first = wanted.unwrap_or(0);
        let mut in_order = (first..first + ready.len()).map(|at| &ready[at % ready.len()]);
        let choice = in_order.find(|endpoint| !request.is_tried(endpoint.slot)).or(ready.first())?;
        Some(Choice { slot: choice.slot, reason: u32::from(wanted.is_some()) })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Clusters {
    /// By the first digit of a body.
    clusters: Vec<String>,
}

struct ByBody(Vec<String>);

impl Router for ByBody {
    type Config = Clusters;

    fn new(config: Clusters) -> Result<Self, ConfigErrors> {
        Ok(Self(config.clusters))
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::BodyPrefix(8)]
    }

    fn clusters(&self) -> Vec<String> {
        self.0.clone()
    }

    fn route(&mut self, request: &Request<'_>) -> Decision {
        let digit = request.body_prefix().unwrap_or_default().iter().find(|byte| byte.is_ascii_digit());
        let cluster = digit.map_or(0, |digit| u32::from(digit - b'0')).min(self.0.len() as u32 - 1);
        Decision { action: Action::Forward(cluster), route: None, repeatable: true }
    }
}

plimsoll_sdk::plugin! { profiles: ["balancer/packing"], router: ByBody, balancer: Shown }
