//! Chromium, without a window: a page and a WebSocket over TLS, by each version of HTTP that it speaks.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_tests::{Authority, Endpoint, Issued, Process, Proxy, read_request, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

const HOST: &str = "app.test";
/// How long a browser may take to ask for its page. One whose handshake of QUIC took too long, as on a machine that is busy, shows an
/// error and asks no more.
const LOAD: Duration = Duration::from_secs(30);
/// So often a page is opened for which nobody has asked in that time.
const LOADS: u32 = 4;

/// Sends a word by a WebSocket, uploads to `/said/` and what came back, and then says that it is done.
const PAGE: &str = r#"<!doctype html><title>Plimsoll</title><script>
const socket = new WebSocket(`wss://${location.host}/chat`, "chat");
socket.onopen = () => socket.send("hello");
socket.onerror = () => fetch("/failed");
socket.onmessage = async ({ data }) => {
  socket.close();
  await fetch(`/said/${data}`, { method: "POST", body: "x".repeat(100_000) });
  await fetch("/done");
};
</script>"#;

/// A browser with a profile of its own; ends when dropped.
struct Browser {
    child: Child,
    profile: PathBuf,
}

impl Browser {
    /// Opens the page of a proxy, whose certificate is held to be good. Without a root that everybody knows, Chromium does
    /// not go over to HTTP/3 by itself: it begins with it where that is wanted.
    fn open(proxy: &Proxy, version: &str, issued: &Issued) -> Self {
        let profile = std::env::temp_dir().join(format!("plimsoll-browser-{version}-{}", std::process::id()));
        let authority = format!("{HOST}:{}", proxy.address("web").port());
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args((version == "h3").then(|| format!("--origin-to-force-quic-on={authority}")))
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--host-resolver-rules=MAP {HOST} 127.0.0.1"))
            .arg(format!("--ignore-certificate-errors-spki-list={}", key_hash(issued)))
            .args(["--remote-debugging-port=0", &format!("https://{authority}/?{version}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium starts; `cargo xtask prerequisites` brings it");
        Self { child, profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself; its processes end with the first.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// SHA-256 of the public key of a certificate, in base64, as Chromium wants it.
fn key_hash(issued: &Issued) -> String {
    let script = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der | \
                  openssl dgst -sha256 -binary | openssl base64";
    let output = Command::new("sh").args(["-c", script]).arg(&issued.certificate).output().expect("a shell");
    String::from_utf8(output.stdout).expect("base64").trim().to_owned()
}

/// The page, and 204 for everything else.
fn site() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        while let Some(request) = read_request(&mut stream) {
            let answered = if request.starts_with("GET /?") {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}", PAGE.len());
                write!(stream, "{head}\r\n\r\n{PAGE}")
            } else {
                write!(stream, "HTTP/1.1 204 No Content\r\n\r\n")
            };
            if answered.is_err() {
                return;
            }
        }
    }))
}

/// The lines of the access log of a visit by a version of HTTP, in the words of ALPN.
fn visited(version: &str, listener: &str) -> Vec<Value> {
    let authority = Authority::new("root");
    let issued = authority.issue(HOST, &format!("DNS:{HOST}"));
    let (page, chat) = (site(), Process::python("websocket/server.py"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
access_log: {{ format: json }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    tls: {{ certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }}
    {listener}
    router: {{ plugin: rules, config: {{ routes: [ {{ match: {{ path_prefix: /chat }}, cluster: chat }}, {{ cluster: page }} ] }} }}
clusters:
  - {{ name: page, endpoints: [ \"{}\" ] }}
  - {{ name: chat, endpoints: [ \"{}\" ] }}",
            issued.certificate.display(),
            issued.key.display(),
            page.address(),
            chat.address()
        ),
    );
    let asked = format!("\"/?{version}\"");
    for _ in 0..LOADS {
        let _browser = Browser::open(&proxy, version, &issued);
        let opened = Instant::now();
        let is_done = wait_for("the page to be done", || {
            let log = proxy.stdout();
            assert!(!log.contains("/failed"), "{log}");
            let given_up = opened.elapsed() > LOAD && !log.contains(&asked);
            (log.contains("\"/done\"") || given_up).then_some(!given_up)
        });
        if is_done {
            break;
        }
    }
    proxy.stdout().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What the log says of a path.
fn of<'a>(lines: &'a [Value], path: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["path"].as_str().is_some_and(|told| told.starts_with(path)));
    found.unwrap_or_else(|| panic!("no {path} in {lines:?}"))
}

#[test]
fn chromium_loads_a_page_and_talks_by_websocket_over_http2() {
    let lines = visited("h2", "");
    for (path, status) in [("/?h2", 200), ("/chat", 101), ("/said/hello", 204)] {
        let line = of(&lines, path);
        assert_eq!((&line["version"], &line["status"]), (&"HTTP/2".into(), &status.into()), "{line}");
    }
}

#[test]
fn chromium_loads_a_page_over_http3_and_talks_by_websocket_beside_it() {
    let lines = visited("h3", "http3: true");
    for (path, version, status) in [("/?h3", "HTTP/3", 200), ("/said/hello", "HTTP/3", 204), ("/chat", "HTTP/1.1", 101)]
    {
        let line = of(&lines, path);
        assert_eq!((&line["version"], &line["status"]), (&version.into(), &status.into()), "{line}");
    }
}
