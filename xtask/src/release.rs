//! The proxy as it is released: as fast as the compiler makes it, and made and laid out by what it does under load.
//!
//! The compiler counts first how often each branch is taken under load (PGO: Chang, Mahlke and Hwu 1991, "Using Profile Information to
//! Assist Classic Code Optimizations"), and by that decides what to inline, and what goes where. What a request passes is spread over
//! 30 MiB of code all the same, as the linker found it: BOLT (Panchenko et al. 2019, "BOLT: A Practical Binary Optimizer for Data
//! Centers and Beyond") counts again, and lays out blocks and functions of the whole program so that what follows one another stands
//! beside one another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::prerequisites::ensure_programs;
use crate::{bench, cargo, root, run};

/// Makes `target/dist/plimsoll`, and answers where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let (bolt, profdata) = (program("llvm-bolt-19", "bolt-19")?, program("llvm-profdata-19", "llvm-19")?);
    let dist = root().join("target/dist");
    fs::create_dir_all(&dist)?;
    let counts = counted(&dist, &profdata)?;

    tell("3/6 compiling by what was counted (some ten minutes on two cores, half of them for the link)");
    let flags = format!("-Cprofile-use={}", counts.display());
    // With its relocations, by which code can be moved.
    let linked = compile(&root().join("target"), &flags, &["-C", "link-arg=-Wl,--emit-relocs"])?;
    let (binary, log) = (dist.join("plimsoll"), dist.join("bolt.log"));
    if is_newer(&binary, &linked) {
        tell("nothing has changed since the last time");
        return Ok(binary);
    }
    let (instrumented, profile) = (dist.join("plimsoll.instrumented"), dist.join("profile"));
    tell("4/6 adding counters for the layout (a minute)");
    let into = format!("--instrumentation-file={}", profile.display());
    quietly(Command::new(&bolt).arg(&linked).args(["-instrument", &into, "-o"]).arg(&instrumented), &log)?;
    tell("5/6 counting under load (half a minute)");
    // What is there would be written over, but not by one that fails.
    let _ = fs::remove_file(&profile);
    bench::train(&instrumented, &dist.join("training"))?;
    fs::remove_file(&instrumented)?;
    if !profile.is_file() {
        bail!("the proxy ended without a profile: see {}", dist.join("training").display());
    }
    tell("6/6 laying out (half a minute)");
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

/// How often each branch is taken under load, for the compiler.
fn counted(dist: &Path, profdata: &Path) -> Result<PathBuf> {
    let (raw, counts) = (dist.join("counts"), dist.join("counts.profdata"));
    tell("1/6 compiling with counters (some ten minutes on two cores)");
    let counting = compile(&dist.join("counting"), &format!("-Cprofile-generate={}", raw.display()), &[])?;
    if is_newer(&counts, &counting) {
        return Ok(counts);
    }
    tell("2/6 counting under load (half a minute)");
    let _ = fs::remove_dir_all(&raw);
    bench::train(&counting, &dist.join("training"))?;
    let unfinished = dist.join("counts.unfinished");
    quietly(Command::new(profdata).arg("merge").arg("-o").args([&unfinished, &raw]), &dist.join("profdata.log"))?;
    fs::rename(&unfinished, &counts)?;
    Ok(counts)
}

/// The release build into `target`, all of its crates with flags of the compiler, the last with more; answers where the program is.
fn compile(target: &Path, flags: &str, more: &[&str]) -> Result<PathBuf> {
    let host = host()?;
    // A target that is named, be it this machine, keeps the flags from what runs while it is compiled.
    let mut command =
        cargo(&["rustc", "--release", "--locked", "--package", "plimsoll", "--bin", "plimsoll", "--target", &host]);
    command.env("RUSTFLAGS", flags).arg("--target-dir").arg(target).arg("--").args(more);
    run(&mut command)?;
    Ok(target.join(host).join("release/plimsoll"))
}

/// What the compiler calls this machine.
fn host() -> Result<String> {
    let said = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .current_dir(root())
        .output()
        .context("rustc did not start")?;
    let host = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    if host.is_empty() {
        bail!("rustc does not say what this machine is: {}", String::from_utf8_lossy(&said.stderr))
    }
    Ok(host)
}

/// A program of LLVM where it really is: BOLT looks for its runtime beside itself, and not beside a link to it.
fn program(name: &str, package: &str) -> Result<PathBuf> {
    ensure_programs(&[(name, package)])?;
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
    found
        .with_context(|| format!("{name} is not in PATH"))?
        .canonicalize()
        .with_context(|| format!("{name} is a link to nothing"))
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
