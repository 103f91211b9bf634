//! What is large comes through whole, by every protocol and both ways, in bounded memory; and what a network loses is sent again. The
//! endpoint is nginx, the clients are curl and, over HTTP/3, curl on ngtcp2.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_tests::{Authority, Namespace, Nginx, Proxy, free_address, python};

use crate::PLIMSOLL;

/// How much is carried each way, in bytes, unless `PLIMSOLL_TRANSFER_BYTES` says otherwise. 1 GiB takes minutes.
const BYTES: u64 = 64 << 20;
/// What the proxy may need more for it than before, however much it is.
const MEMORY_BYTES: u64 = 32 << 20;
/// nginx keeps what it is sent, and gives out what it has.
const LOCATIONS: &str = "location / { dav_methods PUT; create_full_put_path on; client_max_body_size 0; }";

/// A proxy with a listener for each protocol, at an address that clients reach, and its endpoint.
struct Site {
    authority: Authority,
    nginx: Nginx,
    proxy: Proxy,
}

impl Site {
    fn start(address: IpAddr) -> Self {
        let authority = Authority::new("root");
        let issued = authority.issue("localhost", &format!("DNS:localhost,IP:{address}"));
        let nginx = Nginx::start(LOCATIONS, &[("small", b"hello")]);
        let tls = format!(
            "tls: {{ certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }}",
            issued.certificate.display(),
            issued.key.display()
        );
        let bind = format!("bind: \"{address}:0\", cluster: app");
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
listeners:
  - {{ name: clear, {bind}, limits: {{ body_bytes: off }} }}
  - {{ name: encrypted, {bind}, http3: true, limits: {{ body_bytes: off }}, {tls} }}
  - {{ name: tcp, {bind}, protocol: tcp }}
  - {{ name: tcp-encrypted, {bind}, protocol: tcp, {tls} }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ], timeouts: {{ body_idle: 5m }} }} ]",
                nginx.address()
            ),
        );
        Self { authority, nginx, proxy }
    }

    fn url(&self, listener: &str, path: &str) -> String {
        let scheme = if listener.ends_with("encrypted") { "https" } else { "http" };
        format!("{scheme}://{}/{path}", self.proxy.address(listener))
    }
}

/// A file with bytes that no compression or repetition could stand in for; gone when dropped.
struct File(PathBuf);

impl File {
    fn of(bytes: u64) -> Self {
        let file = Self::none();
        let made = Command::new("openssl").args(["rand", "-out"]).arg(&file.0).arg(bytes.to_string()).status();
        assert!(made.expect("openssl runs").success());
        file
    }

    fn none() -> Self {
        Self(free_path())
    }

    /// As the program of the system says.
    fn checksum(&self) -> String {
        checksum(&self.0)
    }
}

fn free_path() -> PathBuf {
    std::env::temp_dir().join(format!("plimsoll-transfer-{}", free_address().port()))
}

