use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Header that carries the session, in lower case.
    header: String,
    /// How long a session is remembered.
    #[serde(default = "half_an_hour")]
    ttl: Duration,
}

fn half_an_hour() -> Duration {
    Duration::from_secs(1800)
}

/// Remembers in the host's table which endpoint answered a session.
pub struct PluginType {
    config: Config,
}

impl Affinity for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if config.header.is_empty() {
            return Err(ConfigErrors::at("/header", "expected the name of a header"));
        }
        Ok(Self { config })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Header(self.config.header.clone())]
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        let Some(known) = request.get(0).and_then(host::table::get) else { return Binding::Unbound };
        // Slots may come to mean another endpoint; the hash of the id does not.
        let bound = endpoints.iter().find(|e| e.id_hash.to_le_bytes()[..] == known[..]);
        match bound {
            Some(e) if endpoints.keeps_bound(e.slot) => Binding::Bound(e.slot),
            _ => Binding::Lost,
        }
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        if let (Some(session), Some(e)) = (request.get(0), endpoints.get(answer.slot)) {
            host::table::put(session, &e.id_hash.to_le_bytes(), self.config.ttl);
        }
        Vec::new()
    }
}

plimsoll_sdk::plugin! { affinity: PluginType }
