//! From a plugin crate to a component: `guest` runs cargo for wasm32-unknown-unknown, `component` wraps the core module
//! that comes out, and `target` sees to it that the compiler can do it at all. Used by the host's build script, by the
//! command line and by xtask.

mod component;
mod guest;
mod target;

pub use component::component_from_module;
pub use guest::{Build, Component, build_guest, build_workspace};
pub use target::{TARGET, ensure_target};
