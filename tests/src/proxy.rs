use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::client::{self, Response};
use crate::wait_for;

/// A running proxy; killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    stdout: Arc<Mutex<String>>,
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Hup,
    Usr1,
    /// Stands still, with its sockets open.
    Stop,
    /// Goes on.
    Cont,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Proxy {
    /// Starts the binary with a configuration. Give listeners the port 0, and leave `admin` out: it gets one of its own.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(binary: &str, config: &str) -> Self {
        let config = if config.contains("admin:") {
            config.to_owned()
        } else {
            format!("admin: {{ bind: \"127.0.0.1:0\" }}\n{config}")
        };
        let proxy = Self::launch(binary, &config);
        proxy.admin_address();
        proxy
    }

    /// Starts the binary with a configuration that may not work.
    ///
    /// # Panics
    /// When there is no such binary.
    pub fn launch(binary: &str, config: &str) -> Self {
        Self::run(binary, &["run", "--config", "config.yaml"], Some(config))
    }

    /// Starts the binary with arguments, in a directory of its own that holds `config.yaml` if there is one.
    ///
    /// # Panics
    /// When there is no such binary.
    pub fn run(binary: &str, arguments: &[&str], config: Option<&str>) -> Self {
        Self::run_with(binary, arguments, config, &[])
    }

    /// The same with variables of its environment.
    ///
    /// # Panics
    /// When there is no such binary.
    pub fn run_with(binary: &str, arguments: &[&str], config: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the test");
        if let Some(config) = config {
            std::fs::write(directory.join("config.yaml"), config).expect("the configuration can be written");
        }
        let mut child = Command::new(binary)
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stdout = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let sink = log.clone();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| lock(&sink).push(without_colours(&line)))
        });
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let sink = stdout.clone();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                let mut text = lock(&sink);
                text.push_str(&line);
                text.push('\n');
            });
        });
        Self { child, log, stdout, directory }
    }

    /// Address of a listener.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let status = self.admin_json("GET", "/v1/status", None);
        let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
        let found = listeners.iter().find(|known| known["name"] == listener);
        let address = found.and_then(|found| found["address"].as_str()).unwrap_or_default();
        address.parse().unwrap_or_else(|_| panic!("no listener {listener} in {status}"))
    }

    /// Address of the admin API.
    pub fn admin_address(&self) -> SocketAddr {
        self.wait_for_log("admin API is up", "address=").trim_matches('"').parse().expect("the log tells an address")
    }

    /// One request to the admin API.
    pub fn admin(&self, method: &str, path: &str, body: Option<&[u8]>) -> Response {
        self.admin_with(method, path, &[], body)
    }

    /// The same with these fields, which may have a `host` of their own.
    pub fn admin_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Response {
        let address = self.admin_address();
        let host = address.to_string();
        let own = [("host", host.as_str())];
        let host = if headers.iter().any(|(name, _)| *name == "host") { &[][..] } else { &own };
        client::request(address, method, path, &[host, headers].concat(), body)
    }

    /// One request to the admin API, which must succeed with JSON.
    ///
    /// # Panics
    /// When it does not.
    pub fn admin_json(&self, method: &str, path: &str, body: Option<&[u8]>) -> Value {
        let response = self.admin(method, path, body);
        assert_eq!(response.status, 200, "{method} {path}: {}", response.text());
        serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", response.text()))
    }

    /// Metrics whose name and labels begin with `prefix`, added up.
    ///
    /// # Panics
    /// When a value is not a number.
    pub fn metric(&self, prefix: &str) -> f64 {
        let text = self.admin("GET", "/metrics", None).text();
        text.lines()
            .filter(|line| line.starts_with(prefix))
            .map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>().expect("a number"))
            .sum()
    }

    /// How many answers each endpoint gave, by the counters of the cluster.
    pub fn requests_by_endpoint(&self, cluster: &str) -> HashMap<String, u64> {
        let report = self.admin_json("GET", &format!("/v1/clusters/{cluster}"), None);
        let endpoints = report["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints
            .iter()
            .map(|endpoint| {
                let id = endpoint["id"].as_str().unwrap_or_default().to_owned();
                (id, endpoint["requests"].as_u64().unwrap_or_default())
            })
            .collect()
    }

    /// The part of a log line with `text` that follows `key`, up to the next space. Waits for the line.
    pub fn wait_for_log(&self, text: &str, key: &str) -> String {
        wait_for(&format!("`{text}` in the log:\n{}", self.log()), || {
            let log = lock(&self.log);
            let line = log.iter().find(|line| line.contains(text))?;
            let (_, value) = line.split_once(key)?;
            Some(value.split(' ').next().unwrap_or_default().to_owned())
        })
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        lock(&self.log).join("\n")
    }

    /// Everything printed so far.
    pub fn stdout(&self) -> String {
        lock(&self.stdout).clone()
    }

    /// Where its configuration is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Replaces the configuration file, without telling the proxy.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, config: &str) {
        std::fs::write(self.directory.join("config.yaml"), config).expect("the configuration can be written");
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "-TERM",
            Signal::Hup => "-HUP",
            Signal::Usr1 => "-USR1",
            Signal::Stop => "-STOP",
            Signal::Cont => "-CONT",
        };
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the proxy is gone");
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("the proxy to end", || self.child.try_wait().ok().flatten())
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the proxy:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}
