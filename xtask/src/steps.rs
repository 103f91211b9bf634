use std::time::{Duration, Instant};

use anyhow::Result;

/// Runs steps one after the other, tells how long each took, and stops at the first that fails.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    wanted: &'a [String],
    done: Vec<(&'static str, Duration)>,
}

impl<'a> Steps<'a> {
    /// All steps, or those whose name contains one of `wanted`.
    pub(crate) fn new(wanted: &'a [String]) -> Self {
        Self { wanted, done: Vec::new() }
    }

    pub(crate) fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            return Ok(());
        }
        eprintln!("\n=== {name}");
        let begun = Instant::now();
        let result = step();
        self.done.push((name, begun.elapsed()));
        if result.is_err() {
            self.summary();
            eprintln!("failed: {name}");
        }
        result
    }

    pub(crate) fn summary(&self) {
        eprintln!();
        for (name, took) in &self.done {
            eprintln!("{:>6.0} s  {name}", took.as_secs_f64());
        }
    }
}
