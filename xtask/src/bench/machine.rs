use std::process::Command;

use serde_json::{Value, json};

/// The machine and the moment of a measurement.
pub(super) fn describe() -> Value {
    json!({
        "cpu": cpu(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "kernel": output("uname", &["-r"]),
        "date": date(),
        "rustc": output("rustc", &["--version"]),
        "commit": output("git", &["rev-parse", "--short", "HEAD"]),
    })
}

pub(super) fn date() -> String {
    output("date", &["-u", "+%Y-%m-%d"])
}

pub(super) fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// Where what was measured here today is kept, below the root of the repository.
pub(super) fn directory_of_results() -> String {
    let cpu = cpu().to_ascii_lowercase();
    // The maker and the family; marks such as `(R)` are one letter.
    let words = cpu.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 1).take(2);
    format!("benches/runs/{}-{}", date(), words.collect::<Vec<_>>().join("-"))
}

/// First line with something in it that a program prints, or nothing. What some print before the word `version`, such
/// as where they are installed, is left out.
pub(super) fn output(program: &str, arguments: &[&str]) -> String {
    let text = said(program, arguments);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.find("version").map_or(line, |position| &line[position..]).to_owned()
}

/// All that a program says.
pub(super) fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("PATH", search_path()).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// Debian keeps servers where users do not look.
pub(super) fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
