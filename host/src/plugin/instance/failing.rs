//! What follows from a plugin's failing: it is counted, told, and its guest made again.

use std::sync::Arc;

use super::{Instance, Policy, context_of};
use crate::plugin::breaker::backoff_ms;
use crate::plugin::candidate::is_candidate;
use crate::plugin::create_error::describe_error;
use crate::plugin::events::PluginEvent;
use crate::plugin::fault::{Failure, Fault, FaultKind, FaultReport};
use crate::plugin::live::Live;
use crate::plugin::ticking::Ticking;

impl Instance {
    /// Counts an answer that the host could not use, and says why.
    pub fn invalid_answer(&mut self, policy: u32, reason: impl std::fmt::Display) -> Fault {
        let reason = reason.to_string();
        if let Some(record) = self.policy(policy) {
            record.shard.invalid_answer();
            // Few enough lines: repeated faults are quarantine.
            tracing::error!(
                plugin = &*self.plugin.name,
                version = self.plugin.version,
                role = record.config.role.as_str(),
                scope = &*record.config.scope,
                "plugin gave an answer that cannot be used, {}: {reason}",
                self.consequence()
            );
            self.note(policy, Fault::InvalidAnswer.as_str(), reason);
            let now_ms = self.services.now_ms();
            if self.plugin.breaker.fault(now_ms) {
                self.announce_quarantine();
            }
        }
        Fault::InvalidAnswer
    }

    /// A fault in words.
    pub(in crate::plugin) fn told(&self, fault: Fault) -> String {
        match (fault, &self.last_reason) {
            (Fault::Trapped(_) | Fault::InvalidAnswer, Some(reason)) => reason.clone(),
            _ => fault.to_string(),
        }
    }

    pub(super) fn fault(&mut self, policy: u32, failure: Failure) -> Fault {
        let Failure { kind, reason, details } = failure;
        self.live = None;
        self.consecutive_faults += 1;
        let now_ms = self.services.now_ms();
        self.rebuild_at_ms = now_ms + backoff_ms(self.consecutive_faults);
        if let Some(record) = self.policy(policy) {
            record.shard.trap(kind.as_str());
        }
        let (role, scope) = self.role_and_scope(policy);
        tracing::error!(
            plugin = &*self.plugin.name,
            version = self.plugin.version,
            role,
            scope = &*scope,
            kind = kind.as_str(),
            "plugin failed, {}: {reason}; {details}",
            self.consequence()
        );
        self.note(policy, kind.as_str(), reason);
        if self.plugin.breaker.fault(now_ms) {
            self.announce_quarantine();
        }
        Fault::Trapped(kind)
    }

    fn role_and_scope(&self, policy: u32) -> (&'static str, Arc<str>) {
        let of = |record: &Policy| (record.config.role.as_str(), record.config.scope.clone());
        self.policy(policy).map_or_else(|| ("none", "".into()), of)
    }

    /// Keeps what people are told of a fault.
    fn note(&mut self, policy: u32, kind: &str, reason: String) {
        let (role, scope) = self.role_and_scope(policy);
        self.last_reason = Some(reason.clone());
        let fault = FaultReport {
            at_unix_ms: self.services.unix_ms(),
            role: role.to_owned(),
            scope: scope.to_string(),
            kind: kind.to_owned(),
            reason,
        };
        let event = || PluginEvent::Fault { plugin: self.plugin.name.clone(), fault: fault.clone() };
        self.services.events().tell(event);
        self.plugin.faults.note(fault);
    }

    fn announce_quarantine(&self) {
        self.services.registry().set_plugin_quarantined(&self.plugin.name, true);
        tracing::error!(
            plugin = &*self.plugin.name,
            version = self.plugin.version,
            "plugin is quarantined after repeated faults; load another version, or release it through the admin API"
        );
    }

    pub(super) fn rebuild(&mut self) -> Result<(), Fault> {
        if self.services.now_ms() < self.rebuild_at_ms {
            return Err(Fault::Rebuilding);
        }
        match self.rebuilt() {
            Ok(live) => {
                self.live = Some(live);
                self.services.registry().plugin_rebuilt(&self.plugin.name);
                Ok(())
            }
            Err(reason) => {
                let details = "it was being rebuilt".to_owned();
                Err(self.fault(u32::MAX, Failure { kind: FaultKind::Trap, reason, details }))
            }
        }
    }

    fn rebuilt(&mut self) -> Result<Live, String> {
        let mut live = Live::start(&self.plugin, &self.services).map_err(|error| describe_error(&error))?;
        for (number, record) in (0..).zip(&mut self.policies) {
            let Some(record) = record else { continue };
            let context = context_of(&self.services, self.worker, number, &record.endpoints, &record.tables);
            let plan = live.create(number, &record.config, context).map_err(|error| error.to_string())?;
            let before = std::mem::replace(&mut record.plan, Box::new(()));
            record.plan = live.inherit(record.config.role, plan, before);
            let every_ms = live.tick_ms(record.config.role, &record.plan);
            record.ticking = Ticking::renew(record.ticking.take(), every_ms, self.services.now_ms());
        }
        Ok(live)
    }

    /// What follows from its failing, for people.
    fn consequence(&self) -> &'static str {
        if is_candidate(&self.plugin.name) { "which has no effect" } else { "the host decides in its stead" }
    }
}
