use anyhow::{Context as _, Result, bail};

use crate::{cargo, root};

/// The scenes are those of tests/suite/chaos.rs, which the tests run as well, for a moment each.
#[derive(Debug, clap::Args)]
pub(crate) struct Chaos {
    /// How long each scene lasts at the least.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const BEGIN: &str = "<!-- begin: cargo xtask chaos -->\n";
const END: &str = "<!-- end -->";
const HEAD: &str = "\
| one of three origins | requests | failed | promised | retries | 99.9 % within | longest | found after | used again after |
|---|---|---|---|---|---|---|---|---|
";

impl Chaos {
    pub(crate) fn run(&self) -> Result<()> {
        let table = root().join("target/chaos.md");
        match std::fs::remove_file(&table) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let status = cargo(&["test", "--workspace", "--test", "suite", "--", "chaos::", "--test-threads=1"])
            .env("CHAOS_SECONDS", self.seconds.to_string())
            .env("CHAOS_TABLE", &table)
            .status()?;
        if !status.success() {
            bail!("a promise was not kept; docs/RELIABILITY.md stays as it was");
        }
        let rows = std::fs::read_to_string(&table).context("the scenes have written no table")?;
        let page = root().join("docs/RELIABILITY.md");
        let text = std::fs::read_to_string(&page)?;
        let (before, rest) = text.split_once(BEGIN).context("docs/RELIABILITY.md has no place for the table")?;
        let (_, after) = rest.split_once(END).context("docs/RELIABILITY.md has no end of the table")?;
        std::fs::write(&page, format!("{before}{BEGIN}{HEAD}{rows}{END}{after}"))?;
        Ok(())
    }
}
