use std::sync::Arc;

use super::error::ApplyError;
use crate::control::state::Control;

impl Control {
    /// Makes an earlier version live again, as a new version.
    pub async fn roll_back(self: &Arc<Self>, version: Option<u64>) -> Result<u64, ApplyError> {
        let config = {
            let state = self.lock();
            let earlier = state.versions.earlier(version);
            earlier.map(|version| version.config.clone()).ok_or(ApplyError::NoSuchVersion(version.unwrap_or(0)))?
        };
        self.apply((*config).clone(), "rollback").await
    }
}
