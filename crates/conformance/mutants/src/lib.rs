//! The suite is tested with policies that it must judge rightly: of every role some that are sound, and for each property
//! a mutant, which breaks this one and no other. They are written against the traits of the suite: its own tests run them
//! natively, and `tests/guests/mutant-*` make components of them, which the tests of the proxy run.

pub mod affinity;
pub mod balancer;
pub mod discovery;
pub mod health;
pub mod partitioner;
pub mod prober;
mod role;
pub mod router;

use std::fmt::{self, Debug};

use plimsoll_conformance::Subject;

/// A policy that is known to be sound, or to break one property.
pub struct Specimen {
    /// Role, kind and fault, as in `balancer/Turns/RepeatsTried`.
    pub name: String,
    /// Profiles to hold it against.
    pub selection: &'static str,
    /// Configuration that it is tried with.
    pub config: Option<&'static str>,
    /// The property that it breaks; none when it is sound.
    pub breaks: Option<&'static str>,
    /// False when its fault is one that no component can have, since the proxy does not give it what it would take.
    pub runs_as_component: bool,
    native: Box<dyn Fn() -> Box<dyn Subject>>,
}

impl Specimen {
    /// As it is without WebAssembly.
    pub fn native(&self) -> Box<dyn Subject> {
        (self.native)()
    }
}

impl Debug for Specimen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} breaks {:?}", self.name, self.breaks)
    }
}

/// What a module has of its role.
pub trait Role: Subject + Sized + 'static {
    type Kind: Copy + Debug + 'static;
    type Fault: Copy + Debug + 'static;
    /// What the policies of one instance have in common.
    type Instance;

    const NAME: &str;
    const KINDS: &[Self::Kind];
    const SOUND: Self::Fault;
    /// Each fault with a kind that shows it, and the property that it breaks.
    const MUTANTS: &[(Self::Fault, Self::Kind, &str)];

    fn new(kind: Self::Kind, fault: Self::Fault) -> Self;

    /// A fresh instance, to make policies in.
    fn instance(&self) -> Self::Instance;

    /// Profiles that this one is held against: those that its kind claims, unless the fault belies a claim by itself.
    fn claims(kind: Self::Kind, fault: Self::Fault) -> &'static str;

    fn runs_as_component(_fault: Self::Fault) -> bool {
        true
    }

    /// Configuration that it is tried with.
    fn config(_kind: Self::Kind, _fault: Self::Fault) -> Option<&'static str> {
        None
    }
}

fn specimen<R: Role>(kind: R::Kind, fault: R::Fault, breaks: Option<&'static str>) -> Specimen {
    Specimen {
        name: format!("{}/{kind:?}/{fault:?}", R::NAME),
        selection: R::claims(kind, fault),
        config: R::config(kind, fault),
        breaks,
        runs_as_component: R::runs_as_component(fault),
        native: Box::new(move || Box::new(R::new(kind, fault))),
    }
}

fn of<R: Role>() -> impl Iterator<Item = Specimen> {
    let sound = R::KINDS.iter().map(|kind| specimen::<R>(*kind, R::SOUND, None));
    sound.chain(R::MUTANTS.iter().map(|(fault, kind, property)| specimen::<R>(*kind, *fault, Some(*property))))
}

/// All of them, the sound ones of a role before its mutants.
pub fn specimens() -> Vec<Specimen> {
    let mut all = Vec::new();
    all.extend(of::<balancer::Native>());
    all.extend(of::<affinity::Native>());
    all.extend(of::<health::Native>());
    all.extend(of::<router::Native>());
    all.extend(of::<prober::Native>());
    all.extend(of::<partitioner::Native>());
    all.extend(of::<discovery::Native>());
    all
}

/// The subject of a name, as in [`Specimen::name`].
pub fn named<R: Role>(name: &str) -> Option<R> {
    let kinds = R::KINDS.iter().map(|kind| (*kind, R::SOUND));
    let mut all = kinds.chain(R::MUTANTS.iter().map(|(fault, kind, _)| (*kind, *fault)));
    let (kind, fault) = all.find(|(kind, fault)| format!("{}/{kind:?}/{fault:?}", R::NAME) == name)?;
    Some(R::new(kind, fault))
}
