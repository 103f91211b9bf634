//! A discovery that asks for a JSON list of addresses, sound or with any of the faults.

use std::cell::Cell;
use std::rc::Rc;

use plimsoll_conformance::{CreateFailure, Discovery, DiscoveryAction, Reply, Subject};

use crate::Role;
use crate::role::{Draws, native_policy, parsed, subject_of_role};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    List,
}

/// What is wrong with it. Each shows in one property only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    SaysThemTwice,
    DiesOfBytes,
    GivesUpWhatItHas,
    StopsAsking,
    IsNeverTheSame,
    SharesItsList,
    DiesOfForeignState,
    Leaks,
    SurvivesItsDestruction,
}

#[derive(Debug)]
pub struct Native {
    fault: Fault,
    chaos: Rc<Cell<u64>>,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "discovery";
    const KINDS: &[Kind] = &[Kind::List];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::SaysThemTwice, Kind::List, "D1"),
        (Fault::DiesOfBytes, Kind::List, "D2"),
        (Fault::GivesUpWhatItHas, Kind::List, "D3"),
        (Fault::StopsAsking, Kind::List, "D4"),
        (Fault::IsNeverTheSame, Kind::List, "D5"),
        (Fault::SharesItsList, Kind::List, "D6"),
        (Fault::DiesOfForeignState, Kind::List, "D7"),
        (Fault::Leaks, Kind::List, "D8"),
        (Fault::SurvivesItsDestruction, Kind::List, "D9"),
    ];

    fn new(_: Kind, fault: Fault) -> Self {
        Self { fault, chaos: Rc::default() }
    }

    fn instance(&self) -> Instance {
        Instance { fault: self.fault, chaos: self.chaos.clone(), policies: Rc::default() }
    }

    fn claims(_: Kind, _: Fault) -> &'static str {
        "discovery"
    }

    fn runs_as_component(fault: Fault) -> bool {
        // Instances begin alike, and nothing tells one run from the next.
        fault != Fault::IsNeverTheSame
    }
}

impl Subject for Native {
    subject_of_role!("discovery");

    fn discoveries(&self, config: &str, _: u32, count: u32) -> Result<Vec<Box<dyn Discovery>>, CreateFailure> {
        let instance = self.instance();
        (0..count).map(|_| instance.discovery(config)).collect()
    }
}

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub struct Instance {
    fault: Fault,
    chaos: Rc<Cell<u64>>,
    policies: Rc<Cell<u32>>,
}

impl Instance {
    pub fn discovery(&self, config: &str) -> Result<Box<dyn Discovery>, CreateFailure> {
        parsed(config)?;
        self.policies.set(self.policies.get() + 1);
        Ok(Box::new(Policy {
            fault: self.fault,
            policies: self.policies.clone(),
            draws: Draws::new(0, &self.chaos),
            asked: 0,
            is_asking: false,
            failures: 0,
            has_survived: false,
            now_ms: 0,
            used: 0,
        }))
    }
}

struct Policy {
    fault: Fault,
    /// Of the instance.
    policies: Rc<Cell<u32>>,
    draws: Draws,
    asked: u32,
    is_asking: bool,
    /// In a row.
    failures: u32,
    has_survived: bool,
    now_ms: u64,
    used: u64,
}

native_policy!(Policy, Fault::Leaks, Fault::DiesOfForeignState, Fault::SurvivesItsDestruction);

impl Policy {
    fn begin_anew(&mut self) {
        (self.asked, self.is_asking, self.failures, self.used) = (0, false, 0, 0);
    }

    fn reserved(&self) -> u64 {
        0
    }

    fn found(&mut self, body: &[u8]) -> DiscoveryAction {
        let Ok(mut addresses) = serde_json::from_slice::<Vec<String>>(body) else {
            return DiscoveryAction::Fail("no list".into());
        };
        if self.fault == Fault::SaysThemTwice {
            let mut sorted = addresses.clone();
            sorted.sort();
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return DiscoveryAction::Invalid(format!("there is another endpoint `{}`", twice[0]));
            }
        }
        addresses.sort();
        addresses.dedup();
        // More often than other properties ask.
        let is_chaos = self.fault == Fault::IsNeverTheSame && self.used > 40;
        if is_chaos && self.draws.below(2, true) == 1 || self.fault == Fault::SharesItsList && self.policies.get() > 1 {
            addresses.push("10.255.255.255:1".to_owned());
        }
        DiscoveryAction::Publish(addresses.into_iter().map(|address| (address.clone(), address)).collect())
    }
}

impl Discovery for Policy {
    fn tick_ms(&self) -> Option<u64> {
        Some(1000)
    }

    fn tick(&mut self, _: u64) -> Result<Vec<DiscoveryAction>, String> {
        if self.is_asking || self.fault == Fault::StopsAsking && self.failures > 15 {
            return Ok(Vec::new());
        }
        self.is_asking = true;
        self.asked += 1;
        Ok(vec![DiscoveryAction::Call { number: self.asked, timeout_ms: 5000, asks: "GET /".to_owned() }])
    }

    fn answered(&mut self, _: u64, number: u32, reply: &Reply) -> Result<Vec<DiscoveryAction>, String> {
        if number != self.asked {
            return Ok(Vec::new());
        }
        self.is_asking = false;
        self.used += 1;
        let wanted = match reply {
            Reply::Answer { status: 200, body } => {
                if self.fault == Fault::DiesOfBytes && str::from_utf8(body).is_err() {
                    return Err("called `Result::unwrap()` on an `Err` value".into());
                }
                self.failures = 0;
                self.found(body)
            }
            Reply::Answer { status: 404, .. } if self.fault == Fault::GivesUpWhatItHas => {
                DiscoveryAction::Publish(Vec::new())
            }
            other => {
                self.failures += 1;
                DiscoveryAction::Fail(format!("{other:?}"))
            }
        };
        Ok(vec![wanted])
    }
}
