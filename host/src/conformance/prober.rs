use plimsoll_conformance::{self as suite, ProbeRequest};

use super::endpoints::text;
use super::policy::UnderTest;
use crate::plugin::{ProbeAction, ProbeEvent, Target, Transport};
use crate::tls::{Handshake, unix_seconds};

/// How a prober is carried.
pub(super) struct Prober(pub(super) Transport);

impl suite::Prober for UnderTest<Prober> {
    fn transport(&self) -> suite::Transport {
        match self.role.0 {
            // For the suite, a handshake is of the connection.
            Transport::Tcp | Transport::Tls => suite::Transport::Tcp,
            Transport::Udp => suite::Transport::Udp,
            // For the suite, a call is an exchange as any.
            Transport::Http | Transport::Grpc => suite::Transport::Http,
        }
    }

    fn open(&mut self, session: u32, target: &suite::Target) -> Result<Vec<suite::ProbeAction>, String> {
        let suite::Target { address, id, cluster } = target.clone();
        self.trial.open(session, &Target { address, id, cluster }).map(actions).map_err(text)
    }

    fn advance(&mut self, session: u32, event: &suite::ProbeEvent) -> Result<Vec<suite::ProbeAction>, String> {
        let mut asked = self.trial.advance(session, told(event)).map_err(text)?;
        if self.role.0 == Transport::Tls && *event == suite::ProbeEvent::Connected {
            asked.extend(self.trial.advance(session, ProbeEvent::Secured(handshake())).map_err(text)?);
        }
        Ok(actions(asked))
    }

    fn close(&mut self, session: u32) -> Result<(), String> {
        self.trial.close(session).map_err(text)
    }
}

/// With somebody whose certificate is good for long.
fn handshake() -> Handshake {
    let ends = unix_seconds() + 365 * 86_400;
    Handshake { version: "TLSv1.3", application_protocol: None, certificate_ends: Some(ends) }
}

fn told(event: &suite::ProbeEvent) -> ProbeEvent {
    match event.clone() {
        suite::ProbeEvent::Connected => ProbeEvent::Connected,
        suite::ProbeEvent::Received(bytes) => ProbeEvent::Received(bytes),
        suite::ProbeEvent::Closed => ProbeEvent::Closed,
        suite::ProbeEvent::Answered(suite::ProbeResponse { status, headers, body }) => {
            ProbeEvent::Answered { status, headers, body, trailers: Vec::new() }
        }
    }
}

fn actions(actions: Vec<ProbeAction>) -> Vec<suite::ProbeAction> {
    let action = |action| match action {
        ProbeAction::Send(bytes) => Some(suite::ProbeAction::Send(bytes.into())),
        ProbeAction::Exchange { method, path, headers, body } => {
            Some(suite::ProbeAction::Exchange(ProbeRequest { method, path, headers, body: body.into() }))
        }
        // Any numbers will do, and endpoints want what they want.
        ProbeAction::Report(_) | ProbeAction::Wish(_) => None,
        // The suite's peers neither speak TLS nor let time pass.
        ProbeAction::StartTls | ProbeAction::Wait(_) => None,
        ProbeAction::Finish { passed, detail } => Some(suite::ProbeAction::Finish { passed, detail }),
    };
    actions.into_iter().filter_map(action).collect()
}
