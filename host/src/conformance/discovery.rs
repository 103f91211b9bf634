use plimsoll_conformance as suite;

use super::endpoints::text;
use super::policy::UnderTest;
use crate::config;
use crate::plugin::{DiscoveryAction, DiscoveryPlan, OutwardAnswer, OutwardError};

impl suite::Discovery for UnderTest<DiscoveryPlan> {
    fn tick_ms(&self) -> Option<u64> {
        self.role.tick.map(|tick| tick.as_millis() as u64)
    }

    fn tick(&mut self, now_ms: u64) -> Result<Vec<suite::DiscoveryAction>, String> {
        let wanted = self.trial.discovery_tick(now_ms, self.role.clusters.len()).map_err(text)?;
        Ok(wanted.into_iter().map(action).collect())
    }

    fn answered(
        &mut self,
        now_ms: u64,
        number: u32,
        reply: &suite::Reply,
    ) -> Result<Vec<suite::DiscoveryAction>, String> {
        let answer = match reply {
            suite::Reply::Answer { status, body } => {
                Ok(OutwardAnswer { status: *status, headers: Vec::new(), body: body.clone() })
            }
            suite::Reply::Unavailable => Err(OutwardError::Unavailable),
            suite::Reply::Timeout => Err(OutwardError::Timeout),
            suite::Reply::Broken => Err(OutwardError::Broken),
            suite::Reply::TooLarge => Err(OutwardError::TooLarge),
        };
        let wanted = self.trial.discovery_answered(now_ms, (number, answer), self.role.clusters.len()).map_err(text)?;
        Ok(wanted.into_iter().map(action).collect())
    }
}

fn action(wanted: Result<DiscoveryAction, String>) -> suite::DiscoveryAction {
    match wanted {
        Ok(DiscoveryAction::Call(call)) => suite::DiscoveryAction::Call {
            number: call.number,
            timeout_ms: call.timeout.as_millis() as u64,
            asks: format!("{} {}", call.method, call.path),
        },
        Ok(DiscoveryAction::Publish(found)) => match config::check_endpoints(found, 0) {
            Ok(endpoints) => suite::DiscoveryAction::Publish(
                endpoints.iter().map(|endpoint| (endpoint.id.clone(), endpoint.address.to_string())).collect(),
            ),
            Err(mistake) => suite::DiscoveryAction::Invalid(mistake),
        },
        Ok(DiscoveryAction::Fail(why)) => suite::DiscoveryAction::Fail(why),
        Err(mistake) => suite::DiscoveryAction::Invalid(mistake),
    }
}
