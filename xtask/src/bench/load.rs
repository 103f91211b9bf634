use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, root, run};

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
    /// One client that connects anew for each request, and resumes its session of TLS 1.3 by the last ticket that it got.
    Resumed,
    /// As `Https2`, over QUIC.
    Http3,
    /// As `Http3`, an answer of 1 MiB on each stream.
    Http3Bytes,
    /// As `NewConnections`, carried as bytes.
    TcpConnections,
    /// 64 connections, an answer of 1 MiB at a time on each, carried as bytes.
    TcpBytes,
    /// 64 clients that ask a name server, a datagram each way.
    Datagrams,
}

/// The package, and its program.
const HTTP3_LOAD: &str = "plimsoll-http3-load";

/// What dnsperf asks for, again and again.
const QUESTION: &str = "bench.test A\n";

/// Asks a port for so many seconds, each time by a resumed session; prints how often.
const RESUMING: &str = r#"
import socket, ssl, sys, time

port, seconds = int(sys.argv[1]), int(sys.argv[2])
context = ssl._create_unverified_context()
session, asked, end = None, 0, time.monotonic() + seconds
while time.monotonic() < end:
    connection = socket.create_connection(("127.0.0.1", port))
    connection = context.wrap_socket(connection, server_hostname="bench.test", session=session)
    if session and not connection.session_reused:
        sys.exit("a session was not resumed")
    connection.sendall(b"GET / HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n")
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"answered by {answer!r}")
    session = connection.session
    connection.close()
    asked += 1
print(asked)
"#;

/// What a client saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) p99_ms: Option<f64>,
}

impl Protocol {
    pub(super) const ALL: [Self; 12] = [
        Self::Http1,
        Self::Http2,
        Self::NewConnections,
        Self::Https1,
        Self::Https2,
        Self::Handshakes,
        Self::Resumed,
        Self::Http3,
        Self::Http3Bytes,
        Self::TcpConnections,
        Self::TcpBytes,
        Self::Datagrams,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::NewConnections => "HTTP/1.1, a connection each",
            Self::Https1 => "TLS, HTTP/1.1",
            Self::Https2 => "TLS, HTTP/2",
            Self::Handshakes => "TLS, a handshake each",
            Self::Resumed => "TLS, a resumption each",
            Self::Http3 => "HTTP/3",
            Self::Http3Bytes => "HTTP/3, 1 MiB each",
            Self::TcpConnections => "TCP, a connection each",
            Self::TcpBytes => "TCP, 1 MiB each",
            Self::Datagrams => "UDP, a datagram each way",
        }
    }

    /// Loads a port, which shows this certificate, for some seconds from core 1. An answer that is not 200 fails the measurement.
    pub(super) fn load(self, port: u16, certificate: &Path, seconds: u64) -> Result<Load> {
        let scheme = if self.is_secure() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}/");
        match self {
            Self::Http1 | Self::Https1 => wrk(&url, seconds, &[]),
            Self::NewConnections | Self::Handshakes | Self::TcpConnections => {
                wrk(&url, seconds, &["-H", "Connection: close"])
            }
            Self::TcpBytes => wrk(&format!("{url}large"), seconds, &[]),
            Self::Datagrams => dnsperf(port, seconds),
            Self::Http2 | Self::Https2 => h2load(&url, seconds),
            Self::Resumed => resuming(port, seconds),
            Self::Http3 => http3_load(port, certificate, "/", seconds),
            Self::Http3Bytes => http3_load(port, certificate, "/large", seconds),
        }
    }

    pub(super) fn is_secure(self) -> bool {
        matches!(self, Self::Https1 | Self::Https2 | Self::Handshakes | Self::Resumed)
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

fn dnsperf(port: u16, seconds: u64) -> Result<Load> {
    let questions = std::env::temp_dir().join(format!("plimsoll-questions-{}", std::process::id()));
    std::fs::write(&questions, QUESTION)?;
    let (port, seconds, file) = (port.to_string(), seconds.to_string(), questions.display().to_string());
    let arguments = ["-s", "127.0.0.1", "-p", &port, "-d", &file, "-l", &seconds, "-c", "64", "-q", "64"];
    let text = on_core_1("dnsperf", &arguments);
    std::fs::remove_file(&questions)?;
    let text = text?;
    let count = |what: &str| -> Option<u64> {
        text.lines().find_map(|line| line.trim().strip_prefix(what)?.split_whitespace().next()?.parse().ok())
    };
    let (done, lost) = (count("Queries completed:"), count("Queries lost:"));
    let (Some(requests @ 1..), Some(lost)) = (done, lost) else { bail!("dnsperf told nothing:\n{text}") };
    if lost * 100 > requests {
        bail!("{lost} of {} datagrams were lost", requests + lost);
    }
    Ok(Load { requests, p99_ms: None })
}

fn resuming(port: u16, seconds: u64) -> Result<Load> {
    let text = on_core_1("python3", &["-c", RESUMING, &port.to_string(), &seconds.to_string()])?;
    let requests = text.trim().parse().ok().context("the client failed; it says why above")?;
    Ok(Load { requests, p99_ms: None })
}

/// Makes what loads over HTTP/3: no package has a client that does.
pub(super) fn prepare() -> Result<()> {
    run(&mut cargo(&["build", "--release", "--locked", "--quiet", "--package", HTTP3_LOAD]))
}

fn http3_load(port: u16, certificate: &Path, path: &str, seconds: u64) -> Result<Load> {
    let (program, address) = (root().join("target/release").join(HTTP3_LOAD), format!("127.0.0.1:{port}"));
    let certificate = certificate.display().to_string();
    let arguments = [&address, &certificate, "--path", path, "--seconds", &seconds.to_string()];
    let text = on_core_1(&program.display().to_string(), &arguments)?;
    let requests = text.trim().parse().ok().context("the client failed; it says why above")?;
    Ok(Load { requests, p99_ms: None })
}

fn on_core_1(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new("taskset").args(["-c", "1", program]).args(arguments).stderr(Stdio::inherit()).output()?;
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
