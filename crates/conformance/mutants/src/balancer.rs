//! Balancers: one that is sound of each kind, and each with any of the faults. `policy` is how they choose.

mod common;
mod fault;
mod kind;
mod policy;
mod unusual;

pub use fault::Fault;
pub use kind::Kind;

use std::cell::Cell;
use std::rc::Rc;

use plimsoll_conformance::{Balancer, CreateFailure, Description, Subject};

use crate::Role;
use common::Common;
use policy::Policy;

#[derive(Debug)]
pub struct Native {
    kind: Kind,
    fault: Fault,
    created: Cell<u32>,
    described: Cell<u32>,
    /// Differs with each pick of any run.
    chaos: Rc<Cell<u64>>,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "balancer";
    const KINDS: &[Kind] = &[
        Kind::Turns,
        Kind::Hash,
        Kind::Numbered,
        Kind::Bounded,
        Kind::Least,
        Kind::Latency,
        Kind::Sticky,
        Kind::Packing,
        Kind::LeastOfAll,
        Kind::Tenants,
        Kind::Dice,
        Kind::Deck,
        Kind::Streaks,
    ];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::ChangesItsDescription, Kind::Turns, "G1"),
        (Fault::HasNoSchema, Kind::Turns, "G1"),
        (Fault::CreatesOnce, Kind::Turns, "G2"),
        (Fault::RefusesWhatItIsGiven, Kind::Turns, "G2"),
        (Fault::DiesOfGarbage, Kind::Turns, "G3"),
        (Fault::ImportsSockets, Kind::Turns, "G4"),
        (Fault::Leaks, Kind::Turns, "G5"),
        (Fault::HasEachCallRemembered, Kind::Turns, "G13"),
        (Fault::LooksAtEachTooOften, Kind::Least, "G6"),
        (Fault::IsNeverTheSame, Kind::Turns, "G7"),
        (Fault::DiesOfForeignState, Kind::Turns, "G8"),
        (Fault::DiesOfEarlyOutcomes, Kind::Turns, "G9"),
        (Fault::DiesOfHeavyWeights, Kind::Turns, "G10"),
        (Fault::SurvivesItsDestruction, Kind::Turns, "G11"),
        (Fault::SharesItsTurns, Kind::Turns, "G12"),
        (Fault::IgnoresDraining, Kind::Turns, "B1"),
        (Fault::ChoosesFromNone, Kind::Turns, "B2"),
        (Fault::SkipsTheOnlyOne, Kind::Turns, "B3"),
        (Fault::RepeatsTried, Kind::Turns, "B4"),
        (Fault::TakesAnyChanges, Kind::Turns, "B5"),
        (Fault::TellsWholeFromChanges, Kind::Hash, "B6"),
        (Fault::TakesWeightZero, Kind::Turns, "B7"),
        (Fault::IgnoresPriority, Kind::Turns, "B16"),
        (Fault::AdoptsAnything, Kind::Hash, "B19"),
        (Fault::IgnoresWeights, Kind::Turns, "B8"),
        (Fault::Bursts, Kind::Turns, "B8b"),
        (Fault::FavoursOne, Kind::Turns, "B9"),
        (Fault::IgnoresRamp, Kind::Turns, "B14"),
        (Fault::StartsInStep, Kind::Turns, "B17"),
        (Fault::StartsAlike, Kind::Turns, "B18"),
        (Fault::IgnoresSlots200, Kind::Least, "B11"),
        (Fault::IgnoresLoad, Kind::Least, "B12"),
        (Fault::NeverForgets, Kind::Latency, "B13"),
        (Fault::GoesBySlot, Kind::Hash, "B10"),
        (Fault::ShufflesWhenOneGoes, Kind::Hash, "C1"),
        (Fault::MovesSomeWhenOneGoes, Kind::Hash, "C1b"),
        (Fault::ShufflesWhenOneComes, Kind::Hash, "C2"),
        (Fault::ForgetsWhoCameBack, Kind::Hash, "C3"),
        (Fault::IsUneven, Kind::Hash, "C4"),
        (Fault::IgnoresWeightsOfKeys, Kind::Hash, "C5"),
        (Fault::HasNoBound, Kind::Bounded, "C6"),
        (Fault::RemembersStrangers, Kind::Hash, "C7"),
        (Fault::ShufflesForAWeight, Kind::Hash, "C8"),
        (Fault::ShufflesWhileOneIsDown, Kind::Hash, "C9"),
        (Fault::ClaimsTheUnheardOf, Kind::Turns, "G14"),
        (Fault::StarvesByKey, Kind::Hash, "B20"),
        (Fault::StarvesWithoutKey, Kind::Turns, "B21"),
        (Fault::SticksAt16Bits, Kind::Turns, "B22"),
        (Fault::Overflows32Bits, Kind::LeastOfAll, "B23"),
        (Fault::NeverForgives, Kind::Latency, "B24"),
        (Fault::KeepsEveryKey, Kind::Hash, "B25"),
        (Fault::CountsTwice, Kind::Turns, "B26"),
        (Fault::FillsTwo, Kind::Packing, "B27"),
        (Fault::ForgetsKeys, Kind::Sticky, "S1"),
        (Fault::MovesWhenOneComes, Kind::Sticky, "S2"),
        (Fault::HerdsTheHomeless, Kind::Sticky, "S3"),
        (Fault::CrowdsNewKeys, Kind::Sticky, "S4"),
        (Fault::TrustsWhatIsShown, Kind::Tenants, "B28"),
        (Fault::DiesOfTicks, Kind::Tenants, "B29"),
    ];

    fn new(kind: Kind, fault: Fault) -> Self {
        Self { kind, fault, created: Cell::new(0), described: Cell::new(0), chaos: Rc::default() }
    }

    fn instance(&self) -> Instance {
        Instance { kind: self.kind, fault: self.fault, common: Common::new(self.chaos.clone()) }
    }

    fn claims(kind: Kind, fault: Fault) -> &'static str {
        match (fault, kind) {
            (
                Fault::ChangesItsDescription
                | Fault::HasNoSchema
                | Fault::CreatesOnce
                | Fault::RefusesWhatItIsGiven
                | Fault::DiesOfGarbage
                | Fault::ImportsSockets
                | Fault::ClaimsTheUnheardOf,
                _,
            ) => "generic",
            (Fault::IgnoresWeights, _) => "balancer/weighted,balancer/uniform,balancer/ramp,balancer/spread",
            (Fault::Bursts, _) => "balancer/weighted,balancer/smooth",
            (Fault::FavoursOne, _) => "balancer/weighted,balancer/smooth,balancer/uniform,balancer/ramp",
            (Fault::ShufflesWhenOneGoes, _) => "balancer/consistent",
            (_, Kind::Turns) => "balancer/weighted,balancer/smooth,balancer/uniform,balancer/ramp,balancer/spread",
            (_, Kind::Hash) => "balancer/consistent,balancer/proportional,balancer/minimal,balancer/ramp",
            (_, Kind::Tenants) => "balancer/consistent,balancer/proportional,balancer/minimal,balancer/ramp",
            (_, Kind::Numbered) => "balancer/numbered,balancer/proportional,balancer/minimal,balancer/ramp",
            (_, Kind::Bounded) => "balancer/consistent,balancer/proportional,balancer/minimal,balancer/bounded",
            (_, Kind::Least) => "balancer/least,balancer/uniform,balancer/spread",
            (_, Kind::Sticky) => "balancer/sticky",
            (_, Kind::Packing) => "balancer/packing",
            (_, Kind::LeastOfAll) => "balancer/least,balancer/uniform",
            (_, Kind::Dice) => "balancer/weighted,balancer/uniform",
            (_, Kind::Deck) => "balancer/uniform",
            (_, Kind::Streaks) => "balancer",
            (_, Kind::Latency) => "balancer/latency,balancer/least,balancer/uniform",
        }
    }

    fn runs_as_component(fault: Fault) -> bool {
        // Instances begin alike, and nothing tells one run from the next; of a component without a schema the proxy makes
        // no plugin; and what is imported cannot be written over.
        !matches!(
            fault,
            Fault::ChangesItsDescription
                | Fault::CreatesOnce
                | Fault::IsNeverTheSame
                | Fault::HasNoSchema
                | Fault::ImportsSockets
        )
    }

    fn config(kind: Kind, fault: Fault) -> Option<&'static str> {
        match (kind, fault) {
            (Kind::Bounded, _) => Some(r#"{"hash_balance_factor":125}"#),
            // Who asks for nothing by name may be refused.
            (_, Fault::RefusesWhatItIsGiven) => Some("{}"),
            _ => None,
        }
    }
}

