//! A prober of a protocol in lines, in which the peer speaks first, and one of HTTP; sound or with any of the faults.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use plimsoll_conformance::{CreateFailure, ProbeAction, ProbeEvent, ProbeRequest, Prober, Subject, Target, Transport};

use crate::Role;
use crate::role::{native_policy, subject_of_role};

/// What it talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines, of which the peer sends the first.
    Lines,
    Http,
}

/// What is wrong with it. Each shows in one property only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
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

#[derive(Debug)]
pub struct Native {
    kind: Kind,
    fault: Fault,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "prober";
    const KINDS: &[Kind] = &[Kind::Lines, Kind::Http];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::MindsPieces, Kind::Lines, "P1"),
        (Fault::PassesWhoGoesAway, Kind::Lines, "P2"),
        (Fault::DiesOfMuch, Kind::Lines, "P3"),
        (Fault::AnswersEverything, Kind::Lines, "P4"),
        (Fault::SpeaksFirst, Kind::Lines, "P4b"),
        (Fault::ReservesMemory, Kind::Lines, "P6"),
        (Fault::TellsWhatItHeard, Kind::Lines, "P8"),
        (Fault::SharesItsBuffer, Kind::Lines, "P9"),
        (Fault::SpeaksAfterTheEnd, Kind::Lines, "P10"),
        (Fault::AsksForWhatIsNotThere, Kind::Lines, "P13"),
        (Fault::KeepsSessions, Kind::Lines, "P14"),
        (Fault::GoesByTime, Kind::Lines, "P15"),
        (Fault::SharesSessions, Kind::Lines, "P16"),
        (Fault::DiesOfForeignState, Kind::Lines, "P17"),
    ];

    fn new(kind: Kind, fault: Fault) -> Self {
        Self { kind, fault }
    }

    fn instance(&self) -> Instance {
        Instance { kind: self.kind, fault: self.fault, sessions: Rc::default() }
    }

    fn claims(kind: Kind, _: Fault) -> &'static str {
        match kind {
            Kind::Lines => "prober/server-first",
            Kind::Http => "prober",
        }
    }
}

impl Subject for Native {
    subject_of_role!("prober");

    fn probers(&self, _: &str, _: u32, count: u32) -> Result<Vec<Box<dyn Prober>>, CreateFailure> {
        let instance = self.instance();
        Ok((0..count).map(|_| instance.prober()).collect())
    }
}

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub struct Instance {
    kind: Kind,
    fault: Fault,
    sessions: Rc<RefCell<HashMap<u32, Session>>>,
}

impl Instance {
    pub fn prober(&self) -> Box<dyn Prober> {
        let shares = self.fault == Fault::SharesSessions;
        Box::new(Policy {
            kind: self.kind,
            fault: self.fault,
            sessions: if shares { self.sessions.clone() } else { Rc::default() },
            buffer: Vec::new(),
            has_survived: false,
            now_ms: 0,
            used: 0,
            reserved: Cell::new(0),
        })
    }
}

#[derive(Debug, Default)]
struct Session {
    buffer: Vec<u8>,
    greeted: bool,
}

struct Policy {
    kind: Kind,
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
        match self.kind {
            Kind::Lines => Transport::Tcp,
            Kind::Http => Transport::Http,
        }
    }

    fn open(&mut self, session: u32, target: &Target) -> Result<Vec<ProbeAction>, String> {
        self.used += 1;
        self.buffer.clear();
        self.sessions.borrow_mut().insert(session, Session::default());
        if self.kind == Kind::Lines {
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
