use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell that will read them; `plimsoll completions bash > /etc/bash_completion.d/plimsoll`.
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> Result<(), Failure> {
        clap_complete::generate(self.shell, &mut Cli::command(), "plimsoll", &mut std::io::stdout());
        Ok(())
    }
}
