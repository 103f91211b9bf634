//! Probers of the conformance suite that are sound, or break one property.

use std::cell::RefCell;

use mutant::suite::{self, ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Prober};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::prober::{Action, Event, Guest, HttpRequest, Plan, Target, Transport, Verdict};
use plimsoll_sdk::ConfigError;

struct Component;

thread_local! {
    static PROBERS: RefCell<Policies<mutants::prober::Native, dyn Prober>> = const { RefCell::new(Policies::new()) };
}

fn call<T>(policy: u32, call: impl FnOnce(&mut mutant::Policy<dyn Prober>) -> Result<T, String>) -> T {
    PROBERS.with_borrow_mut(|policies| policies.call(policy, call))
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        PROBERS.with_borrow_mut(|policies| {
            let prober = policies.create(policy, &config, |instance| Ok(instance.prober()))?;
            let transport = match prober.transport() {
                suite::Transport::Tcp => Transport::Tcp,
                suite::Transport::Udp => Transport::Udp,
                suite::Transport::Http => Transport::Http,
            };
            Ok(Plan { transport, tls: None, more: Vec::new() })
        })
    }

    fn destroy(_: u32) {}

    fn open(policy: u32, session: u32, target: Target) -> Vec<Action> {
        let Target { address, id, cluster } = target;
        let target = suite::Target { address, id, cluster };
        actions(call(policy, |p| p.living.open(session, &target)))
    }

    fn advance(policy: u32, session: u32, event: Event) -> Vec<Action> {
        let event = match event {
            Event::Connected => ProbeEvent::Connected,
            Event::Received(bytes) => ProbeEvent::Received(bytes),
            Event::Closed => ProbeEvent::Closed,
            // Nobody asked for it.
            Event::Secured(_) | Event::Waited => return Vec::new(),
            Event::Answered(answer) => {
                let headers = answer.headers.into_iter().map(|header| (header.name, header.value)).collect();
                ProbeEvent::Answered(ProbeResponse { status: answer.status, headers, body: answer.body })
            }
        };
        actions(call(policy, |p| p.living.advance(session, &event)))
    }

    fn close(policy: u32, session: u32) {
        call(policy, |p| p.living.close(session));
    }
}

fn actions(actions: Vec<ProbeAction>) -> Vec<Action> {
    let action = |action| match action {
        ProbeAction::Send(bytes) => Action::Send(bytes),
        ProbeAction::Exchange(ProbeRequest { method, path, headers, body }) => {
            Action::Exchange(HttpRequest { method, path, headers: mutant::headers(headers), body })
        }
        ProbeAction::Finish { passed, detail } => Action::Finish(Verdict { passed, detail }),
    };
    actions.into_iter().map(action).collect()
}

mutant::component!(Component, PROBERS, prober, export_prober);
