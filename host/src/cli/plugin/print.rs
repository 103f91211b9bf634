use std::io::Write as _;

use anyhow::{Context, Result};

use crate::telemetry::printable_lines;

/// Not `println!`: whoever reads may stop early, as `head` does.
pub(super) fn print(text: &str) -> Result<()> {
    // Some of it is what a component says of itself.
    let text = printable_lines(text);
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}
