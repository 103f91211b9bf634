//! Every metric family, by name and help, and how shards become its series.
//!
//! The text is Prometheus's classic format, which every scraper and `promtool` read. The encoder speaks OpenMetrics,
//! where a counter's family lacks the `_total` of its samples; the classic format wants both equal. So counters go out
//! under their full name as plain values, which is the same line.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use super::histogram::{CALL, HistogramTotal, LASTING, LATENCY};
use super::label::{
    AcmeOrder, AdminRefusal, AttemptOutcome, BadRequest, Class, ConnectResult, DatagramDrop, Direction, FallbackReason,
    Flag, GrpcStatus, LoadReportResult, ProxyHeader, QueueResult, Refusal, ReloadResult, RetryReason, SessionEnd,
    TlsHandshake, TrapKind, TunnelEnd,
};
use super::process;
use super::registry::{CertificateSample, ClusterSample, EndpointSample, PluginKey, Shards};
use super::shard::{ClusterShard, ListenerShard, PluginShard, PluginTotals};

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

    fn listeners(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let listeners = &self.shards.listeners;

        let mut family =
            out.counter("plimsoll_connections_total", "Connections accepted, and sessions of UDP begun.")?;
        for (listener, shards) in listeners {
            let count: u64 = shards.values().map(|shard| shard.connections.get()).sum();
            family.sample([("listener", listener)], count)?;
        }
        let mut family =
            out.gauge("plimsoll_connections_open", "Connections that are open now, and sessions of UDP.")?;
        for (listener, shards) in listeners {
            let open: u64 = shards.values().map(|shard| shard.open.get()).sum();
            family.sample([("listener", listener)], open)?;
        }
        let mut family = out.counter(
            "plimsoll_connections_refused_total",
            "Connections not accepted and sessions of UDP not begun, because of a limit or an error of the system.",
        )?;
        for (listener, shards) in listeners {
            for reason in Refusal::ALL {
                let count: u64 = shards.values().map(|shard| shard.refused[reason as usize].get()).sum();
                family.sample([("listener", listener), ("reason", reason.as_str())], count)?;
            }
        }
        let mut family = out.counter(
            "plimsoll_proxy_protocol_headers_total",
            "Connections that were to begin with a header of the PROXY protocol, by what they began with.",
        )?;
        for (listener, shards) in listeners {
            for header in ProxyHeader::ALL {
                let count: u64 = shards.values().map(|shard| shard.proxy_headers[header as usize].get()).sum();
                // Eight lines of zeros would tell listeners without it nothing.
                if count > 0 {
                    family.sample([("listener", listener), ("header", header.as_str())], count)?;
                }
            }
        }
        let mut family =
            out.counter("plimsoll_tls_handshakes_total", "TLS handshakes with clients, by what came of them.")?;
        for (listener, shards) in listeners {
            for result in TlsHandshake::ALL {
                let count: u64 = shards.values().map(|shard| shard.tls_handshakes[result as usize].get()).sum();
                family.sample([("listener", listener), ("result", result.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_bad_requests_total", "Requests refused before they were routed, by what was wrong.")?;
        for (listener, shards) in listeners {
            for reason in BadRequest::ALL {
                let count: u64 = shards.values().map(|shard| shard.bad_requests[reason as usize].get()).sum();
                family.sample([("listener", listener), ("reason", reason.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_downstream_bytes_total", "Bytes received from (in) and sent to (out) clients.")?;
        for (listener, shards) in listeners {
            for direction in Direction::ALL {
                let count: u64 = shards.values().map(|shard| shard.bytes[direction as usize].get()).sum();
                family.sample([("listener", listener), ("direction", direction.as_str())], count)?;
            }
        }
        self.datagrams(out)
    }

    /// Of listeners to which some have come.
    fn datagrams(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let sum = |shards: &BTreeMap<usize, Arc<ListenerShard>>, of: &dyn Fn(&ListenerShard) -> u64| -> u64 {
            shards.values().map(|shard| of(shard)).sum()
        };
        let came = |shards| sum(shards, &|shard| shard.datagrams[Direction::In as usize].get());
        let dropped =
            |shards, reason: DatagramDrop| sum(shards, &|shard| shard.datagrams_dropped[reason as usize].get());
        let some = |shards| came(shards) > 0 || DatagramDrop::ALL.iter().any(|reason| dropped(shards, *reason) > 0);
        let listeners = || self.shards.listeners.iter().filter(|(_, shards)| some(shards));

        let mut family =
            out.counter("plimsoll_udp_datagrams_total", "Datagrams received from (in) and sent to (out) clients.")?;
        for (listener, shards) in listeners() {
            for direction in Direction::ALL {
                let count = sum(shards, &|shard| shard.datagrams[direction as usize].get());
                family.sample([("listener", listener), ("direction", direction.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_udp_datagrams_dropped_total", "Datagrams of either side that were not passed on.")?;
        for (listener, shards) in listeners() {
            for reason in DatagramDrop::ALL {
                family.sample([("listener", listener), ("reason", reason.as_str())], dropped(shards, reason))?;
            }
        }
        Ok(())
    }

    fn clusters(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let clusters = &self.shards.clusters;

        let mut family = out.counter(
            "plimsoll_requests_total",
            "Requests answered, by the first digit of the status; cluster none is for those without a route.",
        )?;
        for (cluster, shards) in clusters {
            for class in Class::ALL {
                let count: u64 = shards.values().map(|shard| shard.requests[class as usize].get()).sum();
                family.sample([("cluster", cluster), ("class", class.as_str())], count)?;
            }
        }
        let mut family = out.histogram(
            "plimsoll_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its answer.",
        )?;
        for (cluster, shards) in clusters {
            let total = HistogramTotal::of(&LATENCY, shards.values().map(|shard| &shard.duration));
            family.histogram([("cluster", cluster)], &total)?;
        }
        let mut family = out.counter(
            "plimsoll_request_flags_total",
            "Requests that went other than planned, by the response flag that the access log shows.",
        )?;
        for (cluster, shards) in clusters {
            for flag in Flag::ALL {
                let count: u64 = shards.values().map(|shard| shard.flags[flag as usize].get()).sum();
                family.sample([("cluster", cluster), ("flag", flag.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_grpc_calls_total", "Calls of gRPC, by the status that ended them, ours included.")?;
        for (cluster, shards) in clusters {
            for status in GrpcStatus::ALL {
                let count: u64 = shards.values().map(|shard| shard.grpc[status as usize].get()).sum();
                // Seventeen lines of zeros would tell those who have no gRPC nothing.
                if count > 0 {
                    family.sample([("cluster", cluster), ("grpc_code", status.as_str())], count)?;
                }
            }
        }
        let mut family = out.counter("plimsoll_attempts_total", "Tries against one endpoint, by how they ended.")?;
        for (cluster, shards) in clusters {
            for outcome in AttemptOutcome::ALL {
                let count: u64 = shards.values().map(|shard| shard.attempts[outcome as usize].get()).sum();
                family.sample([("cluster", cluster), ("outcome", outcome.as_str())], count)?;
            }
        }
        let mut family = out.histogram(
            "plimsoll_attempt_first_byte_seconds",
            "Time from the start of an attempt to the first byte of its answer.",
        )?;
        for (cluster, shards) in clusters {
            let total = HistogramTotal::of(&LATENCY, shards.values().map(|shard| &shard.first_byte));
            family.histogram([("cluster", cluster)], &total)?;
        }
        let mut family = out.counter(
            "plimsoll_connects_total",
            "Connections that attempts asked for: made anew, reused from the pool, or failed.",
        )?;
        for (cluster, shards) in clusters {
            for result in ConnectResult::ALL {
                let count: u64 = shards.values().map(|shard| shard.connects[result as usize].get()).sum();
                family.sample([("cluster", cluster), ("result", result.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_retries_total", "Further attempts of requests, by what became of the one before.")?;
        for (cluster, shards) in clusters {
            for reason in RetryReason::ALL {
                let count: u64 = shards.values().map(|shard| shard.retries[reason as usize].get()).sum();
                family.sample([("cluster", cluster), ("reason", reason.as_str())], count)?;
            }
        }
        let mut family = out.counter(
            "plimsoll_retry_overflows_total",
            "Requests that were not tried again, since as many others were as the retry budget has room for.",
        )?;
        for (cluster, shards) in clusters {
            let count: u64 = shards.values().map(|shard| shard.retry_overflows.get()).sum();
            family.sample([("cluster", cluster)], count)?;
        }
        let mut family = out
            .counter("plimsoll_load_reports_total", "Reports of their load that endpoints sent with their answers.")?;
        for (cluster, shards) in clusters {
            for result in LoadReportResult::ALL {
                let count: u64 = shards.values().map(|shard| shard.load_reports[result as usize].get()).sum();
                family.sample([("cluster", cluster), ("result", result.as_str())], count)?;
            }
        }
        let mut family = out.gauge("plimsoll_queue_length", "Requests that wait for room at an endpoint now.")?;
        for (cluster, shards) in clusters {
            let queued: u64 = shards.values().map(|shard| shard.queued.get()).sum();
            family.sample([("cluster", cluster)], queued)?;
        }
        let mut family = out.counter(
            "plimsoll_queue_waits_total",
            "Requests that found every endpoint full, by how their wait ended; full did not wait at all.",
        )?;
        for (cluster, shards) in clusters {
            for result in QueueResult::ALL {
                let count: u64 = shards.values().map(|shard| shard.waits[result as usize].get()).sum();
                family.sample([("cluster", cluster), ("result", result.as_str())], count)?;
            }
        }
        let mut family =
            out.histogram("plimsoll_queue_wait_seconds", "Time that requests waited for room at an endpoint.")?;
        for (cluster, shards) in clusters {
            let total = HistogramTotal::of(&LATENCY, shards.values().map(|shard| &shard.wait));
            family.histogram([("cluster", cluster)], &total)?;
        }
        self.upstream_tls(out)?;
        self.tunnels(out)?;
        self.sessions(out)
    }

    /// Of clusters that speak it.
    fn upstream_tls(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let count = |shards: &BTreeMap<usize, Arc<ClusterShard>>, result: TlsHandshake| -> u64 {
            shards.values().map(|shard| shard.tls_handshakes[result as usize].get()).sum()
        };
        let mut family = out.counter(
            "plimsoll_upstream_tls_handshakes_total",
            "TLS handshakes with endpoints, by what came of them; of clusters that have had any.",
        )?;
        let some = |shards: &BTreeMap<usize, Arc<ClusterShard>>| {
            TlsHandshake::ALL.iter().any(|result| count(shards, *result) > 0)
        };
        for (cluster, shards) in self.shards.clusters.iter().filter(|(_, shards)| some(shards)) {
            for result in TlsHandshake::ALL {
                family.sample([("cluster", cluster), ("result", result.as_str())], count(shards, result))?;
            }
        }
        Ok(())
    }

    /// Of clusters that have carried TCP connections; for the others a dozen series each would say nothing.
    fn tunnels(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let ended = |shards: &BTreeMap<usize, Arc<ClusterShard>>, end: TunnelEnd| -> u64 {
            shards.values().map(|shard| shard.tunnels[end as usize].get()).sum()
        };
        let carried = |shards: &BTreeMap<usize, Arc<ClusterShard>>| -> u64 {
            TunnelEnd::ALL.into_iter().map(|end| ended(shards, end)).sum()
        };
        let clusters = || self.shards.clusters.iter().filter(|(_, shards)| carried(shards) > 0);

        let mut family = out.counter(
            "plimsoll_tcp_connections_total",
            "TCP connections that have ended, by why; cluster none is for those without a route.",
        )?;
        for (cluster, shards) in clusters() {
            for end in TunnelEnd::ALL {
                family.sample([("cluster", cluster), ("end", end.as_str())], ended(shards, end))?;
            }
        }
        let mut family =
            out.histogram("plimsoll_tcp_connection_duration_seconds", "How long TCP connections lasted.")?;
        for (cluster, shards) in clusters() {
            let total = HistogramTotal::of(&LASTING, shards.values().map(|shard| &shard.tunnel_duration));
            family.histogram([("cluster", cluster)], &total)?;
        }
        Ok(())
    }

    /// Of clusters that have had some.
    fn sessions(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let ended = |shards: &BTreeMap<usize, Arc<ClusterShard>>, end: SessionEnd| -> u64 {
            shards.values().map(|shard| shard.sessions[end as usize].get()).sum()
        };
        let some = |shards| SessionEnd::ALL.into_iter().any(|end| ended(shards, end) > 0);
        let clusters = || self.shards.clusters.iter().filter(|(_, shards)| some(shards));

        let mut family = out.counter(
            "plimsoll_udp_sessions_total",
            "Sessions of UDP that have ended, by why; cluster none is for those without a route.",
        )?;
        for (cluster, shards) in clusters() {
            for end in SessionEnd::ALL {
                family.sample([("cluster", cluster), ("end", end.as_str())], ended(shards, end))?;
            }
        }
        let mut family = out.histogram("plimsoll_udp_session_duration_seconds", "How long sessions of UDP lasted.")?;
        for (cluster, shards) in clusters() {
            let total = HistogramTotal::of(&LASTING, shards.values().map(|shard| &shard.session_duration));
            family.histogram([("cluster", cluster)], &total)?;
        }
        Ok(())
    }

    fn endpoints(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let sampled = &self.sampled;

        let mut family = out.gauge(
            "plimsoll_cluster_panic",
            "1 if so few endpoints are healthy that requests go to all (`panic_percent`).",
        )?;
        for ClusterSample { cluster, panics, .. } in sampled {
            family.sample([("cluster", cluster)], u64::from(*panics))?;
        }
        let mut family = out.gauge("plimsoll_endpoint_in_flight", "Attempts under way.")?;
        each(&mut family, sampled, |sample| u64::from(sample.in_flight))?;
        let mut family = out.counter("plimsoll_endpoint_requests_total", "Attempts begun.")?;
        each(&mut family, sampled, |sample| sample.requests)?;
        let mut family = out.counter("plimsoll_endpoint_failures_total", "Attempts that did not end well.")?;
        each(&mut family, sampled, |sample| sample.failures)?;
        let mut family = out.gauge("plimsoll_endpoint_weight", "Weight, the operator's or the configured one.")?;
        each(&mut family, sampled, |sample| u64::from(sample.weight))?;
        let mut family = out.gauge(
            "plimsoll_endpoint_ramp_ratio",
            "Share of the weight that is in force: below 1 while the endpoint warms up.",
        )?;
        each(&mut family, sampled, |sample| f64::from(sample.ramp) / 1000.0)?;
        let mut family = out.gauge("plimsoll_endpoint_available", "1 if the endpoint may get traffic.")?;
        each(&mut family, sampled, |sample| u64::from(sample.available))?;
        let mut family = out.gauge(
            "plimsoll_endpoint_draining",
            "1 if the endpoint keeps the clients bound to it and takes no new ones.",
        )?;
        each(&mut family, sampled, |sample| u64::from(sample.draining))?;
        let mut family = out.gauge(
            "plimsoll_endpoint_first_byte_seconds",
            "Moving average of the time to first byte; 0 before the first answer.",
        )?;
        each(&mut family, sampled, |sample| f64::from(sample.first_byte_us) / 1e6)
    }

    fn certificates(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let mut family =
            out.gauge("plimsoll_certificate_expiry_seconds", "When certificates expire, in seconds since 1970.")?;
        for certificate in &self.certificates {
            let labels = [("name", certificate.name.as_str()), ("serial", &certificate.serial)];
            family.sample(labels, certificate.not_after)?;
        }
        let mut family = out.counter(
            "plimsoll_certificate_reloads_total",
            "Changes of the files of certificates. After a failure, the certificate before stays.",
        )?;
        for result in ReloadResult::ALL {
            family.sample([("result", result.as_str())], self.certificate_reloads[result as usize])?;
        }
        let mut family =
            out.counter("plimsoll_acme_orders_total", "Orders for certificates (ACME), by what came of them.")?;
        for result in AcmeOrder::ALL {
            family.sample([("result", result.as_str())], self.acme_orders[result as usize])?;
        }
        Ok(())
    }

    fn plugins(&self, out: &mut Exposition<'_>) -> fmt::Result {
        // By plugin and role, with the shards of all workers and the control plane.
        let mut roles: Vec<(&str, &'static str, Vec<&PluginShard>)> = Vec::new();
        for (plugin, shards) in &self.shards.plugins {
            for (&(role, _), shard) in shards as &BTreeMap<PluginKey, Arc<PluginShard>> {
                match roles.last_mut() {
                    Some((last_plugin, last_role, found)) if *last_plugin == &**plugin && *last_role == role => {
                        found.push(shard);
                    }
                    _ => roles.push((plugin, role, vec![shard])),
                }
            }
        }
        let sum = |shards: &[&PluginShard], read: &dyn Fn(&PluginShard) -> u64| -> u64 {
            shards.iter().map(|shard| read(shard)).sum()
        };

        let mut family =
            out.counter("plimsoll_plugin_calls_total", "Calls into plugins, those that failed included.")?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &|shard| shard.calls.get());
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }
        let mut family = out.histogram(
            "plimsoll_plugin_call_seconds",
            "Time of calls into plugins. Only some are timed; plimsoll_plugin_calls_total has them all.",
        )?;
        for (plugin, role, shards) in &roles {
            let total = HistogramTotal::of(&CALL, shards.iter().map(|shard| &shard.call_seconds));
            family.histogram([("plugin", plugin), ("role", role)], &total)?;
        }
        let mut family = out.counter("plimsoll_plugin_traps_total", "Calls that a plugin did not survive.")?;
        for (plugin, role, shards) in &roles {
            for kind in TrapKind::ALL {
                let count = sum(shards, &|shard| shard.traps[kind as usize].get());
                family.sample([("plugin", plugin), ("role", role), ("kind", kind.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_plugin_fallbacks_total", "Decisions that the host took in a plugin's stead.")?;
        for (plugin, role, shards) in &roles {
            for reason in FallbackReason::ALL {
                let count = sum(shards, &|shard| shard.fallbacks[reason as usize].get());
                family.sample([("plugin", plugin), ("role", role), ("reason", reason.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_plugin_invalid_answers_total", "Answers of plugins that the host could not use.")?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &|shard| shard.invalid_answers.get());
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }
        let mut family =
            out.counter("plimsoll_plugin_repeats_total", "Decisions answered from memory, without a call.")?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &|shard| shard.repeats.get());
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }

        let mut family =
            out.gauge("plimsoll_plugin_quarantined", "1 while the host leaves a plugin alone after repeated faults.")?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.quarantined.get())?;
        }
        let mut family = out.gauge(
            "plimsoll_plugin_policies",
            "Policies that there are now, on all workers and in the control plane, those of groups of endpoints included.",
        )?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &PluginShard::policies);
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }
        let mut family = out.gauge(
            "plimsoll_plugin_table_bytes",
            "Memory of the proxy that what policies remember in their tables takes.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.table_bytes.get())?;
        }
        let mut family = out.counter(
            "plimsoll_plugin_table_evictions_total",
            "Entries of tables that gave way to others, since the plugin or the process had no memory left for both.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.table_evicted.get())?;
        }
        let mut family = out.counter(
            "plimsoll_plugin_table_refusals_total",
            "Entries that found no room in a table, since nothing of the same policy could give way.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.table_refused.get())?;
        }
        let mut family = out.counter("plimsoll_plugin_rebuilds_total", "Instances made anew after a fault.")?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.rebuilds.get())?;
        }
        let mut family = out.counter(
            "plimsoll_plugin_messages_dropped_total",
            "Messages of plugins that were not logged, since an instance had more than 100 in a second.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.messages_dropped.get())?;
        }
        let mut family = out.counter("plimsoll_plugin_counter_total", "What plugins count themselves.")?;
        for (plugin, totals) in &*self.plugins {
            for (name, count) in totals.own.counters() {
                family.sample([("plugin", plugin), ("name", name)], count)?;
            }
        }
        let mut family = out.gauge("plimsoll_plugin_gauge", "Levels that plugins set themselves.")?;
        for (plugin, totals) in &*self.plugins {
            for (name, value) in totals.own.gauges() {
                family.sample([("plugin", plugin), ("name", name)], value)?;
            }
        }
        let mut family = out.counter(
            "plimsoll_plugin_adds_refused_total",
            "Changes of numbers that a plugin may not have: a 65th name, or one that is empty, too long or unprintable.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.own.refused())?;
        }
        Ok(())
    }

    fn process(&self, out: &mut Exposition<'_>) -> fmt::Result {
        out.gauge("plimsoll_build_info", "Version of the proxy; always 1.")?
            .sample([("version", env!("CARGO_PKG_VERSION"))], 1_u64)?;
        out.gauge("plimsoll_start_time_seconds", "When the proxy started, in seconds since 1970.")?
            .sample([], self.start_seconds)?;
        out.gauge("plimsoll_config_version", "Version of the configuration in force.")?
            .sample([], self.config_version)?;
        let mut family = out.counter("plimsoll_config_reloads_total", "Attempts to change the configuration.")?;
        for result in ReloadResult::ALL {
            family.sample([("result", result.as_str())], self.reloads[result as usize])?;
        }
        out.gauge(
            "plimsoll_config_last_reload_successful",
            "1 when the last attempt to change the configuration has succeeded, 0 while the one before it is still in force.",
        )?
        .sample([], u64::from(self.last_reload_succeeded))?;
        let mut family = out.counter(
            "plimsoll_discovery_answers_total",
            "Answers of name servers, files and other sources of endpoints. After a failure, what was known stays.",
        )?;
        for result in ReloadResult::ALL {
            family.sample([("result", result.as_str())], self.discoveries[result as usize])?;
        }
        let mut family = out.counter(
            "plimsoll_admin_refused_total",
            "Requests and connections that the admin API refused for where they came from or what they lacked.",
        )?;
        for reason in AdminRefusal::ALL {
            family.sample([("reason", reason.as_str())], self.admin_refused[reason as usize])?;
        }
        let dropped: u64 = self.shards.workers.values().map(|shard| shard.outcomes_dropped.get()).sum();
        out.counter(
            "plimsoll_outcomes_dropped_total",
            "Outcomes of attempts that did not reach health evaluation, because its queue was full.",
        )?
        .sample([], dropped)?;
        let waits: u64 = self.shards.workers.values().map(|shard| shard.handshake_waits.get()).sum();
        out.counter(
            "plimsoll_tls_handshake_waits_total",
            "Steps of TLS handshakes with clients that waited for a turn, since others had taken their share of a worker.",
        )?
        .sample([], waits)?;
        out.counter(
            "plimsoll_access_log_dropped_total",
            "Lines lost by the access log, because its queue was full or it could not be written.",
        )?
        .sample([], self.access_log_dropped)?;
        out.counter(
            "plimsoll_log_dropped_total",
            "Lines lost by the diagnostic log on stderr, because its queue was full or it could not be written.",
        )?
        .sample([], self.log_dropped)?;
        if let Some(bytes) = process::resident_bytes() {
            out.gauge("process_resident_memory_bytes", "Resident memory.")?.sample([], bytes)?;
        }
        out.counter("process_cpu_seconds_total", "User and system time spent.")?.sample([], process::cpu_seconds())
    }
}

fn each<V: EncodeGaugeValue>(
    family: &mut Family<'_>,
    clusters: &[ClusterSample],
    value: impl Fn(&EndpointSample) -> V,
) -> fmt::Result {
    clusters.iter().try_for_each(|ClusterSample { cluster, endpoints, .. }| {
        endpoints
            .iter()
            .try_for_each(|sample| family.sample([("cluster", cluster), ("endpoint", &sample.endpoint)], value(sample)))
    })
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

/// The page under construction.
struct Exposition<'a>(DescriptorEncoder<'a>);

impl Exposition<'_> {
    fn counter<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Family<'s>, fmt::Error> {
        debug_assert!(name.ends_with("_total"), "counter `{name}` must end in _total");
        self.0.encode_descriptor(name, help, None, MetricType::Counter).map(Family)
    }

    fn gauge<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Family<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge).map(Family)
    }

    fn histogram<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Family<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Histogram).map(Family)
    }
}

/// A family whose header is written, and whose samples follow.
struct Family<'a>(MetricEncoder<'a>);

impl Family<'_> {
    fn sample<const N: usize>(&mut self, labels: [(&str, &str); N], value: impl EncodeGaugeValue) -> fmt::Result {
        if N == 0 { self.0.encode_gauge(&value) } else { self.0.encode_family(&labels)?.encode_gauge(&value) }
    }

    fn histogram<const N: usize>(&mut self, labels: [(&str, &str); N], total: &HistogramTotal) -> fmt::Result {
        let exemplars = None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>;
        self.0.encode_family(&labels)?.encode_histogram(total.sum_seconds, total.count, &total.buckets, exemplars)
    }
}
