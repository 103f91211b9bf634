use std::collections::BTreeMap;

use plimsoll_conformance::{self as suite, CreateFailure, Description};
use plimsoll_mutants::{Role, named};
use plimsoll_sdk::{ConfigError, host};

use crate::{Fleet, Spent};

/// The policies of an instance, by the numbers that the proxy gave them. One that it destroys is kept: it is for the
/// specimen to forget, when it is created again.
pub struct Policies<R: Role, P: ?Sized> {
    instance: Option<R::Instance>,
    all: BTreeMap<u32, Policy<P>>,
}

/// A policy, with the endpoints that it was told and what it has spent.
pub struct Policy<P: ?Sized> {
    pub living: Box<P>,
    pub fleet: Fleet,
    pub spent: Spent,
}

/// What the policies of every role do.
pub trait Living {
    fn create_again(&mut self) -> Result<(), String>;
    fn set_now_ms(&mut self, now_ms: u64);
    fn memory_bytes(&self) -> Option<u64>;
    fn save(&mut self) -> Result<Vec<u8>, String>;
    fn restore(&mut self, state: &[u8]) -> Result<bool, String>;
}

impl<R: Role, P: Living + ?Sized> Policies<R, P> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { instance: None, all: BTreeMap::new() }
    }

    pub fn describe(&self) -> Description {
        native::<R>().describe().expect("it describes itself")
    }

    /// The policy of this number, made by `make` if there was none.
    pub fn create(
        &mut self,
        number: u32,
        config: &str,
        make: impl FnOnce(&R::Instance) -> Result<Box<P>, CreateFailure>,
    ) -> Result<&mut P, Vec<ConfigError>> {
        native::<R>().create(R::NAME, config).map_err(refusal)?;
        if let Some(destroyed) = self.all.get_mut(&number) {
            destroyed.living.create_again().expect("the specimen is alive");
        } else {
            let instance = self.instance.get_or_insert_with(|| native::<R>().instance());
            let living = make(instance).map_err(refusal)?;
            self.all.insert(number, Policy { living, fleet: Fleet::default(), spent: Spent::default() });
        }
        Ok(&mut *self.all.get_mut(&number).expect("it was created").living)
    }

    /// Calls a policy. What it calls a failure is a trap.
    pub fn call<T>(&mut self, number: u32, call: impl FnOnce(&mut Policy<P>) -> Result<T, String>) -> T {
        let policy = self.all.get_mut(&number).expect("a policy of this number");
        policy.living.set_now_ms(host::now_ms());
        let answer = call(policy).expect("the specimen is alive");
        policy.spent.memory(policy.living.memory_bytes());
        answer
    }
}

fn native<R: Role>() -> R {
    named(crate::name()).expect("the name of a specimen")
}

fn refusal(failure: CreateFailure) -> Vec<ConfigError> {
    match failure {
        CreateFailure::Refused(message) => vec![ConfigError { path: String::new(), message }],
        CreateFailure::Failed(why) => panic!("{why}"),
    }
}

/// By the trait of the suite that has the functions; evaluators of health are handed the time by their calls.
macro_rules! living {
    ($($role:ident: $functions:ident $(, $set_now_ms:ident)?;)*) => { $(
        impl Living for dyn suite::$role {
            fn create_again(&mut self) -> Result<(), String> {
                suite::$functions::create_again(self)
            }

            fn set_now_ms(&mut self, _now_ms: u64) {
                $( suite::$functions::$set_now_ms(self, _now_ms); )?
            }

            fn memory_bytes(&self) -> Option<u64> {
                suite::$functions::memory_bytes(self)
            }

            fn save(&mut self) -> Result<Vec<u8>, String> {
                suite::$functions::save(self)
            }

            fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
                suite::$functions::restore(self, state)
            }
        }
    )* };
}

living! {
    Balancer: Balancer, set_now_ms;
    Affinity: Affinity, set_now_ms;
    Health: Health;
    Router: Policy, set_now_ms;
    Prober: Policy, set_now_ms;
    Partitioner: Policy, set_now_ms;
    Discovery: Policy, set_now_ms;
}
