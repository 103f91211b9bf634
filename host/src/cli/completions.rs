use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell that will read them; `plimsoll completions bash > /etc/bash_completion.d/plimsoll`.
    shell: Shell,
}

impl Completions {
    /// For this program.
    pub(super) fn execute(self, mut program: Command) -> Result<(), Failure> {
        clap_complete::generate(self.shell, &mut program, "plimsoll", &mut std::io::stdout());
        Ok(())
    }
}
