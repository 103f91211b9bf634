//! A candidate beside the live version of a plugin: it decides on live traffic, without effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::conditions::{Conditions, ShadowDecisions, Verdict};
use super::error::PluginError;
use super::shadows::{Running, Shadow, ShadowReport, ShadowRole, ShadowState};
use super::version::Upload;
use crate::control::beside::beside;
use crate::control::membership::Event;
use crate::control::state::Control;
use crate::plugin::{BreakerState, Plugin, Role, SHADOWED};
use crate::worker::Command;

/// How often it is looked at how a candidate does.
const LOOK: Duration = Duration::from_secs(1);

impl Control {
    /// Puts a version of a plugin beside the live one, once it has passed the gate that every upload passes. It takes the place
    /// of a candidate that was there.
    pub async fn shadow_plugin(
        self: &Arc<Self>,
        upload: Upload,
        conditions: Conditions,
    ) -> Result<ShadowReport, PluginError> {
        let name = upload.name.clone();
        let looked_at = self.look_at_shadow(&upload).await?;
        let _one_at_a_time = self.changing.lock().await;
        let live = self.lock().plugins.get(&*name).and_then(|entry| entry.live.clone());
        let live = live.ok_or_else(|| PluginError::NothingToShadow(name.clone()))?;
        if live.digest == looked_at.digest {
            return Err(PluginError::IsLive(name));
        }
        if self.lock().recordings.is_running(&name) {
            return Err(PluginError::IsAccompanied(name));
        }
        let live_before = self.call_times(&name);
        if live_before.is_empty() {
            return Err(PluginError::NothingToShadow(name));
        }
        let candidate = Arc::new(looked_at.as_candidate());
        self.end_shadow(&name, ShadowState::Superseded, Some("another candidate was sent".into()));
        let running = Running {
            upload,
            candidate: candidate.clone(),
            live: live.digest.clone(),
            differences: Arc::default(),
            beside: BTreeSet::new(),
            conditions,
            promotion: None,
            since: Instant::now(),
            since_unix_seconds: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            live_before,
        };
        self.extend_shadow(&name, &running).await?;
        tracing::info!(
            target: "audit",
            plugin = name,
            version = candidate.version,
            digest = candidate.digest,
            by = running.upload.by,
            "candidate is in shadow"
        );
        tokio::spawn(watch(Arc::downgrade(self), name.clone(), Arc::downgrade(&candidate)));
        let report = self.running_report(&name, &running);
        self.events.tell(event(&name, &report));
        Ok(report)
    }

    /// Makes the candidate of a plugin live, as an upload does.
    pub async fn promote_plugin(self: &Arc<Self>, name: &str) -> Result<(), PluginError> {
        let running = self.lock().shadows.running(name).map(|now| (now.upload.clone(), now.candidate.clone()));
        let (upload, candidate) = running.ok_or_else(|| PluginError::NoShadow(name.to_owned()))?;
        self.load_plugin_if(upload, |control| {
            let is_there = control.is_in_shadow(name, &candidate);
            if is_there { Ok(()) } else { Err(PluginError::NoShadow(name.to_owned())) }
        })
        .await
    }

    /// Ends the shadow of a plugin. Answers how its candidate did.
    pub async fn delete_shadow(self: &Arc<Self>, name: &str) -> Result<ShadowReport, PluginError> {
        let _one_at_a_time = self.changing.lock().await;
        self.end_shadow(name, ShadowState::Deleted, None).ok_or_else(|| PluginError::NoShadow(name.to_owned()))
    }

    /// After a change: candidates stand beside new instances too, and those end whose live version is another now, or that do
    /// not work with what is configured now.
    pub(in crate::control) async fn renew_shadows(self: &Arc<Self>) {
        let all = self.lock().shadows.all_running();
        for name in all {
            let (running, live) = {
                let state = self.lock();
                let live = state.plugins.get(&name).and_then(|entry| entry.live.as_ref());
                (state.shadows.running(&name).cloned(), live.map(|live| live.digest.clone()).unwrap_or_default())
            };
            let Some(running) = running else { continue };
            if live == running.candidate.digest {
                self.end_shadow(&name, ShadowState::Promoted, running.promotion);
            } else if live != running.live {
                self.end_shadow(&name, ShadowState::Superseded, None);
            } else if self.call_times(&name).is_empty() {
                self.end_shadow(&name, ShadowState::Unfit, Some("it is not used any more".into()));
            } else if let Err(error) = self.extend_shadow(&name, &running).await {
                self.end_shadow(&name, ShadowState::Unfit, Some(error.told_whole()));
            }
        }
    }

    /// Has a candidate stand beside all instances that there are now.
    async fn extend_shadow(self: &Arc<Self>, name: &str, running: &Running) -> Result<(), PluginError> {
        let making = {
            let (control, name) = (self.clone(), name.to_owned());
            let (candidate, known) = (running.candidate.clone(), running.beside.clone());
            beside("preparing the candidate", move || control.make_candidates(&name, &candidate, &known))
        };
        let made = making.await?.map_err(PluginError::from)?;
        {
            let mut state = self.lock();
            if state.shadows.running(name).is_none() {
                state.shadows.put(name, Shadow::Running(Box::new(running.clone())));
            }
            state.shadows.stands_beside(name, made.beside.clone());
        }
        self.send_candidates(made, &running.differences).await;
        Ok(())
    }

