//! Partitioners by zone and by priority level, sound or with any of the faults.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use plimsoll_conformance::{
    Attribute, Balancer, CreateFailure, Description, Endpoint, Group, Partitioner, Subject, Values, Verdict,
};

use super::role::{Draws, description, finding, misfits, parsed, report};
use crate::native_policy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    NamesOneTwice,
    MakesAnyNumberOfGroups,
    CallsThemAllTheSame,
    ChoosesTheLastInTheEnd,
    RemembersHowOftenItDivided,
    IsNeverTheSame,
    DiesOfHeavyWeights,
    ChoosesTooEarly,
    SharesItsName,
    DiesOfForeignState,
    Leaks,
    SurvivesItsDestruction,
    LeavesHome,
    StaysWhateverFails,
    SpillsEarly,
    SpillsTooLittle,
}

pub(crate) const MUTANTS: [(Fault, &str, &str); 16] = [
    (Fault::NamesOneTwice, LEVELS, "PT1"),
    (Fault::MakesAnyNumberOfGroups, LEVELS, "PT2"),
    (Fault::CallsThemAllTheSame, LEVELS, "PT3"),
    (Fault::ChoosesTheLastInTheEnd, LEVELS, "PT4"),
    (Fault::RemembersHowOftenItDivided, LEVELS, "PT5"),
    (Fault::IsNeverTheSame, LEVELS, "PT6"),
    (Fault::DiesOfHeavyWeights, LEVELS, "PT7"),
    (Fault::ChoosesTooEarly, LEVELS, "PT8"),
    (Fault::SharesItsName, LEVELS, "PT9"),
    (Fault::DiesOfForeignState, LEVELS, "PT10"),
    (Fault::Leaks, LEVELS, "PT11"),
    (Fault::SurvivesItsDestruction, LEVELS, "PT12"),
    (Fault::LeavesHome, ZONES, "PT13"),
    (Fault::StaysWhateverFails, ZONES, "PT14"),
    (Fault::SpillsEarly, LEVELS, "PT15"),
    (Fault::SpillsTooLittle, LEVELS, "PT16"),
];

const LEVELS: &str = "partitioner/priority";
const ZONES: &str = "partitioner/locality";

fn native(claim: &str, fault: Fault) -> Native {
    Native { by_zone: claim == ZONES, fault, chaos: Rc::default() }
}

#[test]
fn sound_partitioners_keep_what_their_kinds_promise() {
    for claim in [LEVELS, ZONES] {
        for selection in [claim, "auto", "quick"] {
            let report = report(&native(claim, Fault::None), selection);
            assert!(report.passed(), "{report}");
        }
        let report = report(&native(claim, Fault::None), "auto");
        let of_kind = if claim == LEVELS { "PT16" } else { "PT14" };
        assert_eq!(finding(&report, of_kind).verdict, Verdict::Passed, "{report}");
    }
}

#[test]
fn each_broken_partitioner_fails_the_property_it_breaks_and_no_other() {
    let claim = |fault| MUTANTS.iter().find(|(known, ..)| *known == fault).map_or(LEVELS, |(_, claim, _)| claim);
    let misfits = misfits(&MUTANTS, |fault| Box::new(native(claim(fault), fault)));
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
}

pub(crate) struct Native {
    by_zone: bool,
    fault: Fault,
    chaos: Rc<Cell<u64>>,
}

impl Subject for Native {
    fn roles(&self) -> Vec<String> {
        vec!["partitioner".into()]
    }

    fn digest(&self) -> String {
        "none".into()
    }

    fn describe(&self) -> Result<Description, String> {
        Ok(description("partitioner"))
    }

    fn create(&self, _: &str, config: &str) -> Result<(), CreateFailure> {
        parsed(config).map(drop)
    }

    fn balancers(&self, _: &str, _: u32, _: u32) -> Result<Vec<Box<dyn Balancer>>, CreateFailure> {
        Ok(Vec::new())
    }

