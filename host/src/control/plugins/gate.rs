//! The one gate that every version of a plugin passes before it is live, whichever way it came: uploaded, named by a file,
//! found in the store, or there already and newly used by a configuration. It is held against the conformance suite with the
//! configurations that it is used with. What was judged once is not judged again.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use plimsoll_conformance::{Finding, NO_TIME, NOT_QUICK, Report, SUITE_VERSION, Selection, Settings, Verdict};

use crate::config::Conformance;
use crate::conformance::Component;
use crate::plugin::{Engine, Plugin, PolicyConfig, digest_of};

/// How long a version may be looked at. Nothing waits for it but who wants it live.
const QUICK: Duration = Duration::from_secs(20);
const FULL: Duration = Duration::from_secs(300);
/// Configurations of a role that the suite is run with; further ones are only created.
const MOST_CONFIGURATIONS: usize = 8;
const JUDGEMENTS_KEPT: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// A property of the conformance suite that a plugin does not have.
#[derive(Clone, Debug)]
pub struct Broken {
    pub id: &'static str,
    /// What was promised, and what came of it.
    pub message: String,
}

/// What came of holding a version against the suite.
#[derive(Clone, Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct Judgement {
    /// What it was held against: `quick`, `full` or `off`.
    pub conformance: String,
    /// Properties that held, over all configurations.
    pub passed: usize,
    /// Properties that nothing can be said about.
    pub skipped: Vec<Skipped>,
    /// Roles of which nothing at all can be said, with the reason: whoever has only these has not been tested.
    pub untested: Vec<String>,
    #[serde(skip)]
    pub(in crate::control) broken: Vec<Broken>,
    /// Time ran out before everything had been looked at.
    #[serde(skip)]
    pub(in crate::control) is_cut_short: bool,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Skipped {
    pub properties: Vec<String>,
    pub why: String,
}

/// Judgements of this process, by digest and configuration.
#[derive(Debug)]
pub(in crate::control) struct Gate {
    known: Mutex<LruCache<String, Arc<Judgement>>>,
    /// Digests of versions that the operator wanted all the same.
    exempt: Mutex<BTreeSet<String>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(JUDGEMENTS_KEPT)), exempt: Mutex::default() }
    }
}

impl Gate {
    /// Holds a version against the suite, once with each configuration that it is used with. Takes seconds of processor
    /// time: not for a thread that anything waits for.
    pub(in crate::control) fn judge(
        &self,
        engine: &Engine,
        plugin: &Arc<Plugin>,
        uses: &[PolicyConfig],
        conformance: Conformance,
    ) -> Judgement {
        let (selection, time) = match conformance {
            Conformance::Quick => (Selection::Quick, QUICK),
            Conformance::Full => (Selection::Full, FULL),
            Conformance::Off => return Judgement { conformance: "off".into(), ..Judgement::default() },
        };
        let until = Instant::now() + time;
        let (rounds, further) = rounds(uses);
        let mut whole = Judgement { conformance: conformance.as_str().into(), ..Judgement::default() };
        for round in &rounds {
            let key = key(&plugin.digest, conformance, round);
            let judgement = self.known(&key).unwrap_or_else(|| {
                let judgement = Arc::new(look_at(engine, plugin, round, selection.clone(), until));
                // What was not looked at whole may do better on another day.
                if !judgement.is_cut_short {
                    self.keep(key, judgement.clone());
                }
                judgement
            });
            whole.add(&judgement);
            if !whole.broken.is_empty() || whole.is_cut_short {
                break;
            }
        }
        if further > 0 {
            let why = format!("{further} further configurations were created, and held against nothing");
            whole.skipped.push(Skipped { properties: Vec::new(), why });
        }
        whole
    }

    /// From now on the version is not judged, whatever uses it.
    pub(in crate::control) fn exempt(&self, digest: &str) {
        self.exempt.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.to_owned());
    }

    pub(in crate::control) fn is_exempt(&self, digest: &str) -> bool {
        self.exempt.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    /// What need not be looked at again: judgements of what is sound.
    pub(in crate::control) fn sound(&self) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(_, judgement)| judgement.broken.is_empty()).map(|(key, _)| key.clone()).collect()
    }

    /// Takes over what [`Self::sound`] gave, of an earlier process.
    pub(in crate::control) fn remember(&self, sound: impl IntoIterator<Item = String>) {
        for key in sound {
            let judgement = Judgement { conformance: "earlier".into(), ..Judgement::default() };
            self.keep(key, Arc::new(judgement));
        }
    }

    fn known(&self, key: &str) -> Option<Arc<Judgement>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: String, judgement: Arc<Judgement>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).put(key, judgement);
    }
}

