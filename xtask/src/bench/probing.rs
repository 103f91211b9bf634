use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use serde_json::{Value, json};

use super::machine;
use crate::root;

#[derive(Debug, clap::Args)]
pub(crate) struct ProbingBench {
    #[arg(long, default_value_t = 10_000)]
    endpoints: usize,
    /// Seconds between two probes of an endpoint.
    #[arg(long, default_value_t = 5)]
    interval: u64,
    /// Probe each endpoint on one connection, as `reuse_connection` does.
    #[arg(long)]
    reuse_connection: bool,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Measure this binary, instead of building one as `cargo xtask release` does.
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
}

/// What the probes of many endpoints cost the control plane, and the workers: while all are well, while all of them fail
/// in the same moment, while all are out, and while they come back. There are no requests.
pub(super) fn measure(wanted: &ProbingBench, binary: &Path) -> Result<()> {
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory)?;
    let origin = Origin::start("127.0.0.1:0".parse()?)?;
    let address = origin.address;
    let proxy = Proxy::start(binary, &directory, &config(wanted, address))?;
    // New probes are spread over an interval.
    std::thread::sleep(Duration::from_secs(wanted.interval + 5));
    let mut phases = Vec::new();
    let mut measure = |name: &'static str, origin: Option<&Origin>| -> Result<()> {
        let phase = Phase::measure(name, &proxy, origin, Duration::from_secs(wanted.seconds))?;
        println!("{phase}");
        phases.push(phase.json());
        Ok(())
    };
    measure("all are well", Some(&origin))?;
    drop(origin);
    measure("all fail", None)?;
    measure("all are out", None)?;
    let origin = Origin::start(address)?;
    measure("all come back", Some(&origin))?;
    let file = save(wanted, &phases)?;
    eprintln!("raw results: {}", file.display());
    Ok(())
}

fn config(wanted: &ProbingBench, origin: SocketAddr) -> String {
    let endpoint = |number: usize| json!({ "id": format!("endpoint-{number}"), "address": origin.to_string() });
    let seconds = |seconds: u64| format!("{seconds}s");
    json!({
        "workers": 1,
        "listeners": [{ "name": "web", "bind": "127.0.0.1:0", "cluster": "app" }],
        "clusters": [{
            "name": "app",
            "health": {
                "evaluator": { "plugin": "thresholds", "config": { "rise": 2, "fall": 2 } },
                "probe": { "plugin": "http", "interval": seconds(wanted.interval), "timeout": "2s",
                    "reuse_connection": wanted.reuse_connection, "config": { "path": "/health" } },
            },
            "endpoints": (0..wanted.endpoints).map(endpoint).collect::<Vec<_>>(),
        }],
    })
    .to_string()
}

/// Answers whatever comes, in a thread for all connections: there may be as many as endpoints.
#[derive(Debug)]
struct Origin {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).context("the origin cannot listen")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (answered, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, over) = (answered.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            if let Err(error) = answer(&listener, &count, &over) {
                eprintln!("the origin ended: {error:#}");
            }
        });
        Ok(Self { address, answered, is_over, thread: Some(thread) })
    }
}

fn answer(listener: &TcpListener, count: &AtomicU64, is_over: &AtomicBool) -> Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut connections: HashMap<u64, TcpStream> = HashMap::new();
    let mut events = Vec::with_capacity(256);
    let mut next = 0;
    while !is_over.load(Ordering::Relaxed) {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let number = event.data.u64();
            if number == 0 {
                while let Ok((stream, _)) = listener.accept() {
                    next += 1;
                    stream.set_nodelay(true)?;
                    epoll::add(&epoll, &stream, epoll::EventData::new_u64(next), epoll::EventFlags::IN)?;
                    connections.insert(next, stream);
                }
            } else if let Some(stream) = connections.get_mut(&number) {
                let mut head = [0; 1024];
                let is_asked = stream.read(&mut head).is_ok_and(|read| read > 0);
                if is_asked && stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                } else {
                    connections.remove(&number);
                }
            }
        }
    }
    Ok(())
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees that.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The proxy, killed when dropped.
#[derive(Debug)]
struct Proxy(Child);

impl Proxy {
    fn start(binary: &Path, directory: &Path, config: &str) -> Result<Self> {
        let file = directory.join("probing.json");
        fs::write(&file, config)?;
        let log = fs::File::create(directory.join("probing.log"))?;
        let child = Command::new(binary).args(["run", "-c"]).arg(&file).stderr(log).spawn();
        Ok(Self(child.with_context(|| format!("{} does not start", binary.display()))?))
    }

    /// Processor time of the control plane and of the workers so far.
    fn cpu(&self) -> Result<[Duration; 2]> {
        let mut spent = [Duration::ZERO; 2];
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id()))?.flatten() {
            // A thread may end in between.
            let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let nanoseconds = read("schedstat").split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0);
            spent[usize::from(read("comm").starts_with("plimsoll-w"))] += Duration::from_nanos(nanoseconds);
        }
        Ok(spent)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug)]
struct Phase {
    name: &'static str,
    probes_per_second: f64,
    /// Shares of a core.
    control: f64,
    workers: f64,
}

impl Phase {
    fn measure(name: &'static str, proxy: &Proxy, origin: Option<&Origin>, lasts: Duration) -> Result<Self> {
        let answered = || origin.map_or(0, |origin| origin.answered.load(Ordering::Relaxed));
        let (begun, before, cpu) = (Instant::now(), answered(), proxy.cpu()?);
        std::thread::sleep(lasts);
        let (took, now) = (begun.elapsed().as_secs_f64(), proxy.cpu()?);
        let share = |of: usize| (now[of] - cpu[of]).as_secs_f64() / took;
        let probes_per_second = (answered() - before) as f64 / took;
        Ok(Self { name, probes_per_second, control: share(0), workers: share(1) })
    }

    fn json(&self) -> Value {
        let Self { name, probes_per_second, control, workers } = self;
        json!({ "phase": name, "probes_per_second": probes_per_second, "control_plane": control, "workers": workers })
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, probes_per_second, control, workers } = self;
        let (control, workers) = (control * 100.0, workers * 100.0);
        write!(
            f,
            "{name:<14} {probes_per_second:6.0} good probes a second  control plane {control:5.1} % of a core  workers {workers:5.1} %"
        )
    }
}

fn save(wanted: &ProbingBench, phases: &[Value]) -> Result<PathBuf> {
    let directory = root().join(machine::directory_of_results());
    fs::create_dir_all(&directory)?;
    let file = directory.join(if wanted.reuse_connection { "probing-reused.json" } else { "probing.json" });
    let text = json!({
        "machine": machine::describe(),
        "endpoints": wanted.endpoints,
        "interval_seconds": wanted.interval,
        "phases": phases,
    });
    fs::write(&file, format!("{text:#}\n"))?;
    Ok(file)
}
