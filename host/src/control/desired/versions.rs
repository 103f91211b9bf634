use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::Config;

/// Versions of the configuration that can be gone back to.
const KEPT: usize = 16;

/// The configurations that were live, with the one that is.
#[derive(Debug, Default)]
pub(in crate::control) struct Versions(VecDeque<Version>);

/// One configuration that was live.
#[derive(Clone, Debug)]
pub(in crate::control) struct Version {
    pub(in crate::control) number: u64,
    pub(in crate::control) config: Arc<Config>,
    pub(in crate::control) since: SystemTime,
    /// Where it came from: `file`, `api`, `rollback`.
    pub(in crate::control) origin: &'static str,
}

impl Versions {
    /// The one that is live.
    pub(in crate::control) fn live(&self) -> Option<&Version> {
        self.0.back()
    }

    /// Number of the one that is live; 0 before the first.
    pub(in crate::control) fn number(&self) -> u64 {
        self.live().map_or(0, |version| version.number)
    }

    /// All of them, newest first.
    pub(in crate::control) fn iter(&self) -> impl Iterator<Item = &Version> {
        self.0.iter().rev()
    }

    /// The one of a number, or the one before the live one.
    pub(super) fn earlier(&self, number: Option<u64>) -> Option<&Version> {
        match number {
            Some(number) => self.iter().find(|known| known.number == number),
            None => self.iter().nth(1),
        }
    }

    /// Notes the configuration that goes live as another version, if it has an origin. Answers the version that is live.
    pub(in crate::control) fn note(&mut self, config: &Arc<Config>, origin: Option<&'static str>) -> u64 {
        let last = self.number();
        let Some(origin) = origin else { return last };
        let number = last + 1;
        self.0.push_back(Version { number, config: config.clone(), since: SystemTime::now(), origin });
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
        number
    }
}
