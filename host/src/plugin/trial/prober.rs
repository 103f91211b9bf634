use super::policy::PolicyOnTrial;
use crate::plugin::roles::{ProbeAction, ProbeEvent, ProberGuest, Target};

impl PolicyOnTrial {
    pub fn open(&self, session: u32, target: &Target) -> Result<Vec<ProbeAction>, String> {
        self.ask("open", |prober: &ProberGuest, store, policy| prober.open(store, policy, session, target))
    }

    pub fn advance(&self, session: u32, event: ProbeEvent) -> Result<Vec<ProbeAction>, String> {
        self.ask("advance", |prober: &ProberGuest, store, policy| prober.advance(store, policy, session, event))
    }

    /// With the fault that a probe in service only counts.
    pub fn close(&self, session: u32) -> Result<(), String> {
        self.ask("close", |prober: &ProberGuest, store, policy| prober.close(store, policy, session))
    }
}
