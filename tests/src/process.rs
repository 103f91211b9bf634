use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::{free_address, wait_for};

/// A program that a test talks to; ends when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// nghttpd, an HTTP/2 server without TLS, with these options, serving files of a directory.
    ///
    /// # Panics
    /// When there is no nghttpd, or it does not come up.
    pub fn nghttpd(options: &[&str], directory: &std::path::Path) -> Self {
        let address = free_address();
        let child = Command::new("nghttpd")
            .args(["--no-tls", "--address=127.0.0.1", "--htdocs"])
            .arg(directory)
            .args(options)
            .arg(address.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nghttpd starts; `apt-get install nghttp2-server` brings it");
        wait_for("nghttpd to come up", || TcpStream::connect(address).ok());
        Self { child, address }
    }

    /// A Python program of the tests that prints the port on which it listens.
    ///
    /// # Panics
    /// When there is no Python with what it needs.
    pub fn python(script: &str) -> Self {
        Self::python_with(script, &[])
    }

    /// The same with arguments.
    ///
    /// # Panics
    /// As [`Self::python`].
    pub fn python_with(script: &str, arguments: &[&std::path::Path]) -> Self {
        let mut child =
            python(script).args(arguments).stdout(Stdio::piped()).spawn().expect("Python starts; see `python`");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut line).expect("it prints text");
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("no port from {script}: {line}"));
        Self { child, address: ([127, 0, 0, 1], port).into() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python program under `tests/`, run by the Python that `cargo xtask prerequisites` sets up.
pub fn python(script: &str) -> Command {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(tests.join("../target/python/bin/python"));
    command.arg(tests.join(script));
    command
}

/// A program for node under `tests/`, whose first argument is where the packages are that `cargo xtask prerequisites` installs.
pub fn node(script: &str) -> Command {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(tests.join(script)).arg(tests.join("../target/node"));
    command
}
