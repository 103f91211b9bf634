//! Evaluators: one that is sound of each kind, and each with any of the faults.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use plimsoll_conformance::{
    CreateFailure, Endpoint, Evidence, Health, HealthPlan, HealthVerdict, Outcome, OutcomeClass, ProbeResult, Subject,
    Transition,
};

use crate::Role;
use crate::role::subject_of_role;

/// What is gone by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Results in a row: probes, and attempts that eject for a time.
    Thresholds,
    /// The last probe, and the share of attempts that failed in ten seconds.
    Rate,
}

/// What is wrong with it. Each shows in one property only; the sizes of sets tell the properties apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    AddsUp,
    PunishesRecovery,
    RepeatsItself,
    ForgivesWithTime,
    BlamesForClients,
    HasNoLongest,
    NeedsNoVolume,
    GivesUp,
    TrustsTheClock,
    HoldsItAgainstTheSlot,
    BlamesTheNext,
    Leaks,
    IsNeverTheSame,
    DiesOfForeignState,
    JudgesStrangers,
    DiesAtTheEndOfTime,
    SurvivesItsDestruction,
    SharesItsRecords,
}

#[derive(Debug)]
pub struct Native {
    kind: Kind,
    fault: Fault,
    chaos: Rc<Cell<u32>>,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "health";
    const KINDS: &[Kind] = &[Kind::Thresholds, Kind::Rate];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::AddsUp, Kind::Thresholds, "H1"),
        (Fault::PunishesRecovery, Kind::Thresholds, "H2"),
        (Fault::RepeatsItself, Kind::Thresholds, "H3"),
        (Fault::ForgivesWithTime, Kind::Thresholds, "H4"),
        (Fault::BlamesForClients, Kind::Thresholds, "H5"),
        (Fault::HasNoLongest, Kind::Thresholds, "H6"),
        (Fault::NeedsNoVolume, Kind::Rate, "H8"),
        (Fault::GivesUp, Kind::Thresholds, "H9"),
        (Fault::TrustsTheClock, Kind::Thresholds, "H10"),
        (Fault::HoldsItAgainstTheSlot, Kind::Thresholds, "H11"),
        (Fault::BlamesTheNext, Kind::Thresholds, "H12"),
        (Fault::Leaks, Kind::Thresholds, "G5h"),
        (Fault::IsNeverTheSame, Kind::Thresholds, "G7h"),
        (Fault::DiesOfForeignState, Kind::Thresholds, "G8h"),
        (Fault::JudgesStrangers, Kind::Rate, "G9h"),
        (Fault::DiesAtTheEndOfTime, Kind::Rate, "G10h"),
        (Fault::SurvivesItsDestruction, Kind::Thresholds, "G11h"),
        (Fault::SharesItsRecords, Kind::Thresholds, "G12h"),
    ];

    fn new(kind: Kind, fault: Fault) -> Self {
        Self { kind, fault, chaos: Rc::default() }
    }

    fn instance(&self) -> Instance {
        Instance { kind: self.kind, fault: self.fault, chaos: self.chaos.clone(), records: Rc::default() }
    }

    fn claims(kind: Kind, _: Fault) -> &'static str {
        match kind {
            Kind::Thresholds => "health/thresholds,health/ejecting",
            Kind::Rate => "health/thresholds,health/rate",
        }
    }

    fn runs_as_component(fault: Fault) -> bool {
        // Instances begin alike, and nothing tells one run from the next.
        fault != Fault::IsNeverTheSame
    }
}

impl Subject for Native {
    subject_of_role!("health");

    fn healths(&self, _: &str, count: u32) -> Result<Vec<Box<dyn Health>>, CreateFailure> {
        let instance = self.instance();
        Ok((0..count).map(|_| instance.health()).collect())
    }
}

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub struct Instance {
    kind: Kind,
    fault: Fault,
    chaos: Rc<Cell<u32>>,
    records: Rc<RefCell<Records>>,
}

impl Instance {
    pub fn health(&self) -> Box<dyn Health> {
        let shares = self.fault == Fault::SharesItsRecords;
        Box::new(Policy {
            kind: self.kind,
            fault: self.fault,
            chaos: self.chaos.clone(),
            records: if shares { self.records.clone() } else { Rc::default() },
            count: 0,
            is_told: false,
            leaked: 0,
            looked_ms: 0,
        })
    }
}

type Records = BTreeMap<u32, Record>;

