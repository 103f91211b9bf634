use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// What a client asks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// 64 connections, one request at a time on each.
    Http1,
    /// 8 connections with 8 streams each, without TLS.
    Http2,
    /// 64 clients that connect anew for each request.
    NewConnections,
    /// As `Http1`, over TLS.
    Https1,
    /// As `Http2`, over TLS.
    Https2,
    /// As `NewConnections`, with a whole TLS handshake each.
    Handshakes,
}

/// What a client saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) p99_ms: Option<f64>,
}

impl Protocol {
    pub(super) const ALL: [Self; 6] =
        [Self::Http1, Self::Http2, Self::NewConnections, Self::Https1, Self::Https2, Self::Handshakes];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::NewConnections => "HTTP/1.1, a connection each",
            Self::Https1 => "TLS, HTTP/1.1",
            Self::Https2 => "TLS, HTTP/2",
            Self::Handshakes => "TLS, a handshake each",
        }
    }

    /// Loads a port for some seconds from core 1. An answer that is not 200 fails the measurement.
    pub(super) fn load(self, port: u16, seconds: u64) -> Result<Load> {
        let scheme = if self.is_secure() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}/");
        match self {
            Self::Http1 | Self::Https1 => wrk(&url, seconds, &[]),
            Self::NewConnections | Self::Handshakes => wrk(&url, seconds, &["-H", "Connection: close"]),
            Self::Http2 | Self::Https2 => h2load(&url, seconds),
        }
    }

    pub(super) fn is_secure(self) -> bool {
        matches!(self, Self::Https1 | Self::Https2 | Self::Handshakes)
    }
}

fn wrk(url: &str, seconds: u64, more: &[&str]) -> Result<Load> {
    let duration = format!("-d{seconds}s");
    let text = on_core_1("wrk", &[&["-t1", "-c64", "--latency", &duration], more, &[url]].concat())?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("wrk saw errors:\n{text}");
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in")?.0.parse().ok());
    let p99 = text.lines().find_map(|line| milliseconds(line.trim().strip_prefix("99%")?.trim()));
    Ok(Load { requests: requests.with_context(|| format!("wrk did not tell its requests:\n{text}"))?, p99_ms: p99 })
}

fn h2load(url: &str, seconds: u64) -> Result<Load> {
    let text = on_core_1("h2load", &["-t1", "-c8", "-m8", "-D", &seconds.to_string(), url])?;
    let line = text.lines().find(|line| line.starts_with("requests:")).unwrap_or_default();
    let count = |what: &str| -> Option<u64> {
        line.split(['(', ',', ':']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
    };
    if count("failed") != Some(0) {
        bail!("h2load saw errors:\n{text}");
    }
    Ok(Load {
        requests: count("succeeded").with_context(|| format!("h2load did not tell its requests:\n{text}"))?,
        p99_ms: None,
    })
}

fn on_core_1(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new("taskset").args(["-c", "1", program]).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let number: f64 = number.parse().ok()?;
    match unit {
        "us" => Some(number / 1000.0),
        "ms" => Some(number),
        "s" => Some(number * 1000.0),
        _ => None,
    }
}