fn checksum(path: &Path) -> String {
    let said = Command::new("sha256sum").arg(path).output().expect("sha256sum runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).split(' ').next().expect("a sum").to_owned()
}

impl Drop for File {
    fn drop(&mut self) {
        // It may not have been written.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The most memory that it has ever had, in bytes.
fn most_memory(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}

fn curl(authority: &Authority, flags: &[&str], arguments: &[&str]) {
    let trusted = authority.certificate();
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail", "--max-time", "1800", "-H", "Expect:", "--cacert"]).arg(trusted);
    let said = command.args(flags).args(arguments).output().expect("curl runs");
    assert!(said.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&said.stderr));
}

fn curl_of_http3(mut command: Command, authority: &Authority, how: &str, url: &str, file: &str) {
    command.args([how, url]).arg(authority.certificate()).arg(file);
    let said = command.output().expect("Python runs");
    let (told, why) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(told.starts_with("30 20") || told.starts_with("31 20"), "{told}{why}");
}

#[test]
fn what_is_large_comes_through_whole_by_every_protocol_in_bounded_memory() {
    let bytes = std::env::var("PLIMSOLL_TRANSFER_BYTES").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(BYTES);
    let site = Site::start([127, 0, 0, 1].into());
    let (large, kept) = (File::of(bytes), File::none());
    let wanted = large.checksum();
    let large_path = large.0.to_str().expect("text");
    std::fs::hard_link(&large.0, site.nginx.directory().join("large")).expect("the same disk");
    let protocols: [(&str, &str, &[&str]); 6] = [
        ("HTTP/1.1", "clear", &["--http1.1"]),
        ("HTTP/1.1 over TLS", "encrypted", &["--http1.1"]),
        ("HTTP/2", "clear", &["--http2-prior-knowledge"]),
        ("HTTP/2 over TLS", "encrypted", &["--http2"]),
        ("TCP", "tcp", &[]),
        ("TCP with TLS", "tcp-encrypted", &[]),
    ];
    let before = most_memory(&site.proxy);
    let kept_path = kept.0.to_str().expect("text");
    let sent = site.nginx.directory().join("sent");
    let mut memory = before;
    let mut check = |protocol: &str, began: std::time::Instant, way: &str, path: &Path| {
        let took = began.elapsed();
        assert_eq!(checksum(path), wanted, "{protocol}, {way}");
        std::fs::remove_file(path).expect("it is there");
        let now = most_memory(&site.proxy);
        eprintln!(
            "{bytes} bytes, {way}: {:.1} s, and {} KiB more of memory, by {protocol}",
            took.as_secs_f64(),
            now.saturating_sub(memory) >> 10
        );
        let more = now.saturating_sub(before);
        assert!(more <= MEMORY_BYTES, "{protocol}, {way}: {} KiB", more >> 10);
        memory = now;
    };
    for (protocol, listener, flags) in protocols {
        let began = std::time::Instant::now();
        curl(&site.authority, flags, &["-o", kept_path, &site.url(listener, "large")]);
        check(protocol, began, "down", &kept.0);
        let began = std::time::Instant::now();
        curl(&site.authority, flags, &["-T", large_path, &site.url(listener, "sent")]);
        check(protocol, began, "up", &sent);
    }
    let http3 = |how, path, file| {
        curl_of_http3(python("http3/transfer.py"), &site.authority, how, &site.url("encrypted", path), file);
    };
    let began = std::time::Instant::now();
    http3("get", "large", kept_path);
    check("HTTP/3", began, "down", &kept.0);
    let began = std::time::Instant::now();
    http3("put", "sent", large_path);
    check("HTTP/3", began, "up", &sent);
}

/// What is carried while datagrams are lost: the rest of a test run waits for it.
const BYTES_BETWEEN_LOSSES: u64 = 4 << 20;

#[test]
fn over_http3_what_a_network_loses_is_sent_again_and_others_are_served() {
    let Some(network) = Namespace::new() else {
        eprintln!("not tested: it takes root and iproute2 to make networks");
        return;
    };
    let site = Site::start(network.gateways()[0]);
    let (large, kept) = (File::of(BYTES_BETWEEN_LOSSES), File::none());
    let (large_path, kept_path) = (large.0.to_str().expect("text"), kept.0.to_str().expect("text"));
    std::fs::hard_link(&large.0, site.nginx.directory().join("large")).expect("the same disk");
    for percent in [5, 20] {
        if !network.lose(percent) {
            eprintln!("not tested: it takes nftables to lose datagrams");
            return;
        }
        std::thread::scope(|scope| {
            let within = |how: &'static str, path: &'static str, file| {
                let there = network.within(&python("http3/transfer.py"));
                let (authority, url) = (&site.authority, site.url("encrypted", path));
                scope.spawn(move || curl_of_http3(there, authority, how, &url, file))
            };
            let carrying = [within("get", "large", kept_path), within("put", "sent", large_path)];
            let mut beside = 0;
            while carrying.iter().any(|one| !one.is_finished()) {
                // Whom nothing is lost of.
                curl(&site.authority, &["-o", "/dev/null", "--max-time", "20"], &[&site.url("encrypted", "small")]);
                beside += 1;
            }
            carrying.into_iter().for_each(|one| one.join().expect("it comes through"));
            assert!(beside > 0);
        });
        let sent = site.nginx.directory().join("sent");
        for path in [&kept.0, &sent] {
            assert_eq!(checksum(path), large.checksum(), "{percent} % lost, {}", path.display());
        }
        let lost = network.lost();
        assert!(lost >= percent, "{lost} were lost");
    }
}
