//! What the mutants of the roles beside balancers have in common.

use std::cell::Cell;
use std::rc::Rc;

use plimsoll_conformance::{CreateFailure, Description};

/// The description of a plugin of one role.
pub(crate) fn description(role: &str) -> Description {
    Description {
        name: "native".into(),
        version: "0.1.0".into(),
        summary: String::new(),
        config_schemas: vec![(role.into(), r#"{"type":"object"}"#.into())],
        profiles: Vec::new(),
    }
}

pub(crate) fn parsed(config: &str) -> Result<serde_json::Value, CreateFailure> {
    let value: serde_json::Value =
        serde_json::from_str(config).map_err(|error| CreateFailure::Refused(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(CreateFailure::Refused("no object".into())) }
}

/// Numbers that look random.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    seeded: fastrand::Rng,
    /// Shared by all that was ever made of a subject.
    chaos: Rc<Cell<u64>>,
}

impl Draws {
    pub(crate) fn new(seed: u64, chaos: &Rc<Cell<u64>>) -> Self {
        Self { seeded: fastrand::Rng::with_seed(seed), chaos: chaos.clone() }
    }

    pub(crate) fn below(&mut self, bound: u32, is_chaos: bool) -> u32 {
        if !is_chaos {
            return self.seeded.u32(..bound);
        }
        self.chaos.set(self.chaos.get() + 1);
        fastrand::Rng::with_seed(self.chaos.get()).u32(..bound)
    }
}

/// What subjects of the roles beside balancers answer alike.
macro_rules! subject_of_role {
    ($role:literal) => {
        fn roles(&self) -> Vec<String> {
            vec![$role.into()]
        }

        fn digest(&self) -> String {
            "none".into()
        }

        fn describe(&self) -> Result<plimsoll_conformance::Description, String> {
            Ok($crate::role::description($role))
        }

        fn create(&self, _: &str, config: &str) -> Result<(), CreateFailure> {
            $crate::role::parsed(config).map(drop)
        }
    };
}

/// Implements what policies of all roles do, with the faults that leak, die of foreign state and survive their
/// destruction.
macro_rules! native_policy {
    ($type:ty, $leaks:expr, $dies:expr, $survives:expr) => {
        impl plimsoll_conformance::Policy for $type {
            fn save(&mut self) -> Result<Vec<u8>, String> {
                Ok(b"state".to_vec())
            }

            fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
                if self.fault == $dies && state != b"state" {
                    return Err("nobody else saves state".into());
                }
                Ok(state == b"state")
            }

            fn create_again(&mut self) -> Result<(), String> {
                if self.fault == $survives {
                    self.has_survived = true;
                } else {
                    self.begin_anew();
                }
                Ok(())
            }

            fn set_now_ms(&mut self, now_ms: u64) {
                self.now_ms = now_ms;
            }

            fn memory_bytes(&self) -> Option<u64> {
                let leaked = if self.fault == $leaks { self.used * 16_384 } else { 0 };
                Some((1 << 20) + leaked + self.reserved())
            }
        }
    };
}

pub(crate) use native_policy;
pub(crate) use subject_of_role;
