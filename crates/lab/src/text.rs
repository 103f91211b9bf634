//! A report as a table, for a terminal or for a document.

use crate::report::{Entry, Report};
use crate::words::{percentile, share};

/// A column of a table.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) cell: fn(&Entry) -> String,
    /// What the best has least of; none where there is no best.
    pub(crate) rank: fn(&Entry) -> Option<f64>,
}

fn number(us: Option<u64>) -> Option<f64> {
    us.map(|us| us as f64)
}

fn failed(entry: &Entry) -> f64 {
    entry.measured.failed.total as f64 / entry.measured.requests.max(1) as f64
}

const COLUMNS: [Column; 13] = [
    Column {
        name: "p50",
        cell: |of| percentile(of.measured.latency_us.p50),
        rank: |of| number(of.measured.latency_us.p50),
    },
    Column {
        name: "p99",
        cell: |of| percentile(of.measured.latency_us.p99),
        rank: |of| number(of.measured.latency_us.p99),
    },
    Column {
        name: "p99.9",
        cell: |of| percentile(of.measured.latency_us.p999),
        rank: |of| number(of.measured.latency_us.p999),
    },
    Column {
        name: "max",
        cell: |of| percentile(of.measured.latency_us.max),
        rank: |of| number(of.measured.latency_us.max),
    },
    Column { name: "failed", cell: |of| share(failed(of)), rank: |of| Some(failed(of)) },
    Column {
        name: "imbalance",
        cell: |of| format!("{:.2}", of.measured.imbalance),
        rank: |of| Some(of.measured.imbalance),
    },
    Column { name: "busiest", cell: |of| share(of.measured.busiest), rank: |of| Some(of.measured.busiest) },
    Column { name: "keys moved", cell: keys_moved, rank: |_| None },
    Column {
        name: "same endpoint",
        cell: |of| of.measured.revisits.map_or_else(nothing, share),
        rank: |of| of.measured.revisits.map(|same| 1.0 - same),
    },
    Column {
        name: "in memory",
        cell: |of| of.measured.in_memory.map_or_else(nothing, share),
        rank: |of| of.measured.in_memory.map(|found| 1.0 - found),
    },
    Column {
        name: "other zone",
        cell: |of| of.measured.other_zone.map_or_else(nothing, share),
        rank: |of| of.measured.other_zone,
    },
    Column { name: "to baseline", cell: |of| of.to_baseline.map_or_else(nothing, change), rank: |of| of.to_baseline },
    Column {
        name: "a choice",
        cell: |of| of.choice_ns.map_or_else(nothing, |ns| format!("{:.2} µs", ns as f64 / 1e3)),
        rank: |of| of.choice_ns.map(|ns| ns as f64),
    },
];

/// Columns that say nothing without keys.
const ABOUT_KEYS: [&str; 2] = ["keys moved", "same endpoint"];

/// What the columns mean, in a line each.
const LEGEND: [(&str, &str); 10] = [
    (
        "p50, p99, p99.9",
        "times within which this share of the requests was answered; those that failed count as slower than any",
    ),
    ("failed", "share of the requests that were not answered as they should"),
    ("imbalance", "the most that an endpoint got, of what was due to it by its weight"),
    ("busiest", "the most that an endpoint was at work, of what it can"),
    ("keys moved", "keys that changes of the endpoints led elsewhere, and of how many that could not be helped"),
    ("same endpoint", "requests that came to the endpoint which the last one of their key had come to"),
    ("in memory", "requests of which the endpoint had the key in memory"),
    ("other zone", "attempts that went to an endpoint in another zone than the proxy's"),
    ("to baseline", "how much longer, or shorter, its p99 is than that of the baseline"),
    (
        "a choice",
        "processor time of one choice on this machine: the only number that is measured, and not the same every time",
    ),
];

/// In the place of a number that there is not.
fn nothing() -> String {
    "–".to_owned()
}

/// A ratio to something, as what it is more or less.
fn change(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    match percent {
        -0.05..0.05 => "0 %".to_owned(),
        9.95.. => format!("+{percent:.0} %"),
        ..0.0 => format!("−{:.1} %", -percent),
        _ => format!("+{percent:.1} %"),
    }
}

pub(crate) fn keys_moved(entry: &Entry) -> String {
    let Some(changes) = &entry.measured.keys_moved else { return nothing() };
    if changes.is_empty() {
        return "none".to_owned();
    }
    let moved: f64 = changes.iter().map(|change| change.moved).sum();
    let had_to: f64 = changes.iter().map(|change| change.had_to).sum();
    format!("{} of {}", share(moved), share(had_to))
}

/// The columns of a report. One of which nobody has anything is left out, unless it is about the keys that there are.
pub(crate) fn columns(report: &Report) -> impl Iterator<Item = &'static Column> {
    let is_empty = |column: &Column| report.balancers.iter().all(|entry| (column.cell)(entry) == nothing());
    COLUMNS.iter().filter(move |column| match ABOUT_KEYS.contains(&column.name) {
        true => report.scenario.has_keys,
        false => !is_empty(column),
    })
}

/// What the columns of a report mean.
pub(crate) fn legend(report: &Report) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let names: Vec<&str> = columns(report).map(|column| column.name).collect();
    LEGEND.iter().filter(move |(of, _)| of.split(", ").any(|of| names.contains(&of)))
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let names = std::iter::once("balancer".to_owned()).chain(columns(report).map(|column| column.name.to_owned()));
    let mut rows = vec![names.collect()];
    for entry in &report.balancers {
        rows.push(
            std::iter::once(entry.name.clone()).chain(columns(report).map(|column| (column.cell)(entry))).collect(),
        );
    }
    rows
}

/// For a terminal, with what happened above and a legend below.
pub fn table(report: &Report) -> String {
    let setting = &report.scenario;
    let mut text = format!("{}: {}\n{}\n", setting.name, setting.title, setting.facts.join(" · "));
    for mark in &setting.events {
        text += &format!("at {:>6.1} s  {}\n", mark.at_us as f64 / 1e6, mark.what);
    }
    text.push('\n');
    let rows = rows(report);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    for fault in faults(report) {
        text += &format!("\n{fault}\n");
    }
    text.push('\n');
    for (name, meaning) in legend(report) {
        text += &format!("{name}: {meaning}\n");
    }
    text
}

/// Balancers that did not do it all by themselves.
pub(crate) fn faults(report: &Report) -> Vec<String> {
    let faulty = report.balancers.iter().filter(|entry| entry.measured.faults > 0);
    let words = |entry: &Entry| {
        format!(
            "{}: {} times it gave no usable answer, and the proxy chose in its stead",
            entry.name, entry.measured.faults
        )
    };
    faulty.map(words).collect()
}

/// For a document.
pub fn markdown(report: &Report) -> String {
    let rows = rows(report);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if number == 0 {
            text += &format!("|---|{}\n", "--:|".repeat(row.len() - 1));
        }
    }
    for fault in faults(report) {
        text += &format!("\n{fault}\n");
    }
    text
}
