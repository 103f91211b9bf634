use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::plugin::{Engine, Grants, Limits, Plugin, PolicyConfig, Role, Services, Source};

/// A plugin that is to be held against the suite, as the proxy has loaded it. Its instances share nothing with those that
/// serve.
#[derive(Debug)]
pub struct Component {
    pub(super) plugin: Arc<Plugin>,
    /// Without it nobody ends a call that does not end by itself.
    _engine: Engine,
    /// What the configuration uses it for.
    pub(super) uses: Vec<PolicyConfig>,
    /// Profiles that it is held to beside those that it claims itself.
    pub(super) claims: Vec<String>,
    /// What it was made of, if that is at hand.
    bytes: Option<Box<[u8]>>,
    /// The same, compiled so that what it executes is counted.
    metered: OnceCell<Option<Box<Self>>>,
    /// When there is no time left: from then on every call fails.
    pub(super) until: Option<Instant>,
}

impl Component {
    /// With every import granted.
    pub fn load(bytes: &[u8]) -> anyhow::Result<Self> {
        Self::load_with(bytes, Grants::everything(), Limits::default())
    }

    pub fn load_with(bytes: &[u8], grants: Grants, limits: Limits) -> anyhow::Result<Self> {
        Ok(Self { bytes: Some(bytes.into()), ..Self::compiled(Engine::new()?, bytes, grants, limits)? })
    }

    fn compiled(engine: Engine, bytes: &[u8], grants: Grants, limits: Limits) -> anyhow::Result<Self> {
        let services = Arc::new(Services::for_trial(0));
        let plugin = Plugin::load(&engine, &services, None, bytes, Source::Upload, grants, limits)?;
        Ok(Self::new(engine, Arc::new(plugin), Vec::new()))
    }

    /// With what each of its roles is configured with, by the names of the roles.
    pub fn configured(self, configuration: &BTreeMap<String, serde_json::Value>) -> Self {
        let uses = configuration.iter().filter_map(|(name, config)| {
            Some(PolicyConfig {
                role: role(name)?,
                scope: "conformance".into(),
                config: config.to_string().into(),
                pointer: String::new(),
                known_clusters: Arc::default(),
                of_connections: false,
            })
        });
        Self { uses: uses.collect(), ..self }
    }

    /// With further profiles that it is held to.
    pub fn claiming(self, profiles: &[String]) -> Self {
        Self { claims: profiles.to_vec(), ..self }
    }

    pub fn name(&self) -> String {
        self.plugin.name.to_string()
    }

    /// Compiled once more when it is asked for first; none where it was not loaded from bytes.
    pub(super) fn metered(&self) -> Option<&Self> {
        let (grants, limits) = (&self.plugin.grants, &self.plugin.limits);
        let load = |bytes| Self::compiled(Engine::metered().ok()?, bytes, grants.clone(), limits.clone()).ok();
        let compile = || self.bytes.as_deref().and_then(load).map(Box::new);
        self.metered.get_or_init(compile).as_deref()
    }

    /// As loaded by this engine, with what the configuration uses it for.
    pub fn new(engine: Engine, plugin: Arc<Plugin>, uses: Vec<PolicyConfig>) -> Self {
        Self { plugin, _engine: engine, uses, claims: Vec::new(), bytes: None, metered: OnceCell::new(), until: None }
    }

    /// Not to be looked at for longer than that.
    pub fn until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
    }

    pub fn roles(&self) -> Vec<String> {
        self.plugin.roles.iter().map(ToString::to_string).collect()
    }
}

/// The role of this name.
pub(super) fn role(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|known| known.as_str() == name)
}
