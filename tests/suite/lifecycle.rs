//! How the program starts, changes its configuration, and ends; and its other subcommands.

mod access_log;
mod addresses;
mod changes;
mod check;
mod compiled;
mod conformance;
mod drain;
mod kept;
mod new_plugin;
mod other_languages;
mod rebind;
mod registry;
mod reload;
mod simulate;
mod specimens;
mod starting;
mod watch;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use plimsoll_tests::{Endpoint, Gate, read_request};

use crate::PLIMSOLL;

/// An endpoint that answers at the gate only: it sends `head` at once, and `rest` when it may.
fn behind(gate: &Gate, head: &'static str, rest: &'static str) -> Endpoint {
    let gate = gate.clone();
    Endpoint::scripted(Arc::new(move |mut stream| {
        while read_request(&mut stream).is_some() {
            // A proxy that has gone away is what some tests are about.
            let sent = stream.write_all(head.as_bytes());
            gate.pass();
            if sent.and_then(|()| stream.write_all(rest.as_bytes())).is_err() {
                return;
            }
        }
    }))
}

/// Runs a subcommand to its end.
fn plimsoll(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(PLIMSOLL).args(arguments).current_dir(directory).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An empty directory for one test, under target.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // There is one only if the test ran before.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory for the test");
    directory
}

/// A folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
