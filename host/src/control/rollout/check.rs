use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::control::desired::ApplyError;
use crate::control::plugins::TrustedKeys;
use crate::control::state::Control;
use crate::plugin::{Engine, Services};

/// Lets everyone who has a say in a configuration judge it, without making anything live.
/// `store` is where uploads are kept, and whether the operator says so.
pub fn check(
    engine: &Engine,
    services: &Arc<Services>,
    config: Config,
    store: Option<(&Path, bool)>,
) -> Result<(), ApplyError> {
    let control = Control::for_checking(engine.clone(), services.clone(), TrustedKeys::new(&config.plugin_keys));
    if let Some((directory, is_asked_for)) = store {
        control.open_store(directory, is_asked_for);
    }
    ApplyError::if_any(&config, control.look_at(&config, "check"))?;
    control.prepare(config).map(drop)
}
