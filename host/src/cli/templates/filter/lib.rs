use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Edit, FilterPlan, Phases, Reply, Verdict};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Value that the header `x-api-key` must have.
    key: String,
}

/// Lets in who has the key, and keeps the key from the endpoint.
pub struct PluginType {
    key: String,
}

impl Filter for PluginType {
    type Config = Config;
    type Exchange = ();

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if config.key.is_empty() {
            return Err(ConfigErrors::at("/key", "expected at least one letter"));
        }
        Ok(Self { key: config.key })
    }

    fn plan(&self) -> FilterPlan {
        let key = Attribute::Header("x-api-key".to_owned());
        FilterPlan { attributes: vec![key], ..FilterPlan::new(Phases::REQUEST_HEAD) }
    }

    fn request_head(&mut self, _: &mut (), request: &Request<'_>) -> Verdict {
        if request.get(0) == Some(self.key.as_bytes()) {
            return Verdict::Proceed(vec![Edit::Remove("x-api-key".to_owned())]);
        }
        Verdict::Reply(Reply { status: 401, headers: Vec::new(), body: b"no key, no entry\n".to_vec() })
    }
}

plimsoll_sdk::plugin! { filter: PluginType }
