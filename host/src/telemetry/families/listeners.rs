//! Of listeners and their clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Scrape;
use super::exposition::Exposition;
use crate::telemetry::label::{BadRequest, DatagramDrop, Direction, ProxyHeader, Refusal, TlsHandshake};
use crate::telemetry::shard::ListenerShard;

impl Scrape {
    pub(super) fn listeners(&self, out: &mut Exposition<'_>) -> fmt::Result {
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
            "Connections that were to begin with a header of the PROXY protocol, by what they began with; and datagrams with one, or refused.",
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
}
