use std::sync::Arc;

use anyhow::Context as _;

use super::choice::Choice;
use crate::plugin::{Engine, Grants, Limits, Plugin, Services, Source};

/// A plugin that is ready to be simulated: a balancer, or what stands around it.
#[derive(Debug)]
pub(super) struct Contestant {
    pub(super) choice: Choice,
    pub(super) plugin: Arc<Plugin>,
}

impl Contestant {
    pub(super) fn load(engine: &Engine, choice: Choice) -> anyhow::Result<Self> {
        let services = Arc::new(Services::for_trial(0));
        let (grants, limits) = (Grants::everything(), Limits::default());
        let plugin = Plugin::load(engine, &services, None, &choice.bytes()?, Source::Upload, grants, limits)
            .with_context(|| format!("load {}", choice.name))?;
        Ok(Self { choice, plugin: Arc::new(plugin) })
    }
}
