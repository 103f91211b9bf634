use std::collections::HashSet;
use std::io::{BufRead, BufReader, IsTerminal, Write as _};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cargo;

/// How often the account is told anew, on a terminal and to a file.
const ON_TERMINAL: Duration = Duration::from_millis(500);
const TO_FILE: Duration = Duration::from_secs(15);

/// Builds the proxy, quickly rather than well, and runs its demo.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    build()?;
    crate::run(cargo(&["run", "--quiet", "--profile", "demo", "--package", "plimsoll", "--", "demo"]).args(arguments))
}

/// Builds, and says all the while how far it is: from nothing it takes minutes.
fn build() -> Result<()> {
    let begun = Instant::now();
    let mut account = Account::new(crates()?);
    let build = ["build", "--quiet", "--profile", "demo", "--package", "plimsoll"];
    let mut child = cargo(&build)
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo did not start")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let (sender, messages) = sync_channel(64);
    let reader = std::thread::spawn(move || read(output, &sender));
    let terminal = std::io::stderr().is_terminal();
    let interval = if terminal { ON_TERMINAL } else { TO_FILE };
    let mut told = Instant::now();
    loop {
        match messages.recv_timeout(interval) {
            Ok(message) => account.note(&message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if account.compiles() && told.elapsed() >= interval {
            tell(&account.line(begun.elapsed()), terminal);
            told = Instant::now();
        }
    }
    drop(reader.join());
    if terminal {
        eprint!("\r\x1b[K");
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("cargo {}: {status}", build.join(" "));
    }
    if account.compiles() {
        eprintln!("built in {}; the next time it takes seconds", minutes(begun.elapsed()));
    }
    Ok(())
}

fn tell(line: &str, terminal: bool) {
    let mut out = std::io::stderr().lock();
    // Who cannot be told cannot be told that either.
    let _ = if terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
    let _ = out.flush();
}

fn read(output: ChildStdout, messages: &SyncSender<Value>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Ok(message) = serde_json::from_str(&line)
            && messages.send(message).is_err()
        {
            return;
        }
    }
}

/// How many crates the proxy is made of.
fn crates() -> Result<usize> {
    let tree = ["tree", "--package", "plimsoll", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"];
    let output = cargo(&tree).output().context("cargo tree did not start")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().collect::<HashSet<_>>().len())
}

/// What is done of the build.
#[derive(Debug)]
struct Account {
    crates: usize,
    done: HashSet<String>,
    plugins_built: bool,
    compiles: bool,
}

impl Account {
    fn new(crates: usize) -> Self {
        Self { crates, done: HashSet::new(), plugins_built: false, compiles: false }
    }

    /// Takes a message of cargo's (`--message-format=json`).
    fn note(&mut self, message: &Value) {
        let package = message["package_id"].as_str().unwrap_or_default();
        match message["reason"].as_str() {
            Some("compiler-artifact") => {
                self.compiles |= message["fresh"] == false;
                let is_build_script = message["target"]["kind"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|kind| kind == "custom-build"));
                if !is_build_script {
                    self.done.insert(package.to_owned());
                }
            }
            Some("build-script-executed") if is_plimsoll(package) => self.plugins_built = true,
            _ => {}
        }
    }

    /// Whether there is anything to do at all.
    fn compiles(&self) -> bool {
        self.compiles
    }

    fn line(&self, elapsed: Duration) -> String {
        let done = self.done.len().min(self.crates);
        let next = if self.plugins_built && done + 1 >= self.crates {
            "the proxy itself is compiled and linked, the last step"
        } else if self.plugins_built {
            "the plugins are built; then comes the proxy itself"
        } else {
            "then come the plugins, for WebAssembly, and the proxy itself"
        };
        format!("{} of {} crates, {}; {next}", done, self.crates, minutes(elapsed))
    }
}

/// A package id ends with the directory and the version, as in `path+file:///…/host#plimsoll@0.1.0`.
fn is_plimsoll(package: &str) -> bool {
    package.rsplit_once('#').is_some_and(|(_, name)| name.starts_with("plimsoll@"))
}

fn minutes(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_account_says_how_far_it_is_and_what_comes_next() {
        let mut account = Account::new(3);
        let artifact = |id: &str, kind: &str, fresh: bool| json!({ "reason": "compiler-artifact", "package_id": id, "target": { "kind": [kind] }, "fresh": fresh });
        account.note(&artifact("registry+x#a@1.0.0", "lib", true));
        assert!(!account.compiles());
        account.note(&artifact("registry+x#b@1.0.0", "custom-build", false));
        assert!(account.compiles());
        let line = account.line(Duration::from_secs(61));
        assert_eq!(line, "1 of 3 crates, 1:01 min; then come the plugins, for WebAssembly, and the proxy itself");
        account.note(&artifact("registry+x#b@1.0.0", "lib", false));
        account.note(&json!({ "reason": "build-script-executed", "package_id": "path+file:///x/host#plimsoll@0.1.0" }));
        let line = account.line(Duration::from_secs(120));
        assert_eq!(line, "2 of 3 crates, 2:00 min; the proxy itself is compiled and linked, the last step");
    }
}
