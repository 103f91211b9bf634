//! `plimsoll plugin`: begin a plugin, build it, look into one, export one, hold one against the suite.

mod admin;
mod build;
mod claims;
mod compose;
mod credentials;
mod dev;
mod export;
mod inspect;
mod language;
mod new;
mod print;
mod progress;
mod push;
mod registry;
mod replay;
mod test;

use clap::Subcommand;

use super::failure::Failure;

/// Make, build and look at plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Begin a plugin: a crate that builds and passes its own tests.
    New(new::New),
    /// Compile a plugin crate to a component.
    Build(build::BuildArgs),
    /// Show what a component is: roles, imports, size, digest and configuration.
    Inspect(inspect::Inspect),
    /// Write the component of a plugin that ships with the proxy to a file, to look into it or to build upon it.
    Export(export::Export),
    /// Make one component of two: one that wraps a role, and the plugin that it wraps, a built-in one or another.
    Compose(compose::Compose),
    /// Print the contract between the proxy and plugins, as WIT, for plugins in other languages.
    Wit(export::Wit),
    /// Build, test and upload a plugin whenever its sources change, and show what it says and how it fails.
    Dev(dev::Dev),
    /// Hold a component against the conformance suite: what must be true of every plugin of its roles.
    Test(test::Test),
    /// Put a component, and its signature, into an OCI registry.
    Push(push::Push),
    /// Get a component, and its signature, from an OCI registry.
    Pull(push::Pull),
    /// Play a recording of live traffic to a version of a plugin, and tell how it decides otherwise.
    Replay(replay::Replay),
}

impl PluginCommand {
    pub(super) fn execute(self) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.execute(),
            Self::Build(build) => Ok(build.execute()?),
            Self::Inspect(inspect) => Ok(inspect.execute()?),
            Self::Export(export) => export.execute(),
            Self::Compose(compose) => Ok(compose.execute()?),
            Self::Wit(wit) => Ok(wit.execute()?),
            Self::Dev(dev) => dev.execute(),
            Self::Test(test) => test.execute(),
            Self::Push(push) => Ok(push.execute()?),
            Self::Pull(pull) => Ok(pull.execute()?),
            Self::Replay(replay) => replay.execute(),
        }
    }
}
