//! Policies of workers that want to hear that time passes.

use super::Instance;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;

impl Instance {
    /// Ticks what is due, and answers when something is again. Late ones are not made up for.
    pub fn tick(&mut self, now_ms: u64) -> Option<u64> {
        for policy in self.due(now_ms) {
            // The fault, if any, is counted.
            let _ = self.tick_policy(policy, Call::off_request_path("tick"));
        }
        self.next_due()
    }

    /// Policies of which a tick is due now.
    pub(in crate::plugin) fn due(&mut self, now_ms: u64) -> Vec<u32> {
        let is_due = |record: &mut super::Policy| record.ticking.as_mut().is_some_and(|ticking| ticking.is_due(now_ms));
        let numbered = (0..).zip(&mut self.policies);
        numbered.filter_map(|(number, record)| is_due(record.as_mut()?).then_some(number)).collect()
    }

    pub(in crate::plugin) fn next_due(&self) -> Option<u64> {
        self.numbered().filter_map(|(_, record)| Some(record.ticking.as_ref()?.next_ms)).min()
    }

    /// Whether a policy wants ticks.
    pub(in crate::plugin) fn ticks(&self, policy: u32) -> bool {
        self.policy(policy).is_some_and(|record| record.ticking.is_some())
    }

    pub(in crate::plugin) fn tick_policy(&mut self, policy: u32, call: Call) -> Result<(), Fault> {
        let Some(role) = self.policy(policy).map(|record| record.config.role) else { return Ok(()) };
        let now_ms = self.services.now_ms();
        self.call(policy, call, |live, policy| live.tick(role, policy, now_ms))
    }
}
