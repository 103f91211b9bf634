use std::sync::Arc;

use super::certificates::watch_certificates;
use super::membership::{end_departed, hear_outcomes, tell_untold};
use super::overload::watch_overload;
use super::plugins::TrustedKeys;
use super::rollout::prepare_endpoints;
use super::state::{Control, Settings};

impl Control {
    /// Starts the control plane's tasks. Nothing is served before a configuration is applied.
    pub fn start(settings: Settings) -> Arc<Self> {
        let mut control =
            Self::for_checking(settings.engine, settings.services, TrustedKeys::new(&settings.plugin_keys));
        control.workers = settings.workers;
        control.config_file = settings.config_file;
        control.tickets = settings.tickets;
        control.challenges = settings.challenges;
        control.overload = settings.overload;
        let control = Arc::new(control);
        let source = Arc::downgrade(&control);
        control.registry.set_cluster_source(Box::new(move || {
            source.upgrade().map(|control| control.cluster_samples()).unwrap_or_default()
        }));
        let source = Arc::downgrade(&control);
        control.registry.set_certificate_source(Box::new(move || {
            source.upgrade().map(|control| control.certificate_samples()).unwrap_or_default()
        }));
        tokio::spawn(watch_certificates(Arc::downgrade(&control)));
        tokio::spawn(watch_overload(Arc::downgrade(&control)));
        tokio::spawn(hear_outcomes(Arc::downgrade(&control), settings.outcomes));
        tokio::spawn(tell_untold(Arc::downgrade(&control)));
        tokio::spawn(end_departed(Arc::downgrade(&control)));
        tokio::spawn(prepare_endpoints(Arc::downgrade(&control), control.unprepared.clone()));
        control
    }
}
