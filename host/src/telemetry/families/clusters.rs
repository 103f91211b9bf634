//! Of clusters, whichever endpoint it was.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Scrape;
use super::exposition::Exposition;
use crate::telemetry::histogram::{HistogramTotal, LASTING, LATENCY};
use crate::telemetry::label::{
    AttemptOutcome, Class, ConnectResult, Flag, GrpcStatus, HedgeResult, LoadReportResult, QueueResult, RetryReason,
    SessionEnd, TlsHandshake, TunnelEnd,
};
use crate::telemetry::shard::ClusterShard;

impl Scrape {
    pub(super) fn clusters(&self, out: &mut Exposition<'_>) -> fmt::Result {
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
        let mut family = out.counter(
            "plimsoll_hedges_total",
            "Attempts that were to begin beside another that had no answer yet, by what came of them.",
        )?;
        for (cluster, shards) in clusters {
            for result in HedgeResult::ALL {
                let count: u64 = shards.values().map(|shard| shard.hedges[result as usize].get()).sum();
                family.sample([("cluster", cluster), ("result", result.as_str())], count)?;
            }
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
        self.http3_fallbacks(out)?;
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

    /// Of clusters that have had any.
    fn http3_fallbacks(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let count = |shards: &BTreeMap<usize, Arc<ClusterShard>>| -> u64 {
            shards.values().map(|shard| shard.http3_fallbacks.get()).sum()
        };
        let mut family = out.counter(
            "plimsoll_upstream_http3_fallbacks_total",
            "How often HTTP/3 with an endpoint was left for HTTP/2 for a while, since UDP did not come through.",
        )?;
        for (cluster, shards) in self.shards.clusters.iter().filter(|(_, shards)| count(shards) > 0) {
            family.sample([("cluster", cluster)], count(shards))?;
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
}
