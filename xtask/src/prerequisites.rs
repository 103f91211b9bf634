use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{root, run};

/// Programs that tests start, each with the Debian package that has it.
const PROGRAMS: [(&str, &str); 33] = [
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("curl", "curl"),
    ("h2load", "nghttp2-client"),
    ("nghttpd", "nghttp2-server"),
    ("openssl", "openssl"),
    ("dnsmasq", "dnsmasq-base"),
    ("dig", "bind9-dnsutils"),
    ("dnsperf", "dnsperf"),
    ("nft", "nftables"),
    ("pdns_recursor", "pdns-recursor"),
    ("dnsdist", "dnsdist"),
    ("pebble", "pebble"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("iperf3", "iperf3"),
    ("ip", "iproute2"),
    ("psql", "postgresql-client-15"),
    ("mariadb", "mariadb-client-core"),
    ("memcached", "memcached"),
    ("exim4", "exim4-daemon-light"),
    ("slapd", "slapd"),
    ("mariadbd", "mariadb-server-core"),
    ("my_print_defaults", "mariadb-client-core"),
    ("postgres", "postgresql-15"),
    ("minisign", "minisign"),
    ("clang", "clang"),
    ("wasm-ld", "lld"),
    ("docker-registry", "docker-registry"),
];
/// Packages of PyPI that programs of the tests import, and what makes plugins in Python, into a Python of their own.
const PYTHON_PACKAGES: [&str; 9] = [
    "aioquic==1.7.2",
    "componentize-py==0.25.1",
    "curl_cffi==0.17.0",
    "grpcio==1.85.3",
    "niquests==3.21.2",
    "openapi-spec-validator==0.9.0",
    "sslyze==6.3.1",
    "websockets==17.4",
    "wsproto==1.3.2",
];
/// Packages of npm that programs of the tests, and plugins in JavaScript, import.
const NODE_PACKAGES: [&str; 5] = [
    "@bufbuild/protobuf@2.17.0",
    "@bytecodealliance/componentize-js@0.23.0",
    // What that imports without naming it, and what it works with.
    "@bytecodealliance/preview2-shim@0.25.0",
    "@connectrpc/connect@2.0.4",
    "@connectrpc/connect-node@2.0.4",
];
const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// Sees to it that all that the tests need is there.
pub(crate) fn ensure() -> Result<()> {
    for target in TARGETS {
        run(Command::new("rustup").args(["target", "add", target]).current_dir(root()).stderr(Stdio::null()))
            .with_context(|| format!("the compiler has no {target}; add it with `rustup target add {target}`"))?;
    }
    ensure_programs(&PROGRAMS)?;
    ensure_python()?;
    ensure_node()
}

/// Makes `target/node` with the packages that are wanted, unless it is there.
fn ensure_node() -> Result<()> {
    let directory = root().join("target/node");
    let (stamp, wanted) = (directory.join("packages"), NODE_PACKAGES.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|packages| packages == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&directory)?;
    run(Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&directory)
        .args(NODE_PACKAGES))
    .context("packages of npm could not be installed")?;
    std::fs::write(&stamp, wanted).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Makes `target/python` with the packages that are wanted, unless it is there.
fn ensure_python() -> Result<()> {
    let directory = root().join("target/python");
    let (stamp, wanted) = (directory.join("packages"), PYTHON_PACKAGES.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|packages| packages == wanted) {
        return Ok(());
    }
    if run(Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null())).is_err() {
        ensure_programs(&[("python3-venv", "python3-venv")])?;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))
        .context("a Python for the tests could not be made")?;
    run(Command::new(directory.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PYTHON_PACKAGES))
    .context("packages of PyPI could not be installed")?;
    std::fs::write(&stamp, wanted).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Installs what is missing, where that is possible.
pub(crate) fn ensure_programs(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || !is_installed("apt-get") {
        bail!("not installed: {}; on Debian: sudo apt-get install {0}", missing.join(" "));
    }
    eprintln!("installing {}", missing.join(" "));
    run(apt_get().arg("update"))?;
    run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(&missing))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    command
}

pub(crate) fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"].map(Into::into))
        .any(|path| path.join(program).is_file())
}