    fn partitioners(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn Partitioner>>, CreateFailure> {
        let config = parsed(config)?;
        let zone = config["zone"].as_str().unwrap_or_default().to_owned();
        let policy = |number: u32| {
            let policy = Policy {
                fault: self.fault,
                zone: self.by_zone.then(|| zone.clone()),
                is_one_of_two: count > 1,
                draws: Draws::new(u64::from(worker) << 32 | u64::from(number), &self.chaos),
                capacities: Vec::new(),
                was_told: false,
                has_survived: false,
                now_ms: 0,
                used: 0,
                choices: 0,
            };
            Box::new(policy) as Box<dyn Partitioner>
        };
        Ok((0..count).map(policy).collect())
    }
}

struct Policy {
    fault: Fault,
    /// By levels without it.
    zone: Option<String>,
    is_one_of_two: bool,
    draws: Draws,
    /// For each group, what it takes, in thousandths.
    capacities: Vec<u32>,
    was_told: bool,
    has_survived: bool,
    now_ms: u64,
    used: u64,
    choices: u64,
}

native_policy!(Policy, Fault::Leaks, Fault::DiesOfForeignState, Fault::SurvivesItsDestruction);

const WHOLE: u32 = 1000;

impl Policy {
    fn begin_anew(&mut self) {
        self.capacities.clear();
        self.used = 0;
    }

    fn reserved(&self) -> u64 {
        0
    }

    /// The number of the group that an endpoint belongs to.
    fn level(&self, endpoint: &Endpoint) -> u32 {
        match &self.zone {
            Some(zone) => u32::from(endpoint.zone != *zone),
            None => endpoint.priority,
        }
    }

    fn capacity(&self, is_first: bool, members: &[&Endpoint]) -> u32 {
        let ready = members.iter().filter(|endpoint| endpoint.takes_new()).count() as f64;
        let healthy = ready / members.len().max(1) as f64;
        let factor = match self.fault {
            Fault::StaysWhateverFails if healthy > 0.0 => 100.0,
            Fault::LeavesHome if healthy >= 0.72 && is_first => 0.7,
            Fault::SpillsEarly if (0.72..1.0).contains(&healthy) => 1.0,
            Fault::SpillsTooLittle if healthy < 0.7 => 2.0,
            _ => 1.4,
        };
        let capacity = (healthy * factor * f64::from(WHOLE) + 0.5) as u32;
        if ready == 0.0 { 0 } else { capacity.clamp(1, WHOLE) }
    }
}

impl Partitioner for Policy {
    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Path]
    }

    fn divide(&mut self, _: u64, endpoints: &[Endpoint]) -> Result<Vec<Group>, String> {
        self.used += 1;
        self.was_told = true;
        if self.fault == Fault::DiesOfHeavyWeights && endpoints.iter().any(|endpoint| endpoint.weight > 1 << 20) {
            return Err("attempt to multiply with overflow".into());
        }
        let levels: BTreeSet<u32> = endpoints.iter().map(|endpoint| self.level(endpoint)).collect();
        let most = if self.fault == Fault::MakesAnyNumberOfGroups { usize::MAX } else { 1024 };
        let mut groups = Vec::new();
        self.capacities.clear();
        for level in levels.into_iter().take(most) {
            let members: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| self.level(endpoint) == level).collect();
            self.capacities.push(self.capacity(level == 0, &members));
            let mut slots: Vec<u32> = members.iter().map(|endpoint| endpoint.slot).collect();
            if self.fault == Fault::NamesOneTwice && slots.len() == 3 {
                slots.push(slots[0]);
            }
            let mut name = format!("level {level}");
            match self.fault {
                Fault::CallsThemAllTheSame => name = "level".into(),
                Fault::SharesItsName if self.is_one_of_two => name += "!",
                _ => {}
            }
            groups.push(Group { name, slots });
        }
        if self.fault == Fault::RemembersHowOftenItDivided && self.used > 60 {
            groups.reverse();
            self.capacities.reverse();
        }
        Ok(groups)
    }

    fn choose(&mut self, _: &Values, _: Option<u64>, attempt: u32) -> Result<Option<u32>, String> {
        if self.fault == Fault::ChoosesTooEarly && !self.was_told {
            return Ok(Some(0));
        }
        if self.fault == Fault::ChoosesTheLastInTheEnd && attempt == 30 && !self.capacities.is_empty() {
            return Ok(Some(self.capacities.len() as u32 - 1));
        }
        let total: u32 = self.capacities.iter().sum();
        if total == 0 {
            return Ok(None);
        }
        // More often than other properties ask.
        self.choices += 1;
        let is_chaos = self.fault == Fault::IsNeverTheSame && self.choices > 250;
        let mut drawn = self.draws.below(total.min(WHOLE), is_chaos);
        for (at, capacity) in (0..).zip(&self.capacities) {
            if drawn < *capacity {
                return Ok(Some(at));
            }
            drawn -= capacity;
        }
        Ok(None)
    }
}
