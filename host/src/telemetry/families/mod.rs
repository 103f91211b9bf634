//! Every metric family, by name and help, and how shards become its series.
//!
//! The text is Prometheus's classic format, which every scraper and `promtool` read. The encoder speaks OpenMetrics,
//! where a counter's family lacks the `_total` of its samples; the classic format wants both equal. So counters go out
//! under their full name as plain values, which is the same line.

mod certificates;
mod clusters;
mod endpoints;
mod exposition;
mod listeners;
mod plugins;
mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use exposition::Exposition;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};

use super::label::{AcmeOrder, AdminRefusal, ReloadResult};
use super::sample::{CertificateSample, ClusterSample};
use super::shard::PluginTotals;
use super::shards::Shards;

/// Media type of what [`Registry::encode`](super::Registry::encode) answers.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that one scrape shows, read from the registry.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) shards: Shards,
    pub(super) plugins: Arc<BTreeMap<Arc<str>, Arc<PluginTotals>>>,
    /// Sorted, without duplicates.
    pub(super) sampled: Vec<ClusterSample>,
    /// Sorted, without duplicates.
    pub(super) certificates: Vec<CertificateSample>,
    pub(super) certificate_reloads: [u64; ReloadResult::ALL.len()],
    pub(super) acme_orders: [u64; AcmeOrder::ALL.len()],
    pub(super) start_seconds: f64,
    pub(super) config_version: u64,
    pub(super) reloads: [u64; ReloadResult::ALL.len()],
    pub(super) last_reload_succeeded: bool,
    pub(super) discoveries: [u64; ReloadResult::ALL.len()],
    pub(super) access_log_dropped: u64,
    pub(super) admin_refused: [u64; AdminRefusal::ALL.len()],
    pub(super) log_dropped: u64,
}

impl Scrape {
    pub(super) fn into_text(self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        if let Err(error) = text::encode_registry(&mut text, &registry) {
            // A String takes everything, so this is a mistake of ours; half a scrape is still better than none.
            tracing::error!("metrics could not be encoded completely: {error}");
        }
        text
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Exposition(encoder);
        self.listeners(&mut out)?;
        self.clusters(&mut out)?;
        self.endpoints(&mut out)?;
        self.certificates(&mut out)?;
        self.plugins(&mut out)?;
        self.process(&mut out)
    }
}
