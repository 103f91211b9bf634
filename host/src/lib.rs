//! Plimsoll: a load-balancing proxy whose every decision is made by a sandboxed WebAssembly plugin.
//!
//! The life of a request: `listener` accepts it, `proxy` tells its story, `plugin` asks the plugins, `upstream` carries it
//! to an endpoint. Each `worker` is a thread that does all of this alone. `control` owns configuration, plugins and
//! health; `admin` is its HTTP face. See docs/ARCHITECTURE.md and docs/LIFE-OF-A-REQUEST.md.

pub mod acme;
pub mod admin;
mod app;
mod builtin;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod control;
mod demo;
pub mod discovery;
pub mod downstream;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod io;
pub mod listener;
pub mod net;
pub mod plugin;
pub mod proxy;
pub mod simulate;
pub mod snapshot;
pub mod telemetry;
pub mod timer;
pub mod tls;
pub mod upstream;
pub mod worker;
