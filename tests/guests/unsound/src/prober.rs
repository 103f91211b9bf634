//! Speaks with a peer in lines: it greets with 220, is sent a QUIT and says goodbye with 221.

use std::cell::RefCell;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};

use crate::{Config, Property};

pub(crate) struct Unsound {
    breaks: Option<Property>,
    password: String,
    closed: Vec<Box<[u8]>>,
}

#[derive(Default)]
pub(crate) struct Session {
    received: Vec<u8>,
    greeted: bool,
}

/// More of a line is not looked at.
const MOST: usize = 4096;

thread_local! {
    static RECEIVED_BY_ALL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Unsound {
    fn judge(&self, session: &mut Session, line: &str) -> Vec<ProbeAction> {
        match (session.greeted, line.get(..3)) {
            (false, Some("220")) => {
                session.greeted = true;
                vec![ProbeAction::Send(b"QUIT\r\n".to_vec())]
            }
            (true, Some("221")) => vec![ProbeAction::pass("said goodbye")],
            _ if self.breaks == Some(Property::P8) => vec![ProbeAction::fail(format!("{} was no good", self.password))],
            _ if self.breaks == Some(Property::P10) => {
                vec![ProbeAction::fail("unexpected"), ProbeAction::Send(b"QUIT\r\n".to_vec())]
            }
            _ => vec![ProbeAction::fail("unexpected")],
        }
    }

    fn hear(&self, session: &mut Session, received: &mut Vec<u8>, bytes: &[u8]) -> Vec<ProbeAction> {
        if self.breaks == Some(Property::P1) {
            received.clear();
        }
        if self.breaks == Some(Property::P6) && bytes.starts_with(b"\xff\xff\xff") {
            std::hint::black_box(vec![1_u8; 16 << 20]);
        }
        received.extend_from_slice(bytes);
        let mut actions = Vec::new();
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            actions.extend(self.judge(session, String::from_utf8_lossy(&line).trim_end()));
            if actions.iter().any(|action| matches!(action, ProbeAction::Finish(_))) {
                return actions;
            }
        }
        if received.len() > MOST {
            actions.push(ProbeAction::fail("the line does not end"));
        }
        actions
    }
}

impl Prober for Unsound {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { breaks: config.breaks, password: config.password, closed: Vec::new() })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _: &Target) -> (Session, Vec<ProbeAction>) {
        RECEIVED_BY_ALL.take();
        if self.breaks == Some(Property::P14) {
            self.closed.push(vec![0; 1024].into());
        }
        (Session::default(), Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Connected => Vec::new(),
            ProbeEvent::Received(bytes) if self.breaks == Some(Property::P9) => {
                let mut received = RECEIVED_BY_ALL.take();
                let actions = self.hear(session, &mut received, &bytes);
                RECEIVED_BY_ALL.set(received);
                actions
            }
            ProbeEvent::Received(bytes) => {
                let mut received = std::mem::take(&mut session.received);
                let actions = self.hear(session, &mut received, &bytes);
                session.received = received;
                actions
            }
            ProbeEvent::Closed if self.breaks == Some(Property::P2) && session.greeted => {
                vec![ProbeAction::pass("was there")]
            }
            _ => vec![ProbeAction::fail("the peer has gone")],
        }
    }
}
