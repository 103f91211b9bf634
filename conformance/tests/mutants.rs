//! The suite itself: a sound balancer passes, and each broken one fails just the property that it breaks.

use plimsoll_conformance::{Availability, Balancer, CreateFailure, Endpoint, Settings, Subject, run};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    IgnoresDraining,
    ChoosesFromNone,
    SkipsTheOnlyOne,
    RepeatsTried,
    ShufflesKeys,
    DiesOfGarbage,
    CreatesOnce,
}

struct Mutant {
    fault: Fault,
    created: std::cell::Cell<u32>,
}

impl Subject for Mutant {
    fn roles(&self) -> Vec<String> {
        vec!["balancer".into()]
    }

    fn create(&self, _role: &str, config: &str) -> Result<(), CreateFailure> {
        self.created.set(self.created.get() + 1);
        if self.fault == Fault::CreatesOnce && self.created.get() == 2 {
            return Err(CreateFailure::Refused("already there".into()));
        }
        match (serde_json::from_str::<serde_json::Value>(config), self.fault) {
            (Ok(_), _) => Ok(()),
            (Err(error), Fault::DiesOfGarbage) => Err(CreateFailure::Failed(error.to_string())),
            (Err(error), _) => Err(CreateFailure::Refused(error.to_string())),
        }
    }

    fn balancer(&self, _config: &str) -> Result<Box<dyn Balancer>, CreateFailure> {
        Ok(Box::new(Modulo { fault: self.fault, endpoints: Vec::new(), turn: 0, generation: 0 }))
    }
}

/// Key, or turn, modulo the number of endpoints.
struct Modulo {
    fault: Fault,
    endpoints: Vec<Endpoint>,
    turn: u64,
    generation: u64,
}

impl Balancer for Modulo {
    fn set_endpoints(&mut self, endpoints: &[Endpoint]) {
        self.endpoints = endpoints.to_vec();
        self.generation += 1;
    }

    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String> {
        let may = |endpoint: &&Endpoint| match self.fault {
            // While there are others, so that nothing but this property notices.
            Fault::IgnoresDraining if self.endpoints.iter().any(Endpoint::takes_new) && self.endpoints.len() > 5 => {
                endpoint.weight > 0 && endpoint.availability != Availability::Unavailable
            }
            _ => endpoint.takes_new(),
        };
        let mut ready: Vec<u32> = self.endpoints.iter().filter(may).map(|endpoint| endpoint.slot).collect();
        if self.fault == Fault::ChoosesFromNone && ready.is_empty() && self.endpoints.len() == 4 && self.generation == 7
        {
            return Ok(Some(0));
        }
        if self.fault != Fault::RepeatsTried {
            ready.retain(|slot| !tried.contains(slot));
        }
        if ready.is_empty() {
            return Ok(None);
        }
        self.turn += 1;
        if self.fault == Fault::SkipsTheOnlyOne && self.endpoints.len() == 5 && self.turn == 100 {
            return Ok(None);
        }
        let shift = if self.fault == Fault::ShufflesKeys { self.generation } else { 0 };
        let place = key.map_or(self.turn, |key| key.wrapping_add(shift));
        Ok(Some(ready[(place % ready.len() as u64) as usize]))
    }
}

fn broken(fault: Fault) -> Vec<&'static str> {
    let report = run(&Mutant { fault, created: 0.into() }, &Settings::default());
    eprintln!("{fault:?}\n{report}");
    report.broken()
}

#[test]
fn a_sound_balancer_passes() {
    assert_eq!(broken(Fault::None), Vec::<&str>::new());
}

#[test]
fn each_mutant_fails_the_property_it_breaks_and_no_other() {
    for (fault, property) in [
        (Fault::CreatesOnce, "G2"),
        (Fault::DiesOfGarbage, "G3"),
        (Fault::IgnoresDraining, "B1"),
        (Fault::ChoosesFromNone, "B2"),
        (Fault::SkipsTheOnlyOne, "B3"),
        (Fault::RepeatsTried, "B4"),
        (Fault::ShufflesKeys, "B6"),
    ] {
        assert_eq!(broken(fault), [property], "{fault:?}");
    }
}
