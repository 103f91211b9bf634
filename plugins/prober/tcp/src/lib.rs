//! Probes by connecting, and if configured by what the peer says to what is sent.

mod bytes;
mod expect;

pub use bytes::Bytes;
pub use expect::Expect;
use expect::Found;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Tls, Transport};
use talk::MOST_RECEIVED;

/// What to send and what to expect. With neither, a connection is enough.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes to send once connected.
    send: Option<Bytes>,
    expect: Option<Expect>,
    /// What follows, one after the other, once what was expected before has come.
    then: Vec<Step>,
}

/// Something to send, then something to expect, then TLS to begin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    send: Option<Bytes>,
    expect: Option<Expect>,
    /// Whether all that follows is within TLS, as the probe's or the cluster's is.
    start_tls: bool,
}

/// More is no probe.
const MOST_STEPS: usize = 16;
const MOST_SENT: usize = 4096;

/// Connects, and may talk.
#[derive(Debug)]
pub struct Tcp {
    steps: Vec<Step>,
}

/// A talk under way.
#[derive(Debug, Default)]
pub struct Session {
    at: usize,
    /// What was received and belongs to no step yet.
    received: Vec<u8>,
    /// Whether TLS has been asked for and is not there yet.
    shakes_hands: bool,
}

impl Prober for Tcp {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let Config { send, expect, then } = config;
        let mut errors = ConfigErrors::new();
        if then.len() >= MOST_STEPS {
            errors.push("/then", format_args!("expected up to {} further steps", MOST_STEPS - 1));
        }
        let first = Step { send, expect, start_tls: false };
        first.check("", &mut errors);
        for (index, step) in then.iter().enumerate() {
            let at = plimsoll_sdk::pointer("/then", index);
            if step.send.is_none() && step.expect.is_none() && !step.start_tls {
                errors.push(at.as_str(), "expected `send`, `expect` or `start_tls`");
            }
            step.check(&at, &mut errors);
        }
        if then.iter().filter(|step| step.start_tls).count() > 1 {
            errors.push("/then", "TLS begins once");
        }
        errors.or(Self { steps: [first].into_iter().chain(then).collect() })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn tls(&self) -> Option<Tls> {
        let begins = self.steps.iter().any(|step| step.start_tls);
        begins.then(|| Tls { server_name: None, application_protocols: Vec::new(), verify: true })
    }

    fn open(&mut self, _target: &Target) -> (Session, Vec<ProbeAction>) {
        (Session::default(), Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Connected => {
                let mut actions = Vec::new();
                self.send(session, &mut actions);
                self.go_on(session, &mut actions);
                actions
            }
            ProbeEvent::Secured(_) => {
                session.shakes_hands = false;
                let mut actions = Vec::new();
                self.enter_next(session, &mut actions);
                self.go_on(session, &mut actions);
                actions
            }
            ProbeEvent::Received(_) if session.shakes_hands => vec![said_too_much()],
            ProbeEvent::Received(bytes) => {
                let mut actions = Vec::new();
                let mut rest = &bytes[..];
                while !rest.is_empty() && !matches!(actions.last(), Some(ProbeAction::Finish(_))) {
                    let piece = rest.split_off(..rest.len().min(MOST_RECEIVED - session.received.len()));
                    session.received.extend_from_slice(piece.unwrap_or_default());
                    self.go_on(session, &mut actions);
                }
                actions
            }
            ProbeEvent::Closed => {
                let expected = self.steps.get(session.at).and_then(|step| step.expect.as_ref());
                let fault = expected.map(|expected| expected.missing(&session.received, &self.secrets()));
                vec![ProbeAction::fail(fault.unwrap_or_else(|| "closed the connection".to_owned()))]
            }
            _ => vec![ProbeAction::fail("something else than bytes came to a TCP probe")],
        }
    }
}

/// What comes in the clear after the peer has agreed to TLS may be of anybody.
fn said_too_much() -> ProbeAction {
    ProbeAction::fail("said more before TLS than was expected")
}

impl Tcp {
    /// Does what can be done by now: goes from step to step as long as what they expect is there.
    fn go_on(&self, session: &mut Session, actions: &mut Vec<ProbeAction>) {
        while let Some(step) = self.steps.get(session.at).filter(|_| !session.shakes_hands) {
            if let Some(expected) = &step.expect {
                match expected.look(&session.received, &self.secrets()) {
                    Found::To(end) => drop(session.received.drain(..end)),
                    Found::NotYet => return,
                    Found::Never(fault) => return actions.push(ProbeAction::fail(self.told(session, fault))),
                }
            }
            if step.start_tls {
                if !session.received.is_empty() {
                    return actions.push(said_too_much());
                }
                session.shakes_hands = true;
                return actions.push(ProbeAction::StartTls);
            }
            self.enter_next(session, actions);
        }
        if session.at == self.steps.len() {
            let expects = self.steps.iter().any(|step| step.expect.is_some());
            actions.push(ProbeAction::pass(if expects { "answered as expected" } else { "connected" }));
        }
    }

    fn enter_next(&self, session: &mut Session, actions: &mut Vec<ProbeAction>) {
        session.at += 1;
        self.send(session, actions);
    }

    fn send(&self, session: &Session, actions: &mut Vec<ProbeAction>) {
        if let Some(bytes) = self.steps.get(session.at).and_then(|step| step.send.as_ref()) {
            actions.push(ProbeAction::Send(bytes.as_slice().to_vec()));
        }
    }

    /// What no verdict may tell, although the peer may say it back: longer words of what is sent, which may be credentials.
    fn secrets(&self) -> Vec<&str> {
        let sent = self.steps.iter().filter_map(|step| str::from_utf8(step.send.as_ref()?.as_slice()).ok());
        sent.flat_map(str::split_whitespace).filter(|word| word.len() >= 8 && !word.starts_with("HTTP/")).collect()
    }

    /// What went wrong, and of several steps in which.
    fn told(&self, session: &Session, fault: String) -> String {
        match self.steps.len() {
            1 => fault,
            _ => format!("step {}: {fault}", session.at + 1),
        }
    }
}

impl Step {
    fn check(&self, at: &str, errors: &mut ConfigErrors) {
        let length = self.send.as_ref().map(|bytes| bytes.as_slice().len());
        if length.is_some_and(|length| !(1..=MOST_SENT).contains(&length)) {
            errors.push(plimsoll_sdk::pointer(at, "send"), format_args!("expected 1 to {MOST_SENT} bytes"));
        }
        if let Some(expect) = &self.expect {
            expect.check(&plimsoll_sdk::pointer(at, "expect"), errors);
        }
    }
}

plimsoll_sdk::plugin! { summary: "probes by connecting, and by what is sent and answered", prober: Tcp }

#[cfg(test)]
mod tests;
