//! A specimen of the conformance suite as a component: it is written against the traits of the suite, and here it gets
//! its endpoints, its clock and its loads from a proxy. Which one it is stands in the component as text, for a test to
//! write over: so one build serves for all specimens of a role, and they take any configuration.

mod fleet;
mod policies;
mod spent;
mod words;

use std::hint::black_box;

pub use fleet::Fleet;
pub use plimsoll_conformance as suite;
pub use plimsoll_mutants as mutants;
pub use policies::{Living, Policies, Policy};
pub use spent::Spent;
pub use words::{attribute, headers, outcome};

/// Where the name stands, after the marker, filled up with spaces.
#[used]
static NAME: [u8; 96] =
    *b"the name of the specimen stands here ->                                                         ";

/// Name of the specimen that this component is.
pub fn name() -> &'static str {
    // Read from memory, where it may have been changed since this was compiled.
    let text = str::from_utf8(black_box(&NAME[..])).expect("a name is ASCII");
    text.rsplit("-> ").next().unwrap_or_default().trim_end()
}

/// Exports a component: its role, and what is the same for all roles.
#[macro_export]
macro_rules! component {
    ($component:ident, $policies:ident, $role:ident, $export:ident) => {
        impl ::plimsoll_sdk::__private::wit::lifecycle::Guest for $component {
            fn describe() -> ::plimsoll_sdk::__private::wit::lifecycle::Manifest {
                let about = $policies.with_borrow($crate::Policies::describe);
                let schemas = about.config_schemas.into_iter();
                let schemas = schemas.map(|(_, schema)| (stringify!($role).to_owned(), schema)).collect();
                let name = concat!("mutant-", stringify!($role));
                let profiles = about.profiles.join(",");
                ::plimsoll_sdk::__private::manifest(name, &about.version, &about.summary, &profiles, schemas)
            }

            fn save(_: String, policy: u32) -> Vec<u8> {
                $policies.with_borrow_mut(|policies| policies.call(policy, |p| p.living.save()))
            }

            fn restore(_: String, policy: u32, state: Vec<u8>) -> bool {
                $policies.with_borrow_mut(|policies| policies.call(policy, |p| p.living.restore(&state)))
            }
        }

        #[allow(unsafe_code, reason = "the exported functions of the component")]
        const _: () = {
            use ::plimsoll_sdk::__private::wit::{lifecycle, $role};
    lifecycle::export_lifecycle!($component with_types_in lifecycle);
    $role::$export!($component with_types_in $role);
        };
    };
}
