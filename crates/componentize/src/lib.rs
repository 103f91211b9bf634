//! From a plugin crate to a component: `guest` runs cargo for wasm32-unknown-unknown, `script` what another language says,
//! `component` wraps the core module that comes out, and `target` sees to it that the compiler can do it at all. Used by
//! the host's build script, by the command line and by xtask.

mod component;
mod guest;
mod script;
mod target;

pub use component::{Component, component_from_module};
pub use guest::{Build, build_guest, build_workspace};
pub use target::{TARGET, ensure_target};
