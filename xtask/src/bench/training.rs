use std::path::Path;

use anyhow::{Context as _, Result};

use super::load::{self, Protocol};
use super::peers::{Beside, Field};
use super::side_by_side::PROGRAMS;
use crate::prerequisites::ensure_programs;

/// Of each load.
const SECONDS: u64 = 5;

/// Has a binary serve what proxies serve most, and end.
pub(crate) fn train(binary: &Path, directory: &Path) -> Result<()> {
    ensure_programs(&PROGRAMS)?;
    load::prepare()?;
    let field = Field::start(directory, binary, Beside::Nothing)?;
    for (number, protocol) in Protocol::ALL.into_iter().enumerate() {
        eprintln!("  load {}/{}: {}", number + 1, Protocol::ALL.len(), protocol.name());
        let proxy = field.proxies.first().context("no proxy was started")?;
        let port = proxy.port(protocol).context("the proxy has no such port")?;
        protocol.load(port, &field.certificate, SECONDS)?;
    }
    Ok(())
}
