use std::sync::Arc;

use super::error::ApplyError;
use crate::config::{self, CheckTls, Config};
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::telemetry::ReloadResult;

impl Control {
    /// Makes a configuration live on all workers, or on none. Answers its version.
    pub async fn apply(self: &Arc<Self>, config: Config, origin: &'static str) -> Result<u64, ApplyError> {
        self.apply_after(None, config, origin).await
    }

    /// The same, but only if the version `made_from` is live: nothing that somebody else has changed in between is undone.
    pub async fn apply_after(
        self: &Arc<Self>,
        made_from: Option<u64>,
        config: Config,
        origin: &'static str,
    ) -> Result<u64, ApplyError> {
        // Before anybody waits: it may take long, and what it has compiled is at hand when the configuration is prepared.
        let looking = {
            let (control, config) = (self.clone(), config.clone());
            beside("looking at the configuration", move || {
                ApplyError::if_any(&config, control.look_at(&config, origin))
            })
        };
        looking.await.map_err(ApplyError::from).flatten().inspect_err(|error| self.refused(origin, error))?;
        let _one_at_a_time = self.changing.lock().await;
        let live = self.config_version();
        if made_from.is_some_and(|made_from| made_from != live) {
            return Err(ApplyError::Outdated { live });
        }
        self.hear_first(&config).await;
        let control = self.clone();
        let preparing = beside("preparing the configuration", move || control.prepare_with_sockets(config));
        let prepared = preparing.await.map_err(ApplyError::from).flatten().inspect_err(|error| {
            self.refused(origin, error);
            self.listen(None);
        })?;
        let version = self.commit(prepared, Some(origin)).await?;
        self.registry.config_reloaded(ReloadResult::Success);
        self.registry.set_config_version(version);
        tracing::info!(target: "audit", origin, version, "configuration is live");
        self.warn_of_unverified();
        Ok(version)
    }

    /// Reads the configuration's file again and makes it live.
    pub async fn reload(self: &Arc<Self>) -> Result<u64, ApplyError> {
        let Some(path) = &self.config_file else {
            // Before anything is live there is nothing that could be so again.
            let Some(config) = self.config() else { return Ok(0) };
            return self.apply((*config).clone(), "reload").await;
        };
        let config = config::load(path).map_err(ApplyError::from).inspect_err(|error| self.refused("file", error))?;
        self.apply(config, "file").await
    }

    /// Says loudly to whom TLS is spoken without knowing who it is.
    fn warn_of_unverified(&self) {
        let Some(config) = self.config() else { return };
        let is_unverified = |tls: &config::UpstreamTls| !tls.verifies;
        for cluster in &config.clusters {
            if cluster.tls.as_ref().is_some_and(is_unverified) {
                tracing::warn!(
                    cluster = cluster.name,
                    "certificates of endpoints are NOT verified (`insecure_skip_verify`): anybody on the way can read and \
                     change what is sent; `ca_file` trusts an own CA"
                );
            }
            let checks = cluster.health.probe.iter().flat_map(|probe| &probe.checks);
            for check in checks.filter(|check| matches!(&check.tls, CheckTls::Own(own) if is_unverified(own))) {
                tracing::warn!(
                    cluster = cluster.name,
                    probe = check.plugin.plugin,
                    "certificates are NOT verified by probes (`insecure_skip_verify` of `own_tls`): anybody on the way can \
                     answer them, and read the passwords that they send; `ca_file` trusts an own CA"
                );
            }
        }
    }

    pub(super) fn refused(&self, origin: &str, error: &ApplyError) {
        self.registry.config_reloaded(ReloadResult::Failure);
        tracing::error!(origin, "configuration refused, nothing changed:\n{error}");
    }
}