impl Subject for Native {
    fn roles(&self) -> Vec<String> {
        vec!["balancer".into()]
    }

    fn digest(&self) -> String {
        "none".into()
    }

    fn describe(&self) -> Result<Description, String> {
        self.described.set(self.described.get() + 1);
        let changes = self.fault == Fault::ChangesItsDescription;
        let schema = if self.fault == Fault::HasNoSchema { r#"{"type":7}"# } else { r#"{"type":"object"}"# };
        Ok(Description {
            name: "native".into(),
            version: if changes { format!("0.{}.0", self.described.get()) } else { "0.1.0".into() },
            summary: String::new(),
            config_schemas: vec![("balancer".into(), schema.into())],
            profiles: match (self.fault, self.kind) {
                (Fault::ClaimsTheUnheardOf, _) => vec!["balancer/unheard-of".into()],
                (_, Kind::Numbered) => vec!["balancer/numbered".into()],
                (_, Kind::Packing) => vec!["balancer/packing".into()],
                _ => Vec::new(),
            },
        })
    }

    fn imports(&self) -> Vec<String> {
        let more = (self.fault == Fault::ImportsSockets).then_some("wasi:sockets/tcp@0.2.3");
        ["plimsoll:plugin/log@0.1.0", "wasi:clocks/monotonic-clock@0.2.3"]
            .into_iter()
            .chain(more)
            .map(Into::into)
            .collect()
    }

    fn create(&self, _role: &str, config: &str) -> Result<(), CreateFailure> {
        if self.fault == Fault::RefusesWhatItIsGiven {
            return Err(CreateFailure::Refused("it needs something else".into()));
        }
        if config == "{}" {
            self.created.set(self.created.get() + 1);
            // Once before the run, and once while it is asked to describe itself.
            if self.fault == Fault::CreatesOnce && self.created.get() == 4 {
                return Err(CreateFailure::Refused("already there".into()));
            }
        }
        match (serde_json::from_str::<serde_json::Value>(config), self.fault) {
            (Ok(_), _) => Ok(()),
            (Err(error), Fault::DiesOfGarbage) => Err(CreateFailure::Failed(error.to_string())),
            (Err(error), _) => Err(CreateFailure::Refused(error.to_string())),
        }
    }

    fn metered_balancer(&self, config: &str) -> Result<Option<Box<dyn Balancer>>, CreateFailure> {
        // It takes its time with so many endpoints; once for each kind is enough.
        let is_counted = matches!(self.fault, Fault::None | Fault::LooksAtEachTooOften);
        Ok(self.balancers(config, 0, 1)?.pop().filter(|_| is_counted))
    }

    fn balancers(&self, _: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn Balancer>>, CreateFailure> {
        let instance = self.instance();
        Ok((0..count).map(|number| instance.balancer((u64::from(worker) << 32) | u64::from(number))).collect())
    }
}

/// Where policies of one kind live together.
#[derive(Clone, Debug)]
pub struct Instance {
    kind: Kind,
    fault: Fault,
    common: Common,
}

impl Instance {
    pub fn balancer(&self, seed: u64) -> Box<dyn Balancer> {
        self.common.policies.set(self.common.policies.get() + 1);
        Box::new(Policy::new(self.kind, self.fault, seed, self.common.clone()))
    }
}
