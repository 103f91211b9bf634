//! Of the process as a whole.

use std::fmt;

use super::Scrape;
use super::exposition::Exposition;
use crate::telemetry::label::{AdminRefusal, ReloadResult};
use crate::telemetry::process;

impl Scrape {
    pub(super) fn process(&self, out: &mut Exposition<'_>) -> fmt::Result {
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
