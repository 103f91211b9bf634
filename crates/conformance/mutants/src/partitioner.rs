//! Partitioners by zone and by priority level, sound or with any of the faults.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use plimsoll_conformance::{Attribute, CreateFailure, Endpoint, Group, Partitioner, Subject, Values};

use crate::Role;
use crate::role::{Draws, native_policy, parsed, subject_of_role};

/// How it divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Levels,
    Zones,
}

/// What is wrong with it. Each shows in one property only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
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

#[derive(Debug)]
pub struct Native {
    kind: Kind,
    fault: Fault,
    chaos: Rc<Cell<u64>>,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "partitioner";
    const KINDS: &[Kind] = &[Kind::Levels, Kind::Zones];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::NamesOneTwice, Kind::Levels, "PT1"),
        (Fault::MakesAnyNumberOfGroups, Kind::Levels, "PT2"),
        (Fault::CallsThemAllTheSame, Kind::Levels, "PT3"),
        (Fault::ChoosesTheLastInTheEnd, Kind::Levels, "PT4"),
        (Fault::RemembersHowOftenItDivided, Kind::Levels, "PT5"),
        (Fault::IsNeverTheSame, Kind::Levels, "PT6"),
        (Fault::DiesOfHeavyWeights, Kind::Levels, "PT7"),
        (Fault::ChoosesTooEarly, Kind::Levels, "PT8"),
        (Fault::SharesItsName, Kind::Levels, "PT9"),
        (Fault::DiesOfForeignState, Kind::Levels, "PT10"),
        (Fault::Leaks, Kind::Levels, "PT11"),
        (Fault::SurvivesItsDestruction, Kind::Levels, "PT12"),
        (Fault::LeavesHome, Kind::Zones, "PT13"),
        (Fault::StaysWhateverFails, Kind::Zones, "PT14"),
        (Fault::SpillsEarly, Kind::Levels, "PT15"),
        (Fault::SpillsTooLittle, Kind::Levels, "PT16"),
    ];

    fn new(kind: Kind, fault: Fault) -> Self {
        Self { kind, fault, chaos: Rc::default() }
    }

    fn instance(&self) -> Instance {
        let (kind, fault, chaos) = (self.kind, self.fault, self.chaos.clone());
        Instance { kind, fault, chaos, policies: Rc::default() }
    }

    fn claims(kind: Kind, _: Fault) -> &'static str {
        match kind {
            Kind::Levels => "partitioner/priority",
            Kind::Zones => "partitioner/locality",
        }
    }

    fn runs_as_component(fault: Fault) -> bool {
        // Instances begin alike, and nothing tells one run from the next.
        fault != Fault::IsNeverTheSame
    }
}

impl Subject for Native {
    subject_of_role!("partitioner");

    fn partitioners(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn Partitioner>>, CreateFailure> {
        let instance = self.instance();
        (0..count).map(|number| instance.partitioner(config, u64::from(worker) << 32 | u64::from(number))).collect()
    }
}

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub struct Instance {
    kind: Kind,
    fault: Fault,
    chaos: Rc<Cell<u64>>,
    policies: Rc<Cell<u32>>,
}

impl Instance {
    pub fn partitioner(&self, config: &str, seed: u64) -> Result<Box<dyn Partitioner>, CreateFailure> {
        let zone = parsed(config)?["zone"].as_str().unwrap_or_default().to_owned();
        self.policies.set(self.policies.get() + 1);
        Ok(Box::new(Policy {
            fault: self.fault,
            zone: (self.kind == Kind::Zones).then_some(zone),
            policies: self.policies.clone(),
            draws: Draws::new(seed, &self.chaos),
            capacities: Vec::new(),
            was_told: false,
            has_survived: false,
            now_ms: 0,
            used: 0,
            choices: 0,
        }))
    }
}

struct Policy {
    fault: Fault,
    /// By levels without it.
    zone: Option<String>,
    /// Of the instance.
    policies: Rc<Cell<u32>>,
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
        self.was_told |= !endpoints.is_empty();
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
                Fault::SharesItsName if self.policies.get() > 1 => name += "!",
                _ => {}
            }
            groups.push(Group { name, slots });
        }
        if self.fault == Fault::RemembersHowOftenItDivided && self.used > 30 {
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
