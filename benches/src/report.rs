use std::fs;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::measure::Measured;
use crate::{machine, root};

/// Keeps the raw results where those of `cargo xtask bench proxy` are.
pub(crate) fn save(bench: &str, measured: &[Measured], more: Map<String, Value>) -> Result<()> {
    if cfg!(debug_assertions) {
        println!("\nNothing is kept of a build without optimisation: use `--release`.");
        return Ok(());
    }
    let directory = machine::directory_of_results();
    let mut raw = json!({
        "machine": machine::describe(),
        "command": format!("cargo run --release -p plimsoll-benches -- {bench}"),
        "clock": "processor time of the calling thread",
        "measured": measured.iter().map(Measured::raw).collect::<Vec<_>>(),
    });
    if let Value::Object(raw) = &mut raw {
        raw.extend(more);
    }
    fs::create_dir_all(root().join(&directory))?;
    let file = format!("{directory}/{bench}.json");
    // One line per case can be read, and compared; one number per line cannot.
    fs::write(root().join(&file), format!("{}\n", with_lists_on_one_line(&format!("{raw:#}"))))?;
    println!("\nRaw results: {file}");
    Ok(())
}

/// A time for people, with three digits that count.
pub(crate) fn human(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => return format!("{ns:.0} ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns => (ns / 1e6, "ms"),
    };
    match value {
        value if value < 10.0 => format!("{value:.2} {unit}"),
        value if value < 100.0 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    }
}

/// Whether a goal is met, for who looks over a table.
pub(crate) const fn mark(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "",
    }
}

/// Joins the lines of lists of numbers.
fn with_lists_on_one_line(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for line in json.lines() {
        let trimmed = line.trim_start();
        let in_list = trimmed.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        let closes_list = trimmed.starts_with(']') && text.ends_with(|last: char| last.is_ascii_digit());
        match (in_list, closes_list) {
            (true, _) if text.ends_with(',') => text.push(' '),
            (true, _) | (_, true) => {}
            _ if text.is_empty() => {}
            _ => text.push('\n'),
        }
        text.push_str(if in_list || closes_list { trimmed } else { line });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_take_one_line() {
        let raw = json!({ "a": [1.5, 2, -3], "b": { "c": "1" }, "d": 4 });
        let text = with_lists_on_one_line(&format!("{raw:#}"));
        assert_eq!(text, "{\n  \"a\": [1.5, 2, -3],\n  \"b\": {\n    \"c\": \"1\"\n  },\n  \"d\": 4\n}");
    }

    #[test]
    fn times_have_three_digits_that_count() {
        assert_eq!(
            [0.4, 123.4, 1234.0, 23_456.0, 234_567.0, 1.5e7].map(human),
            ["0 ns", "123 ns", "1.23 µs", "23.5 µs", "235 µs", "15.0 ms"]
        );
    }
}
