//! The HTTP face of the control plane. Handlers translate; what they do is done in `control`.

mod api;
mod auth;
mod error;
mod server;

pub(crate) use server::start;
