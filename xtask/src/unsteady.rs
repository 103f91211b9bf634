//! The tests of the workspace, and which of them fail only beside others.
//!
//! Many start the proxy and real peers, and say what is to happen within some time. On a machine that gives its processors to
//! somebody else for seconds, one of hundreds may be late: what failed is run once more, alone. Who passes then is named, since
//! a test that is unsteady wants to be looked at; nobody has to run everything again for it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// More failures than this are not by chance.
const MOST: usize = 5;

/// Runs all tests of the workspace.
pub(crate) fn workspace_tests() -> Result<()> {
    let tests = ["test", "--workspace", "--locked", "--no-fail-fast"];
    let told = Told::by(&mut cargo(&tests))?;
    if told.succeeded {
        return Ok(());
    }
    let failed = &told.failed;
    if failed.is_empty() || failed.len() > MOST || told.begun != told.ended {
        bail!("{} tests failed; {} of {} programs of tests came to their end", failed.len(), told.ended, told.begun);
    }
    eprintln!("\n--- {} failed: once more, alone", failed.len());
    let again = Told::by(cargo(&tests).args(["--", "--exact", "--test-threads=1"]).args(failed))?;
    if !again.succeeded || again.passed != *failed {
        bail!("they fail alone, too: {}", failed.difference(&again.passed).cloned().collect::<Vec<_>>().join(", "));
    }
    for name in failed {
        eprintln!("unsteady: {name} failed beside other tests, and passes alone");
    }
    Ok(())
}

/// What programs of tests say of themselves.
#[derive(Debug, Default)]
struct Told {
    succeeded: bool,
    /// Programs that have begun, and those that have come to their end.
    begun: usize,
    ended: usize,
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Told {
    /// Passes on what is printed.
    fn by(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?} did not start"))?;
        let mut told = Self::default();
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            // What is no text names no test.
            let Ok(line) = line else { continue };
            println!("{line}");
            told.hear(&line);
        }
        told.succeeded = child.wait()?.success();
        Ok(told)
    }

    fn hear(&mut self, line: &str) {
        self.begun +=
            usize::from(line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")));
        self.ended += usize::from(line.starts_with("test result: "));
        let Some((name, how)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) else { return };
        match how {
            "ok" => drop(self.passed.insert(name.to_owned())),
            "FAILED" => drop(self.failed.insert(name.to_owned())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_is_heard_and_whether_all_came_to_their_end() {
        let mut told = Told::default();
        for line in [
            "running 3 tests",
            "test tcp::a_name ... ok",
            "test sdk/src/lib.rs - schema (line 4) ... FAILED",
            "test tcp::slow has been running for over 60 seconds",
            "test tcp::left_out ... ignored",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "running 1 test",
        ] {
            told.hear(line);
        }
        assert_eq!((told.begun, told.ended), (2, 1));
        assert_eq!(told.passed.into_iter().collect::<Vec<_>>(), ["tcp::a_name"]);
        assert_eq!(told.failed.into_iter().collect::<Vec<_>>(), ["sdk/src/lib.rs - schema (line 4)"]);
    }
}
