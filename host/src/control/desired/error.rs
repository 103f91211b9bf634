use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::config::{Config, ConfigErrors};
use crate::control::beside::Panicked;
use crate::control::mistake::Mistake;

/// Why a configuration did not become live. The one that was live still is.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error("listening on {address} failed: {error}{}", advice(error))]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error("the engine does not start: {0}")]
    Engine(anyhow::Error),
    #[error("the proxy was started without a configuration file, so there is none to save to")]
    NoFile,
    #[error(
        "the uploaded version of {0} would not be there after a restart: `plugins_dir` says where uploads are kept, or name \
         a file under `plugins`"
    )]
    NotKept(String),
    #[error("it is live, but writing {path} failed: {error}")]
    Save { path: String, error: std::io::Error },
    #[error("there is no version {0} to go back to")]
    NoSuchVersion(u64),
    #[error("version {live} is live by now, which is not what this change was made from")]
    Outdated { live: u64 },
    #[error("a worker has ended")]
    WorkerGone,
    #[error("{0}")]
    Panicked(#[from] Panicked),
}

/// What to do when an address cannot be listened on.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "; ports below 1024 take root or the capability CAP_NET_BIND_SERVICE: \
             sudo setcap cap_net_bind_service=+ep $(command -v plimsoll), or AmbientCapabilities=CAP_NET_BIND_SERVICE in a \
             unit of systemd"
        }
        ErrorKind::AddrInUse => "; another program listens there, which `ss -ltunp` names",
        ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

impl ApplyError {
    /// What plugins, and what the configuration uses of them, have found.
    pub(in crate::control) fn of(config: &Config, mistakes: Vec<Mistake>) -> Self {
        let mistakes = mistakes.into_iter().map(|mistake| (mistake.pointer, mistake.message));
        Self::Config(config.source.errors(mistakes))
    }

    /// An error if there are mistakes.
    pub(in crate::control) fn if_any(config: &Config, mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() { Ok(()) } else { Err(Self::of(config, mistakes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_about_a_port_is_said() {
        let told =
            |kind: ErrorKind| ApplyError::Bind { address: ([0, 0, 0, 0], 443).into(), error: kind.into() }.to_string();
        assert!(told(ErrorKind::PermissionDenied).contains("setcap cap_net_bind_service=+ep"));
        assert!(told(ErrorKind::AddrInUse).contains("`ss -ltunp`"));
        assert!(told(ErrorKind::Other).starts_with("listening on 0.0.0.0:443 failed"));
    }
}