impl Judgement {
    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.is_cut_short |= other.is_cut_short;
        self.broken.extend(other.broken.iter().cloned());
        for untested in &other.untested {
            if !self.untested.contains(untested) {
                self.untested.push(untested.clone());
            }
        }
        for skipped in &other.skipped {
            if !self.skipped.iter().any(|known| known.why == skipped.why) {
                self.skipped.push(skipped.clone());
            }
        }
    }

    fn of(report: Report, is_cut_short: bool, conformance: &str) -> Self {
        let mut judgement = Self { conformance: conformance.to_owned(), is_cut_short, ..Self::default() };
        judgement.untested = report.untested();
        let mut skipped: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Finding { id, verdict, promise, reason, .. } in report.properties {
            let reason = reason.unwrap_or_default();
            match verdict {
                Verdict::Passed => judgement.passed += 1,
                Verdict::Broken => judgement.broken.push(Broken { id, message: format!("{id}: {promise}: {reason}") }),
                // Who asked for a quick run knows that it leaves things out, and profiles are not for everybody.
                Verdict::Skipped if reason == NOT_QUICK || reason.ends_with("is not taken") => {}
                Verdict::Skipped => skipped.entry(reason).or_default().push(id.to_owned()),
            }
        }
        judgement.skipped = skipped.into_iter().map(|(why, properties)| Skipped { properties, why }).collect();
        judgement
    }
}

fn look_at(
    engine: &Engine,
    plugin: &Plugin,
    round: &[PolicyConfig],
    selection: Selection,
    until: Instant,
) -> Judgement {
    let name = selection.to_string();
    let settings =
        Settings { selection, time: Some(until.saturating_duration_since(Instant::now())), ..Settings::default() };
    // What it does on trial is not held against the one that serves.
    let component = Component::new(engine.clone(), Arc::new(plugin.apart()), round.to_vec()).until(until);
    let report = component.run(&settings);
    let is_cut_short = Instant::now() >= until;
    Judgement::of(report, is_cut_short, &name)
}

/// One configuration of each role at a time, until all are through; and how many are left out.
fn rounds(uses: &[PolicyConfig]) -> (Vec<Vec<PolicyConfig>>, usize) {
    let mut by_role: BTreeMap<_, Vec<&PolicyConfig>> = BTreeMap::new();
    for policy in uses {
        let of_role = by_role.entry(policy.role).or_default();
        if !of_role.iter().any(|known| known.config == policy.config) {
            of_role.push(policy);
        }
    }
    let most = by_role.values().map(Vec::len).max().unwrap_or(0).max(1);
    let round = |number: usize| {
        by_role
            .values()
            .filter_map(|of_role| of_role.get(number).or_else(|| of_role.first()))
            .map(|policy| (*policy).clone())
            .collect()
    };
    let further = by_role.values().map(|of_role| of_role.len().saturating_sub(MOST_CONFIGURATIONS)).sum();
    ((0..most.min(MOST_CONFIGURATIONS)).map(round).collect(), further)
}

fn key(digest: &str, conformance: Conformance, round: &[PolicyConfig]) -> String {
    let configs: Vec<String> = round.iter().map(|policy| format!("{} {}", policy.role, policy.config)).collect();
    let of_configs = digest_of(configs.join("\n").as_bytes());
    format!("{} {} {digest} {of_configs}", *SUITE_VERSION, conformance.as_str())
}

impl Judgement {
    /// Properties that there was no time for.
    pub(in crate::control) fn left_out(&self) -> String {
        let left = self.skipped.iter().filter(|skipped| skipped.why == NO_TIME).flat_map(|skipped| &skipped.properties);
        let left: Vec<&str> = left.map(String::as_str).collect();
        if left.is_empty() { "further configurations".to_owned() } else { left.join(", ") }
    }
}
