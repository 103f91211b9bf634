//! The proxy as it is released: as fast as the compiler makes it, and laid out by what it does under load.
//!
//! What a request passes is spread over 30 MiB of code, as the linker found it. BOLT (Panchenko et al.
//! 2019, "BOLT: A Practical Binary Optimizer for Data Centers and Beyond") counts which branches are taken under load, and lays out
//! blocks and functions so that what follows one another stands beside one another. Nothing else of the code is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::prerequisites::ensure_programs;
use crate::{bench, cargo, root, run};

/// Makes `target/dist/plimsoll`, and answers where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let bolt = bolt()?;
    let dist = root().join("target/dist");
    fs::create_dir_all(&dist)?;
    let (binary, log) = (dist.join("plimsoll"), dist.join("bolt.log"));
    let (instrumented, profile) = (dist.join("plimsoll.instrumented"), dist.join("profile"));

    tell("1/4 compiling (some ten minutes on two cores, half of them for the link)");
    // With its relocations, by which code can be moved.
    let link = ["--", "-C", "link-arg=-Wl,--emit-relocs"];
    run(cargo(&["rustc", "--release", "--locked", "--package", "plimsoll", "--bin", "plimsoll"]).args(link))?;
    let linked = root().join("target/release/plimsoll");
    if is_newer(&binary, &linked) {
        tell("nothing has changed since the last time");
        return Ok(binary);
    }
    tell("2/4 adding counters (a minute)");
    let into = format!("--instrumentation-file={}", profile.display());
    quietly(Command::new(&bolt).arg(&linked).args(["-instrument", &into, "-o"]).arg(&instrumented), &log)?;
    tell("3/4 counting under load (half a minute)");
    // What is there would be written over, but not by one that fails.
    let _ = fs::remove_file(&profile);
    bench::train(&instrumented, &dist.join("training"))?;
    fs::remove_file(&instrumented)?;
    if !profile.is_file() {
        bail!("the proxy ended without a profile: see {}", dist.join("training").display());
    }
    tell("4/4 laying out (half a minute)");
    let unfinished = dist.join("plimsoll.unfinished");
    let with = format!("-data={}", profile.display());
    let how = ["-reorder-blocks=ext-tsp", "-reorder-functions=cdsort", "-split-functions", "-split-all-cold", "-icf=1"];
    quietly(Command::new(&bolt).arg(&linked).args(how).args([&with, "-o"]).arg(&unfinished), &log)?;
    run(Command::new(&unfinished).arg("--version").stdout(Stdio::null()))
        .context("what was laid out does not start")?;
    fs::rename(&unfinished, &binary)?;
    tell(&format!("made {}", binary.display()));
    Ok(binary)
}

/// BOLT, by its own name: it looks for its runtime beside itself, and not beside a link to it.
fn bolt() -> Result<PathBuf> {
    ensure_programs(&[("llvm-bolt-19", "bolt-19")])?;
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|path| path.join("llvm-bolt-19")).find(|path| path.is_file());
    Ok(found.context("llvm-bolt-19 is not in PATH")?.canonicalize()?)
}

/// Runs what has much to say to nobody.
fn quietly(command: &mut Command, log: &Path) -> Result<()> {
    let begun = Instant::now();
    let out = fs::File::create(log)?;
    run(command.stdout(out.try_clone()?).stderr(out)).with_context(|| format!("see {}", log.display()))?;
    eprintln!("  took {} s", begun.elapsed().as_secs());
    Ok(())
}

fn is_newer(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time(made).is_some_and(|made| time(from).is_some_and(|from| made > from))
}

fn tell(text: &str) {
    eprintln!("release: {text}");
}
