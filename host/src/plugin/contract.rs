//! Versions of the contract, as components speak them: a component names the version in each interface that it imports
//! and exports.

use semver::Version;
use wasmtime::component::{InstancePre, Linker};

use super::component::Exports;
use super::grants::Grants;
use super::guest::Guest;
use super::{imports, roles};

/// What the names of all interfaces of the contract begin with.
pub(super) const PACKAGE: &str = "plimsoll:plugin/";

/// A version of the contract that the host serves. Components of a later patch are served, too, as long as they use
/// nothing that came with it.
pub(super) struct Contract {
    major: u64,
    minor: u64,
    /// Looks for what there is to call.
    pub(super) find: fn(&InstancePre<Guest>) -> Option<Exports>,
    /// Offers what may be called, as far as it is granted.
    pub(super) link: fn(&mut Linker<Guest>, &Grants) -> wasmtime::Result<()>,
}

/// All versions. One more is a file of bindings in `api`, a line here, and for each role whose interface it changed a
/// variant in that role's file: what the rest of the host sees of a role knows no version.
pub(super) const SERVED: [Contract; 1] = [Contract { major: 0, minor: 2, find: roles::find_all, link: imports::link }];

/// Which version a component speaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// The one at this place.
    Served(usize),
    /// One that is not served, or several.
    Other(String),
    /// It is of another world.
    None,
}

/// The version that a component with these imports and exports speaks.
pub(super) fn spoken<'a>(served: &[Contract], interfaces: impl Iterator<Item = &'a str>) -> Spoken {
    let mut versions: Vec<Version> = interfaces.filter_map(version).collect();
    versions.sort();
    versions.dedup();
    let Some(first) = versions.first() else { return Spoken::None };
    let is_of = |contract: &Contract, version: &Version| {
        contract.major == version.major && contract.minor == version.minor && version.pre.is_empty()
    };
    match served.iter().position(|contract| versions.iter().all(|version| is_of(contract, version))) {
        Some(place) => Spoken::Served(place),
        None if versions.len() == 1 => Spoken::Other(first.to_string()),
        None => Spoken::Other(versions.iter().map(Version::to_string).collect::<Vec<_>>().join(" and ")),
    }
}

fn version(interface: &str) -> Option<Version> {
    let (_, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    Version::parse(version).ok()
}

/// Versions that are served, for people.
pub(super) fn served() -> String {
    SERVED.map(|contract| format!("{}.{}", contract.major, contract.minor)).join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(major: u64, minor: u64) -> Contract {
        Contract { major, minor, find: |_| None, link: |_, _| Ok(()) }
    }

    fn of(interfaces: &[&str]) -> Spoken {
        spoken(&[contract(0, 2), contract(0, 3)], interfaces.iter().copied())
    }

    #[test]
    fn a_component_is_served_by_the_version_that_it_speaks() {
        let two = ["plimsoll:plugin/types@0.2.0", "wasi:io/poll@0.2.3", "plimsoll:plugin/balancer@0.2.0"];
        assert_eq!(of(&two), Spoken::Served(0));
        assert_eq!(of(&["plimsoll:plugin/balancer@0.3.4"]), Spoken::Served(1));
        assert_eq!(of(&["plimsoll:plugin/balancer@0.2.9"]), Spoken::Served(0), "a later patch");
    }

    #[test]
    fn a_version_that_is_not_served_is_told() {
        assert_eq!(of(&["plimsoll:plugin/balancer@0.1.0"]), Spoken::Other("0.1.0".into()));
        assert_eq!(of(&["plimsoll:plugin/balancer@1.2.0"]), Spoken::Other("1.2.0".into()));
        let both = ["plimsoll:plugin/balancer@0.2.0", "plimsoll:plugin/types@0.3.0"];
        assert_eq!(of(&both), Spoken::Other("0.2.0 and 0.3.0".into()));
        assert_eq!(of(&["wasi:http/incoming-handler@0.2.0"]), Spoken::None);
    }
}
