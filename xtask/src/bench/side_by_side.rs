use std::path::{Path, PathBuf};

use anyhow::Result;

use super::configs::NGINX_STREAM;
use super::idle;
use super::load::{self, Protocol};
use super::peers::{Beside, Field};
use super::report::{Measured, Report};
use crate::prerequisites::ensure_programs;
use crate::root;

pub(super) const PROGRAMS: [(&str, &str); 10] = [
    ("nginx", "nginx"),
    (NGINX_STREAM, "libnginx-mod-stream"),
    ("haproxy", "haproxy"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("dnsmasq", "dnsmasq-base"),
    ("dnsperf", "dnsperf"),
    ("taskset", "util-linux"),
];

/// What connections are silent with, in the clear and over TLS.
const IDLE: [Protocol; 2] = [Protocol::Http1, Protocol::Https1];

#[derive(Debug, clap::Args)]
pub(crate) struct ProxyBench {
    /// Rounds; each measures every proxy once.
    #[arg(long, default_value_t = 5)]
    pub(super) rounds: usize,
    /// Seconds of load for each measurement.
    #[arg(long, default_value_t = 4)]
    pub(super) seconds: u64,
    /// Measure this binary, instead of building one as `cargo xtask release` does.
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
    /// Only the loads whose names contain this, such as `TLS`, or `idle` for the memory of idle connections.
    #[arg(long, default_value = "")]
    pub(super) only: String,
    /// Print the table for a README.
    #[arg(long)]
    pub(super) md: bool,
}

/// Measures all proxies in interleaved rounds: proxies on core 0, load and origin on core 1. What counts is the processor
/// time that a proxy takes per request, and its ratio to the others' in the same round; before, while it is fresh, the
/// memory that an idle connection takes.
pub(super) fn measure(wanted: &ProxyBench, binary: &Path) -> Result<()> {
    let ProxyBench { rounds, seconds, .. } = *wanted;
    ensure_programs(&PROGRAMS)?;
    load::prepare()?;
    let field = Field::start(&root().join("target/bench"), binary, Beside::Others)?;
    let mut report = Report::new(&field.proxies);
    if "idle".contains(&wanted.only) {
        for (peer, protocol) in field.proxies.iter().flat_map(|peer| IDLE.map(|protocol| (peer, protocol))) {
            if let Some(kib) = idle::kib_per_connection(peer, protocol)? {
                eprintln!("idle connection, {:<10} {:<9} {kib:6.2} KiB", protocol.name(), peer.name);
                report.idle(peer.name, protocol, kib);
            }
        }
    }
    for round in 1..=rounds {
        for protocol in Protocol::ALL.into_iter().filter(|protocol| protocol.name().contains(&wanted.only)) {
            for peer in &field.proxies {
                let Some(port) = peer.port(protocol) else { continue };
                eprint!("round {round}/{rounds}  {:<27} {:<9} ", protocol.name(), peer.name);
                let before = peer.cpu_seconds();
                let load = match protocol.load(port, &field.certificate, seconds) {
                    Ok(load) => load,
                    Err(error) => {
                        eprintln!("left out: {error}");
                        continue;
                    }
                };
                let cpu_us = (peer.cpu_seconds() - before) * 1e6 / load.requests as f64;
                eprintln!("{cpu_us:6.2} µs of processor time per request");
                report.add(Measured {
                    proxy: peer.name,
                    protocol,
                    round,
                    cpu_us,
                    requests_per_second: load.requests as f64 / seconds as f64,
                    p99_ms: load.p99_ms,
                });
            }
        }
    }
    for peer in &field.proxies {
        report.resident(peer.name, peer.resident_mib());
    }
    drop(field);
    let file = report.save()?;
    println!("{}", if wanted.md { report.markdown() } else { report.table() });
    eprintln!("raw results: {}", file.display());
    Ok(())
}
