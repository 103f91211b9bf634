use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::load::Protocol;
use super::peers::Peer;

/// Connections that are open at once.
const CONNECTIONS: u32 = 2_000;

/// Opens connections to a port, asks once on each, says so, and keeps them until its input ends.
const CLIENT: &str = r#"
import socket, ssl, sys

port, count, secure = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "tls"
context = ssl._create_unverified_context()
open_ = []
for _ in range(count):
    connection = socket.create_connection(("127.0.0.1", port))
    if secure:
        connection = context.wrap_socket(connection)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")
    answer = b""
    while not answer.endswith(b"x" * 100):
        piece = connection.recv(65536)
        if not piece:
            sys.exit(f"closed after {answer!r}")
        answer += piece
    open_.append(connection)
print("open", flush=True)
sys.stdin.read()
"#;

/// What a proxy's memory grows by for each connection that has been answered once and is silent, in KiB; the proxy has
/// served others before. None where it is not set up for this.
pub(super) fn kib_per_connection(peer: &Peer, protocol: Protocol) -> Result<Option<f64>> {
    let Some(port) = peer.port(protocol) else { return Ok(None) };
    let grown = |count: u32| -> Result<f64> {
        let tls = if protocol.is_secure() { "tls" } else { "clear" };
        let before = peer.resident_mib();
        let mut client = Command::new("taskset")
            .args(["-c", "1", "python3", "-c", CLIENT, &port.to_string(), &count.to_string(), tls])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(client.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let grown = peer.resident_mib() - before;
        drop(client.stdin.take());
        client.wait()?;
        if line.trim() != "open" {
            bail!("{} did not keep {count} connections open", peer.name);
        }
        Ok(grown * 1024.0)
    };
    grown(CONNECTIONS / 20)?;
    Ok(Some(grown(CONNECTIONS)? / f64::from(CONNECTIONS)))
}
