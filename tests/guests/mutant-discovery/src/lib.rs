//! Discoveries of the conformance suite that are sound, or break one property.

use std::cell::RefCell;

use mutant::suite::{Discovery, DiscoveryAction, Reply};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::discovery::{Action, Answer, CallError, Guest, Plan};
use plimsoll_sdk::{ConfigError, FoundEndpoint, OutwardCall};

struct Component;

thread_local! {
    static DISCOVERIES: RefCell<Policies<mutants::discovery::Native, dyn Discovery>> =
        const { RefCell::new(Policies::new()) };
}

fn call<T>(policy: u32, call: impl FnOnce(&mut mutant::Policy<dyn Discovery>) -> Result<T, String>) -> T {
    DISCOVERIES.with_borrow_mut(|policies| policies.call(policy, call))
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        DISCOVERIES.with_borrow_mut(|policies| {
            let discovery = policies.create(policy, &config, |instance| instance.discovery(&config))?;
            let tick_ms = discovery.tick_ms().map(|ms| ms as u32);
            Ok(Plan { clusters: vec!["registry".to_owned()], tick_ms, more: Vec::new() })
        })
    }

    fn destroy(_: u32) {}

    fn tick(policy: u32, now_ms: u64) -> Vec<Action> {
        actions(call(policy, |p| p.living.tick(now_ms)))
    }

    fn answered(policy: u32, now_ms: u64, number: u32, answer: Result<Answer, CallError>) -> Vec<Action> {
        let reply = match answer {
            Ok(Answer { status, body, .. }) => Reply::Answer { status, body },
            Err(CallError::Unavailable) => Reply::Unavailable,
            Err(CallError::Timeout) => Reply::Timeout,
            Err(CallError::Broken) => Reply::Broken,
            Err(CallError::TooLarge) => Reply::TooLarge,
        };
        actions(call(policy, |p| p.living.answered(now_ms, number, &reply)))
    }
}

fn actions(wanted: Vec<DiscoveryAction>) -> Vec<Action> {
    let action = |wanted| match wanted {
        DiscoveryAction::Call { number, timeout_ms, asks } => {
            let path = asks.split(' ').nth(1).unwrap_or("/").to_owned();
            Action::Call(OutwardCall { timeout_ms: timeout_ms as u32, ..OutwardCall::get(number, 0, path) })
        }
        DiscoveryAction::Publish(found) => {
            Action::Publish(found.into_iter().map(|(_, address)| FoundEndpoint::at(address)).collect())
        }
        DiscoveryAction::Fail(why) => Action::Fail(why),
        // What nobody can take.
        DiscoveryAction::Invalid(_) => Action::Publish(vec![FoundEndpoint::at("10.0.0.1:1"); 2]),
    };
    wanted.into_iter().map(action).collect()
}

mutant::component!(Component, DISCOVERIES, discovery, export_discovery);