#[derive(Clone, Debug, Default)]
struct Record {
    id: String,
    is_new: bool,
    is_probed_out: bool,
    good: u32,
    bad: u32,
    failures: u32,
    /// When it was ejected, and for how long.
    ejected: Option<(u64, u64)>,
    ejections: u64,
    good_since_ms: u64,
    /// Attempts of the interval, and how many of them failed.
    attempts: (u32, u32),
}

struct Policy {
    kind: Kind,
    fault: Fault,
    /// Differs with each probe of any run.
    chaos: Rc<Cell<u32>>,
    records: Rc<RefCell<Records>>,
    /// Endpoints that it was told.
    count: usize,
    is_told: bool,
    leaked: u64,
    looked_ms: u64,
}

const FALL: u32 = 3;
const RISE: u32 = 2;
const FAILURES: u32 = 5;
const EJECT_MS: u64 = 10_000;
const LONGEST_MS: u64 = 60_000;
const INTERVAL_MS: u64 = 10_000;
const VOLUME: u32 = 20;

impl Health for Policy {
    fn plan(&self) -> HealthPlan {
        HealthPlan { outcomes: true, tick: Some(Duration::from_millis(500)), initial_probes: 0 }
    }

    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String> {
        self.replace_endpoints(0, endpoints)
    }

    fn replace_endpoints(&mut self, _: u64, endpoints: &[Endpoint]) -> Result<(), String> {
        self.is_told = true;
        self.count = endpoints.len();
        let keeps = self.fault == Fault::HoldsItAgainstTheSlot;
        let mut records = self.records.borrow_mut();
        records.retain(|slot, record| endpoints.iter().any(|e| e.slot == *slot && (keeps || e.id == record.id)));
        for endpoint in endpoints {
            let new = || Record { id: endpoint.id.clone(), is_new: true, ..Record::default() };
            records.entry(endpoint.slot).or_insert_with(new);
        }
        Ok(())
    }

    fn probed(&mut self, now_ms: u64, probe: &ProbeResult) -> Result<Vec<Transition>, String> {
        self.die_at_the_end(now_ms)?;
        self.chaos.set(self.chaos.get() + 1);
        self.leaked += 100;
        let said = |is_healthy| {
            let reason = String::new();
            Ok(vec![Transition { slot: probe.slot, verdict: verdict(is_healthy), evidence: Evidence::Probe, reason }])
        };
        if self.fault == Fault::JudgesStrangers && !self.is_told {
            return said(false);
        }
        let mut slot = probe.slot;
        if self.fault == Fault::BlamesTheNext && self.count == 12 && slot == 4 && !probe.passed {
            slot = 5;
        }
        let chance = self.fault == Fault::IsNeverTheSame
            && self.count == 13
            && self.chaos.get().wrapping_mul(0x9e37_79b9) >> 30 == 0;
        let passed = probe.passed != chance;
        let mut records = self.records.borrow_mut();
        let Some(record) = records.get_mut(&slot) else { return Ok(Vec::new()) };
        let repeats = self.fault == Fault::RepeatsItself && self.count == 4;
        let changed = if passed {
            let punished =
                self.fault == Fault::PunishesRecovery && self.count == 5 && record.bad == 1 && !record.is_probed_out;
            if punished { record.take_out(2) } else { record.passed(self.rise(), self.adds_up()) }
        } else {
            record.take_out(self.fall()) || (repeats && record.is_probed_out)
        };
        let is_healthy = !record.is_probed_out;
        if changed && (!is_healthy || record.ejected.is_none()) { said(is_healthy) } else { Ok(Vec::new()) }
    }

    fn outcomes(&mut self, now_ms: u64, batch: &[Outcome]) -> Result<Vec<Transition>, String> {
        self.die_at_the_end(now_ms)?;
        let mut transitions = Vec::new();
        let mut records = self.records.borrow_mut();
        for outcome in batch {
            let Some(record) = records.get_mut(&outcome.slot) else { continue };
            let failed = match outcome.class {
                OutcomeClass::ClientAbort if self.fault == Fault::BlamesForClients && self.count == 6 => true,
                OutcomeClass::ClientAbort => continue,
                OutcomeClass::Success => false,
                _ => true,
            };
            record.attempts.0 += 1;
            record.attempts.1 += u32::from(failed);
            if self.kind == Kind::Thresholds && record.is_ejected_by(failed, now_ms, self.longest_ms()) {
                transitions.push(by_traffic(outcome.slot, false));
            }
        }
        Ok(transitions)
    }

