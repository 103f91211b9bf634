//! The HTTP face of the control plane. Handlers translate; what they do is done in `control`.

mod api;
mod auth;
mod body;
mod certificates;
mod document;
mod error;
mod events;
mod origin;
mod patient;
mod peer;
mod plugins;
mod query;
mod recordings;
mod server;

pub(crate) use server::start;
