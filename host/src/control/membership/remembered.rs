//! What is remembered of endpoints for the next start: what operators have said of them, and who was out by its probes.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::io::{put_aside, read_bounded};
use crate::snapshot::Wishes;

/// Largest file of state.
const FILE_BYTES: u64 = 16 << 20;
/// What probes said longer ago is not believed.
const HEALTH_LASTS: Duration = Duration::from_secs(600);

/// Where state is kept, and when there is something new to keep.
#[derive(Debug, Default)]
pub(in crate::control) struct Remembering {
    pub(super) path: OnceLock<PathBuf>,
    pub(super) changed: Notify,
}

impl Remembering {
    pub(in crate::control) fn changed(&self) {
        self.changed.notify_one();
    }
}

/// What the file says, by cluster and id of the endpoint; only of those of whom there is something to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) struct Remembered {
    pub(super) written_unix_ms: u64,
    pub(super) clusters: BTreeMap<String, BTreeMap<String, RememberedEndpoint>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RememberedEndpoint {
    pub(super) address: SocketAddr,
    /// The operator's, in the place of the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<u32>,
    /// By the configuration of that time.
    pub(super) configured_weight: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) draining: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) disabled: bool,
    /// How it wants to be treated itself.
    #[serde(default, skip_serializing_if = "Wishes::is_empty")]
    pub(super) wishes: Wishes,
    /// Why probes speak against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unhealthy: Option<String>,
}

impl RememberedEndpoint {
    fn forget_probes(&mut self) {
        (self.unhealthy, self.wishes) = (None, Wishes::default());
    }
}

impl Remembered {
    /// What a file keeps. One that is damaged is told and put aside. What probes said too long ago is forgotten.
    pub(super) fn read(path: &Path) -> Self {
        let shown = path.display();
        let text = match read_bounded(path, FILE_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::error!(
                    "reading {shown} failed, the state of endpoints that was kept there is missing: {error}"
                );
                return Self::default();
            }
        };
        let mut read: Self = serde_json::from_slice(&text).unwrap_or_else(|error| {
            let aside = put_aside(path);
            tracing::error!(
                "{shown} is damaged, the state of endpoints that was kept there is missing; {aside}: {error}"
            );
            Self::default()
        });
        let age_ms = unix_ms().abs_diff(read.written_unix_ms);
        if u128::from(age_ms) > HEALTH_LASTS.as_millis() {
            read.clusters.values_mut().flat_map(BTreeMap::values_mut).for_each(RememberedEndpoint::forget_probes);
        }
        read
    }

    pub(super) fn get(&self, cluster: &str, id: &str, address: SocketAddr) -> Option<&RememberedEndpoint> {
        self.clusters.get(cluster)?.get(id).filter(|endpoint| endpoint.address == address)
    }

    pub(super) fn says_who_is_out(&self) -> bool {
        self.clusters.values().flat_map(BTreeMap::values).any(|endpoint| endpoint.unhealthy.is_some())
    }
}

pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Mode;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("plimsoll-state-{}-{name}.json", std::process::id()));
        std::fs::write(&path, text).expect("room for a file");
        path
    }

    fn read_with_age(name: &str, age: Duration) -> Remembered {
        let written = unix_ms() - age.as_millis() as u64;
        let text = format!(
            r#"{{"written_unix_ms":{written},"clusters":{{"app":{{"a":{{"address":"10.0.0.1:80","configured_weight":1,
                "draining":true,"wishes":{{"mode":"disabled","weight":500}},"unhealthy":"refused","of a later version":1}}}}}}}}"#
        );
        let path = file(name, &text);
        let read = Remembered::read(&path);
        let _ = std::fs::remove_file(path);
        read
    }

    #[test]
    fn what_probes_said_is_believed_for_a_time_and_what_operators_said_for_ever() {
        let address = "10.0.0.1:80".parse().expect("an address");
        let fresh = read_with_age("fresh", HEALTH_LASTS / 2);
        let endpoint = fresh.get("app", "a", address).expect("it is there");
        let wishes = Wishes { mode: Some(Mode::Disabled), weight: Some(500), max_connections: None };
        let said = |endpoint: &RememberedEndpoint| (endpoint.unhealthy.clone(), endpoint.wishes, endpoint.draining);
        assert_eq!(said(endpoint), (Some("refused".to_owned()), wishes, true));
        let stale = read_with_age("stale", HEALTH_LASTS * 2);
        let endpoint = stale.get("app", "a", address).expect("it is there");
        assert_eq!(said(endpoint), (None, Wishes::default(), true));
        assert!(stale.get("app", "a", "10.0.0.2:80".parse().expect("an address")).is_none(), "that is another one");
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let path = file("damaged", "{");
        assert_eq!(Remembered::read(&path), Remembered::default());
        assert!(!path.exists());
        let aside = std::fs::read_dir(path.parent().expect("a directory")).expect("a directory").flatten();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        for entry in aside.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