    fn tick(&mut self, now_ms: u64) -> Result<Vec<Transition>, String> {
        self.die_at_the_end(now_ms)?;
        let mut transitions = Vec::new();
        let looks = self.kind == Kind::Rate && now_ms.saturating_sub(self.looked_ms) >= INTERVAL_MS;
        if looks {
            self.looked_ms = now_ms;
        }
        for (slot, record) in self.records.borrow_mut().iter_mut() {
            if self.fault == Fault::ForgivesWithTime && self.count == 8 && record.is_probed_out {
                record.is_probed_out = false;
                transitions.push(by_traffic(*slot, true));
            }
            if looks && self.is_failing(std::mem::take(&mut record.attempts)) && record.ejected.is_none() {
                record.ejected = Some((now_ms, EJECT_MS));
                transitions.push(by_traffic(*slot, false));
            }
            let Some((began_ms, lasts_ms)) = &mut record.ejected else { continue };
            if self.fault != Fault::TrustsTheClock {
                *began_ms = now_ms.min(*began_ms);
            }
            let gives_up = self.fault == Fault::GivesUp && self.count == 7 && record.ejections > 0;
            if now_ms >= began_ms.saturating_add(*lasts_ms) && !gives_up {
                record.ejected = None;
                record.good_since_ms = now_ms;
                if !record.is_probed_out {
                    transitions.push(by_traffic(*slot, true));
                }
            }
        }
        Ok(transitions)
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        Ok(b"1".to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        if self.fault == Fault::DiesOfForeignState && state.first() == Some(&0xff) {
            return Err("unwrap of none".into());
        }
        Ok(state == b"1")
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.is_told = false;
        self.looked_ms = 0;
        if self.fault != Fault::SurvivesItsDestruction {
            self.records.borrow_mut().clear();
        }
        Ok(())
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some((1 << 20) + if self.fault == Fault::Leaks { self.leaked } else { 0 })
    }
}

fn by_traffic(slot: u32, is_healthy: bool) -> Transition {
    Transition { slot, verdict: verdict(is_healthy), evidence: Evidence::Traffic, reason: String::new() }
}

fn verdict(is_healthy: bool) -> HealthVerdict {
    if is_healthy { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy }
}

impl Policy {
    fn rise(&self) -> u32 {
        if self.kind == Kind::Thresholds { RISE } else { 1 }
    }

    fn fall(&self) -> u32 {
        if self.kind == Kind::Thresholds { FALL } else { 1 }
    }

    fn adds_up(&self) -> bool {
        self.fault == Fault::AddsUp && self.count == 2
    }

    fn longest_ms(&self) -> u64 {
        if self.fault == Fault::HasNoLongest && self.count == 9 { u64::MAX } else { LONGEST_MS }
    }

    fn is_failing(&self, (attempts, failed): (u32, u32)) -> bool {
        let volume = if self.fault == Fault::NeedsNoVolume { 1 } else { VOLUME };
        attempts >= volume && failed * 10 >= attempts * 3
    }

    fn die_at_the_end(&self, now_ms: u64) -> Result<(), String> {
        if self.fault == Fault::DiesAtTheEndOfTime && now_ms == u64::MAX {
            return Err("attempt to add with overflow".into());
        }
        Ok(())
    }
}

impl Record {
    /// Whether that changes anything.
    fn passed(&mut self, rise: u32, adds_up: bool) -> bool {
        if !adds_up {
            self.bad = 0;
        }
        if !self.is_probed_out {
            return std::mem::take(&mut self.is_new);
        }
        self.good += 1;
        let is_back = self.good >= rise;
        if is_back {
            (self.is_probed_out, self.is_new, self.bad) = (false, false, 0);
        }
        is_back
    }

    /// Whether that changes anything.
    fn take_out(&mut self, fall: u32) -> bool {
        self.good = 0;
        self.bad += 1;
        let goes = !self.is_probed_out && self.bad >= fall;
        self.is_probed_out |= goes;
        goes
    }

    fn is_ejected_by(&mut self, failed: bool, now_ms: u64, longest_ms: u64) -> bool {
        if self.ejected.is_some() {
            return false;
        }
        if !failed {
            self.failures = 0;
            if self.ejections > 0 && now_ms.saturating_sub(self.good_since_ms) >= EJECT_MS {
                self.ejections -= 1;
                self.good_since_ms = now_ms;
            }
            return false;
        }
        self.failures += 1;
        if self.failures < FAILURES {
            return false;
        }
        self.failures = 0;
        self.ejections += 1;
        self.ejected = Some((now_ms, (EJECT_MS * self.ejections).min(longest_ms)));
        true
    }
}
