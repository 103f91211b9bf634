//! Plimsoll: a load-balancing proxy whose every decision is made by a sandboxed WebAssembly plugin.
//!
//! The life of a request: `listener` accepts it, `proxy` tells its story, `plugin` asks the plugins, `upstream` carries it
//! to an endpoint. Each `worker` is a thread that does all of this alone. `control` owns configuration, plugins and
//! health; `admin` is its HTTP face. See docs/ARCHITECTURE.md and docs/LIFE-OF-A-REQUEST.md.

mod admin;
mod app;
mod builtin;
pub mod cli;
pub mod config;
mod control;
mod demo;
mod error;
mod health;
mod listener;
mod net;
mod plugin;
mod proxy;
mod snapshot;
mod telemetry;
mod timer;
mod upstream;
mod worker;
