//! A prober of a protocol in lines, in which the peer speaks first, and one of HTTP; sound or with any of the faults.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use plimsoll_conformance::{
    Balancer, CreateFailure, Description, ProbeAction, ProbeEvent, ProbeRequest, Prober, Subject, Target, Transport,
    Verdict,
};

use super::role::{description, finding, misfits, parsed, report};
use crate::native_policy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    MindsPieces,
    PassesWhoGoesAway,
    DiesOfMuch,
    AnswersEverything,
    SpeaksFirst,
    ReservesMemory,
    TellsWhatItHeard,
    SharesItsBuffer,
    SpeaksAfterTheEnd,
    AsksForWhatIsNotThere,
    KeepsSessions,
    GoesByTime,
    SharesSessions,
    DiesOfForeignState,
}

pub(crate) const MUTANTS: [(Fault, &str, &str); 14] = [
    (Fault::MindsPieces, CLAIM, "P1"),
    (Fault::PassesWhoGoesAway, CLAIM, "P2"),
    (Fault::DiesOfMuch, CLAIM, "P3"),
    (Fault::AnswersEverything, CLAIM, "P4"),
    (Fault::SpeaksFirst, CLAIM, "P4b"),
    (Fault::ReservesMemory, CLAIM, "P6"),
    (Fault::TellsWhatItHeard, CLAIM, "P8"),
    (Fault::SharesItsBuffer, CLAIM, "P9"),
    (Fault::SpeaksAfterTheEnd, CLAIM, "P10"),
    (Fault::AsksForWhatIsNotThere, CLAIM, "P13"),
    (Fault::KeepsSessions, CLAIM, "P14"),
    (Fault::GoesByTime, CLAIM, "P15"),
    (Fault::SharesSessions, CLAIM, "P16"),
    (Fault::DiesOfForeignState, CLAIM, "P17"),
];

const CLAIM: &str = "prober/server-first";

#[test]
fn sound_probers_keep_what_their_kinds_promise() {
    for transport in [Transport::Tcp, Transport::Http] {
        for selection in ["auto", "quick"] {
            let report = report(&Native { transport, fault: Fault::None }, selection);
            assert!(report.passed(), "{report}");
        }
    }
    let report = report(&Native { transport: Transport::Tcp, fault: Fault::None }, "auto");
    assert!(report.properties.iter().all(|finding| finding.verdict == Verdict::Passed), "{report}");
}

#[test]
fn each_broken_prober_fails_the_property_it_breaks_and_no_other() {
    let misfits = misfits(&MUTANTS, |fault| Box::new(Native { transport: Transport::Tcp, fault }));
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
}

#[test]
fn bytes_that_are_not_minded_in_pieces_are_made_few() {
    let report = report(&Native { transport: Transport::Tcp, fault: Fault::MindsPieces }, CLAIM);
    let how = finding(&report, "P1").reason.clone().expect("a reason");
    assert!(how.contains("byte by byte") || how.contains("in pieces"), "{how}");
    assert!(finding(&report, "P1").smallest.as_ref().is_some_and(|bytes| bytes.len() < 80), "{report}");
}

pub(crate) struct Native {
    transport: Transport,
    fault: Fault,
}

impl Subject for Native {
    fn roles(&self) -> Vec<String> {
        vec!["prober".into()]
    }

    fn digest(&self) -> String {
        "none".into()
    }

    fn describe(&self) -> Result<Description, String> {
        Ok(description("prober"))
    }

    fn create(&self, _: &str, config: &str) -> Result<(), CreateFailure> {
        parsed(config).map(drop)
    }

    fn balancers(&self, _: &str, _: u32, _: u32) -> Result<Vec<Box<dyn Balancer>>, CreateFailure> {
        Ok(Vec::new())
    }

    fn probers(&self, _: &str, _: u32, count: u32) -> Result<Vec<Box<dyn Prober>>, CreateFailure> {
        let shared: Rc<RefCell<HashMap<u32, Session>>> = Rc::default();
        let policy = |_| {
            let sessions =
                if self.fault == Fault::SharesSessions && count > 1 { shared.clone() } else { Rc::default() };
            let policy = Policy {
                transport: self.transport,
                fault: self.fault,
                sessions,
                buffer: Vec::new(),
                has_survived: false,
                now_ms: 0,
                used: 0,
                reserved: Cell::new(0),
            };
            Box::new(policy) as Box<dyn Prober>
        };
        Ok((0..count).map(policy).collect())
    }
}

#[derive(Default)]
struct Session {
    buffer: Vec<u8>,
    greeted: bool,
}

struct Policy {
    transport: Transport,
    fault: Fault,
    sessions: Rc<RefCell<HashMap<u32, Session>>>,
    /// Of all sessions, where that is the fault.
    buffer: Vec<u8>,
    has_survived: bool,
    now_ms: u64,
    used: u64,
    reserved: Cell<u64>,
}