    /// Ends the shadow of a plugin on all workers, if there is one. Answers how its candidate did.
    pub(super) fn end_shadow(&self, name: &str, state: ShadowState, reason: Option<String>) -> Option<ShadowReport> {
        let running = self.lock().shadows.running(name).cloned()?;
        let report = ShadowReport { state, reason, ..self.running_report(name, &running) };
        self.lock().shadows.put(name, Shadow::Ended(Box::new(report.clone())));
        self.send_to_workers(|| Command::EndShadow(running.differences.clone()));
        self.registry.forget_shadow(name, &running.candidate.name);
        if let Some(end) = state.end() {
            self.registry.shadow_ended(name, end);
        }
        self.events.tell(event(name, &report));
        tracing::info!(
            target: "audit",
            plugin = name,
            version = report.version,
            digest = report.digest,
            state = report.state.as_str(),
            reason = report.reason.as_deref().unwrap_or_default(),
            "candidate is no longer in shadow"
        );
        Some(report)
    }

    /// Ends a shadow that is to end by itself, or promotes its candidate. Answers whether there is anything left to look at.
    async fn look_at_candidate(self: &Arc<Self>, name: &str, candidate: &Arc<Plugin>) -> bool {
        {
            let _one_at_a_time = self.changing.lock().await;
            if !self.is_in_shadow(name, candidate) {
                return false;
            }
            if candidate.breaker.state(self.services.now_ms()) == BreakerState::Quarantined {
                self.end_shadow(name, ShadowState::Faulty, None);
                return false;
            }
            let Some(running) = self.lock().shadows.running(name).cloned() else { return false };
            let report = self.running_report(name, &running);
            let decisions: Vec<ShadowDecisions> = report.roles.values().map(|role| role.decisions).collect();
            match running.conditions.verdict(&decisions, report.faults.values().sum(), running.since.elapsed()) {
                None => return true,
                Some(Verdict::Abort(reason)) => {
                    self.end_shadow(name, ShadowState::Aborted, Some(reason));
                    return false;
                }
                Some(Verdict::Promote(reason)) => self.lock().shadows.is_to_be_promoted(name, reason),
            }
        }
        match self.promote_plugin(name).await {
            // Tried again at the next look.
            Err(PluginError::Busy) => true,
            Err(error) => {
                let _one_at_a_time = self.changing.lock().await;
                if self.is_in_shadow(name, candidate) {
                    let reason = format!("it was to be promoted and could not be: {}", error.told_whole());
                    self.end_shadow(name, ShadowState::Aborted, Some(reason));
                }
                false
            }
            Ok(()) => false,
        }
    }

    fn is_in_shadow(&self, name: &str, candidate: &Arc<Plugin>) -> bool {
        self.lock().shadows.running(name).is_some_and(|now| Arc::ptr_eq(&now.candidate, candidate))
    }

    /// How the candidate of a plugin does, or how the last one did.
    pub(in crate::control) fn shadow_report(&self, plugin: &str) -> Option<ShadowReport> {
        let running = match self.lock().shadows.get(plugin)? {
            Shadow::Ended(report) => return Some((**report).clone()),
            Shadow::Running(running) => running.clone(),
        };
        Some(self.running_report(plugin, &running))
    }

    fn running_report(&self, plugin: &str, running: &Running) -> ShadowReport {
        let candidate = &running.candidate;
        let roles = running.live_before.iter().map(|(role, before)| {
            let [same, different, candidate_faults, live_faults] =
                self.registry.shadow_decisions(plugin, role.as_str());
            let (live, live_seconds) = self.registry.plugin_call_time(plugin, role.as_str());
            let (calls, seconds) = self.registry.plugin_call_time(&candidate.name, role.as_str());
            let report = ShadowRole {
                decisions: ShadowDecisions { same, different, candidate_faults, live_faults },
                live_call_us: mean_us(live.saturating_sub(before.0), live_seconds - before.1),
                candidate_call_us: mean_us(calls, seconds),
            };
            (role.to_string(), report)
        });
        let faults = self.registry.plugin_faults(&candidate.name).into_iter();
        ShadowReport {
            state: ShadowState::Running,
            reason: None,
            conditions: running.conditions,
            version: candidate.version.clone(),
            digest: candidate.digest.clone(),
            live_digest: running.live.clone(),
            since_unix_seconds: running.since_unix_seconds,
            by: running.upload.by.clone(),
            roles: roles.collect(),
            faults: faults.map(|(kind, count)| (kind.to_owned(), count)).collect(),
            recent_faults: candidate.faults.to_vec(),
            differences: running.differences.to_vec(),
        }
    }

    /// Whether a plugin is used in a role that a candidate can have.
    pub(super) fn is_shadowed(&self, plugin: &str) -> bool {
        !self.call_times(plugin).is_empty()
    }

    /// What the live version of a plugin has taken so far, in the roles that it is used in and a candidate can have.
    fn call_times(&self, plugin: &str) -> BTreeMap<Role, (u64, f64)> {
        let uses = self.lock().uses.data.get(plugin).cloned().unwrap_or_default();
        let roles = SHADOWED.into_iter().filter(|role| uses.iter().any(|used| used.role == *role));
        roles.map(|role| (role, self.registry.plugin_call_time(plugin, role.as_str()))).collect()
    }
}

/// Looks at a candidate for as long as it decides.
async fn watch(control: Weak<Control>, name: String, candidate: Weak<Plugin>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (Some(control), Some(candidate)) = (control.upgrade(), candidate.upgrade()) else { return };
        if !control.look_at_candidate(&name, &candidate).await {
            return;
        }
    }
}

fn event(plugin: &str, report: &ShadowReport) -> Event {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Event::Shadow {
        at_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        plugin: plugin.to_owned(),
        state: report.state.as_str().to_owned(),
        reason: report.reason.clone(),
        version: report.version.clone(),
        digest: report.digest.clone(),
    }
}

fn mean_us(calls: u64, seconds: f64) -> Option<f64> {
    (calls > 0).then(|| (seconds / calls as f64 * 1e9).round() / 1e3)
}
