use super::{PolicyOnTrial, no_such_role};
use crate::plugin::api::v0_1::exports::plimsoll::plugin::prober as wit;
use crate::plugin::fault::Fault;
use crate::plugin::prober::{ProbeAction, ProbeEvent, Target};

impl PolicyOnTrial {
    pub fn open(&self, session: u32, target: Target) -> Result<Vec<ProbeAction>, Fault> {
        let target = wit::Target { address: target.address, id: target.id, cluster: target.cluster };
        let actions = self.call(|live, policy| {
            let Some(prober) = &live.prober else { return Err(no_such_role()) };
            prober.call_open(&mut live.store, policy, session, &target)
        })?;
        Ok(actions.into_iter().map(ProbeAction::from).collect())
    }

    pub fn advance(&self, session: u32, event: ProbeEvent) -> Result<Vec<ProbeAction>, Fault> {
        let event = wit::Event::from(event);
        let actions = self.call(|live, policy| {
            let Some(prober) = &live.prober else { return Err(no_such_role()) };
            prober.call_advance(&mut live.store, policy, session, &event)
        })?;
        Ok(actions.into_iter().map(ProbeAction::from).collect())
    }

    /// With the fault that a probe in service only counts.
    pub fn close(&self, session: u32) -> Result<(), Fault> {
        self.call(|live, policy| {
            let Some(prober) = &live.prober else { return Err(no_such_role()) };
            prober.call_close(&mut live.store, policy, session)
        })
    }
}
