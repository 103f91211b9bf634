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

pub(crate) const COLUMNS: [Column; 9] = [
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
        cell: |of| of.measured.revisits.map_or_else(|| "–".to_owned(), share),
        rank: |of| of.measured.revisits.map(|same| 1.0 - same),
    },
];

/// Columns that say nothing without keys.
pub(crate) const ABOUT_KEYS: [&str; 2] = ["keys moved", "same endpoint"];

/// What the columns mean, in a line each.
pub const LEGEND: [(&str, &str); 6] = [
    (
        "p50, p99, p99.9",
        "times within which this share of the requests was answered; those that failed count as slower than any",
    ),
    ("failed", "share of the requests that were not answered as they should"),
    ("imbalance", "the most that an endpoint got, of what was due to it by its weight"),
    ("busiest", "the most that an endpoint was at work, of what it can"),
    ("keys moved", "keys that changes of the endpoints led elsewhere, and of how many that could not be helped"),
    ("same endpoint", "requests that came to the endpoint which the last one of their key had come to"),
];

pub(crate) fn keys_moved(entry: &Entry) -> String {
    let Some(changes) = &entry.measured.keys_moved else { return "–".to_owned() };
    if changes.is_empty() {
        return "none".to_owned();
    }
    let moved: f64 = changes.iter().map(|change| change.moved).sum();
    let had_to: f64 = changes.iter().map(|change| change.had_to).sum();
    format!("{} of {}", share(moved), share(had_to))
}

fn columns(report: &Report) -> impl Iterator<Item = &'static Column> {
    let has_keys = report.scenario.has_keys;
    COLUMNS.iter().filter(move |column| has_keys || !ABOUT_KEYS.contains(&column.name))
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
    for (name, meaning) in LEGEND.iter().filter(|(name, _)| setting.has_keys || !ABOUT_KEYS.contains(name)) {
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
