//! From a configuration to workers that serve by it: everything that it needs is made first, then it goes live whole.

mod build;
mod check;
mod commit;
mod dry_run;
mod placement;
mod prepare;
mod shadow;
mod sockets;
mod tables;
mod try_probe;

pub(super) use build::{Uses, check_schemas};
pub use check::check;
pub use dry_run::{Changes, ConfigChanges};
pub(super) use placement::Placements;
pub(super) use prepare::{Prepared, Wanted, missing_roles};
pub(super) use sockets::Sockets;
pub(super) use tables::prepare_endpoints;
pub use try_probe::{TriedProbe, TryProbeError, try_probe};
