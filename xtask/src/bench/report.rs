use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::load::Protocol;
use super::machine;
use super::peers::Peer;
use crate::root;

/// One proxy under one load in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) proxy: &'static str,
    pub(super) protocol: Protocol,
    pub(super) round: usize,
    pub(super) cpu_us: f64,
    pub(super) requests_per_second: f64,
    pub(super) p99_ms: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Report {
    proxies: Vec<(&'static str, String)>,
    measured: Vec<Measured>,
    resident: Vec<(&'static str, f64)>,
    idle: Vec<(&'static str, Protocol, f64)>,
}

impl Report {
    pub(super) fn new(proxies: &[Peer]) -> Self {
        let proxies = proxies.iter().map(|peer| (peer.name, peer.version.clone())).collect();
        Self { proxies, measured: Vec::new(), resident: Vec::new(), idle: Vec::new() }
    }

    pub(super) fn add(&mut self, measured: Measured) {
        self.measured.push(measured);
    }

    pub(super) fn resident(&mut self, proxy: &'static str, mib: f64) {
        self.resident.push((proxy, mib));
    }

    /// KiB of an idle connection.
    pub(super) fn idle(&mut self, proxy: &'static str, protocol: Protocol, kib: f64) {
        self.idle.push((proxy, protocol, kib));
    }

    pub(super) fn table(&self) -> String {
        self.markdown().replace('|', " ")
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(
            "| protocol | proxy | µs of processor time per request | requests/s | p99 ms | Plimsoll / this one | resident MiB |\n\
             |---|---|---:|---:|---:|---:|---:|\n",
        );
        for protocol in Protocol::ALL {
            for (proxy, version) in &self.proxies {
                let all: Vec<&Measured> = self.of(proxy, protocol).collect();
                if all.is_empty() {
                    continue;
                }
                let p99 = median(all.iter().filter_map(|one| one.p99_ms).collect());
                let resident = self.resident.iter().find(|(name, _)| name == proxy).map_or(0.0, |(_, mib)| *mib);
                // Writing to a string does not fail.
                let _ = writeln!(
                    text,
                    "| {} | {} | {:.2} | {:.0} | {} | {} | {resident:.0} |",
                    protocol.name(),
                    named(proxy, version),
                    median(all.iter().map(|one| one.cpu_us).collect()).unwrap_or_default(),
                    median(all.iter().map(|one| one.requests_per_second).collect()).unwrap_or_default(),
                    p99.map_or_else(|| "–".to_owned(), |p99| format!("{p99:.2}")),
                    self.ratio(proxy, protocol).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
                );
            }
        }
        if !self.idle.is_empty() {
            text.push_str("\n| idle connection | proxy | KiB |\n|---|---|---:|\n");
        }
        for (proxy, protocol, kib) in &self.idle {
            let _ = writeln!(text, "| {} | {proxy} | {kib:.2} |", protocol.name());
        }
        text
    }

    /// Median over the rounds of what Plimsoll takes, divided by what another takes in the same round.
    fn ratio(&self, other: &str, protocol: Protocol) -> Option<f64> {
        if other == "plimsoll" {
            return None;
        }
        let ratios = self.of("plimsoll", protocol).filter_map(|own| {
            let theirs = self.of(other, protocol).find(|theirs| theirs.round == own.round)?;
            Some(own.cpu_us / theirs.cpu_us)
        });
        median(ratios.collect())
    }

    fn of<'a>(&'a self, proxy: &'a str, protocol: Protocol) -> impl Iterator<Item = &'a Measured> {
        self.measured.iter().filter(move |one| one.proxy == proxy && one.protocol == protocol)
    }

    /// Keeps the raw results.
    pub(super) fn save(&self) -> Result<PathBuf> {
        let directory = root().join(machine::directory_of_results());
        fs::create_dir_all(&directory)?;
        let measured: Vec<_> = self
            .measured
            .iter()
            .map(|one| {
                json!({ "proxy": one.proxy, "protocol": one.protocol.name(), "round": one.round, "cpu_us": one.cpu_us,
                    "requests_per_second": one.requests_per_second, "p99_ms": one.p99_ms })
            })
            .collect();
        let idle: Vec<_> = self
            .idle
            .iter()
            .map(|(proxy, protocol, kib)| json!({ "proxy": proxy, "protocol": protocol.name(), "kib": kib }))
            .collect();
        let versions: serde_json::Map<_, _> =
            self.proxies.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
        let text = json!({
            "machine": machine::describe(),
            "command": command(std::env::args()),
            "versions": versions,
            "resident_mib": self.resident.iter().map(|(name, mib)| json!({ "proxy": name, "mib": mib })).collect::<Vec<_>>(),
            "idle_connection_kib": idle,
            "measured": measured,
        });
        let file = directory.join("proxy.json");
        fs::write(&file, format!("{text:#}\n"))?;
        Ok(file)
    }
}

/// The command line that measures, without where files are on this machine: of a path from its root, the last part alone is told.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let told = |argument: String| match Path::new(&argument).file_name() {
        Some(name) if argument.starts_with('/') => name.to_string_lossy().into_owned(),
        _ => argument,
    };
    arguments.map(told).collect::<Vec<_>>().join(" ")
}

/// A proxy with the number out of what it prints about its version.
fn named(proxy: &str, version: &str) -> String {
    let number = version
        .split([' ', '/', '-'])
        .rfind(|part| part.starts_with(|first: char| first.is_ascii_digit()) && part.contains('.'));
    format!("{proxy} {}", number.unwrap_or_default())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_are_is_not_told() {
        let arguments =
            ["/a/b/xtask", "bench", "--binary", "/a/b/dist/plimsoll", "--only", "HTTP/1.1", "target/x", "/"];
        let told = command(arguments.map(str::to_owned).into_iter());
        assert_eq!(told, "xtask bench --binary plimsoll --only HTTP/1.1 target/x /");
    }
}