native_policy!(Policy, Fault::KeepsSessions, Fault::DiesOfForeignState, Fault::None);

fn finish(passed: bool, detail: impl Into<String>) -> ProbeAction {
    ProbeAction::Finish { passed, detail: detail.into() }
}

/// More of a line is not looked at.
const MOST: usize = 4096;

impl Policy {
    fn begin_anew(&mut self) {
        self.sessions.borrow_mut().clear();
    }

    fn reserved(&self) -> u64 {
        self.reserved.get()
    }

    /// What a whole line comes to.
    fn judge(&self, session: &mut Session, line: &str) -> Vec<ProbeAction> {
        let failed =
            if self.fault == Fault::TellsWhatItHeard { format!("unexpected {line}") } else { "unexpected".into() };
        let on_time = self.fault != Fault::GoesByTime || self.now_ms <= 1000;
        match (session.greeted, line) {
            (false, greeting) if greeting.starts_with("220") => {
                session.greeted = true;
                vec![ProbeAction::Send(b"QUIT\r\n".to_vec())]
            }
            (true, bye) if bye.starts_with("221") => vec![finish(true, "said goodbye")],
            _ if self.fault == Fault::AnswersEverything => vec![ProbeAction::Send(vec![b'?'; 1024])],
            _ if self.fault == Fault::SpeaksAfterTheEnd => {
                vec![finish(false, failed), ProbeAction::Send(b"QUIT\r\n".to_vec())]
            }
            _ if self.fault == Fault::AsksForWhatIsNotThere => {
                let (method, path) = ("GET".into(), "/".into());
                let request = ProbeRequest { method, path, headers: Vec::new(), body: Vec::new() };
                vec![ProbeAction::Exchange(request), finish(false, failed)]
            }
            _ => vec![finish(!on_time, failed)],
        }
    }

    fn hear(&mut self, session: &mut Session, bytes: &[u8]) -> Vec<ProbeAction> {
        let shares = self.fault == Fault::SharesItsBuffer;
        let buffer = if shares { &mut self.buffer } else { &mut session.buffer };
        if self.fault == Fault::MindsPieces {
            buffer.clear();
        }
        buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(buffer);
        let mut actions = Vec::new();
        let is_over = |actions: &[ProbeAction]| actions.iter().any(|a| matches!(a, ProbeAction::Finish { .. }));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            actions.extend(self.judge(session, String::from_utf8_lossy(&line).trim_end()));
            if is_over(&actions) {
                return actions;
            }
        }
        if buffer.len() > MOST {
            actions.push(finish(false, "the line does not end"));
        }
        *(if shares { &mut self.buffer } else { &mut session.buffer }) = buffer;
        actions
    }
}

impl Prober for Policy {
    fn transport(&self) -> Transport {
        self.transport
    }

    fn open(&mut self, session: u32, target: &Target) -> Result<Vec<ProbeAction>, String> {
        self.used += 1;
        self.buffer.clear();
        self.sessions.borrow_mut().insert(session, Session::default());
        if self.transport == Transport::Tcp {
            return Ok(Vec::new());
        }
        let headers = vec![("host".to_owned(), target.address.clone().into_bytes())];
        let (method, path) = ("GET".into(), "/".into());
        Ok(vec![ProbeAction::Exchange(ProbeRequest { method, path, headers, body: Vec::new() })])
    }

    fn advance(&mut self, number: u32, event: &ProbeEvent) -> Result<Vec<ProbeAction>, String> {
        let Some(mut session) = self.sessions.borrow_mut().remove(&number) else { return Ok(Vec::new()) };
        let actions = match event {
            ProbeEvent::Connected if self.fault == Fault::SpeaksFirst && number >= 1 << 20 => {
                vec![ProbeAction::Send(b"HELO\r\n".to_vec())]
            }
            ProbeEvent::Connected => Vec::new(),
            ProbeEvent::Received(bytes) => {
                if self.fault == Fault::DiesOfMuch && bytes.len() > 1000 && bytes.iter().any(|byte| *byte != bytes[0]) {
                    return Err("unreachable executed".into());
                }
                if self.fault == Fault::ReservesMemory && bytes.starts_with(b"\xff\xff\xff") {
                    self.reserved.set(16 << 20);
                }
                self.hear(&mut session, bytes)
            }
            ProbeEvent::Closed => {
                vec![finish(self.fault == Fault::PassesWhoGoesAway && session.greeted, "the peer has gone")]
            }
            ProbeEvent::Answered(response) => vec![finish(response.status == 200, "answered")],
        };
        self.sessions.borrow_mut().insert(number, session);
        Ok(actions)
    }

    fn close(&mut self, session: u32) -> Result<(), String> {
        self.sessions.borrow_mut().remove(&session);
        Ok(())
    }
}
