//! The control plane: what runs beside the workers and never makes them wait. It owns the configuration and its
//! versions, the plugins and theirs, the membership of clusters, and health.

mod apply;
mod build;
mod cluster;
mod dry_run;
mod endpoints;
mod file;
mod gate;
mod hearing;
mod membership;
mod placement;
mod plugins;
mod prepare;
mod probing;
mod report;
mod sockets;
mod state;
mod store;
mod task;
mod tasks;
mod warmth;

pub use apply::{ApplyError, check};
pub use cluster::{HealthState, Member};
pub use dry_run::{Changes, ConfigChanges};
pub use endpoints::{EndpointPatch, PatchError};
pub use gate::{Broken, Judgement, Skipped};
pub use membership::{AmendError, EndpointChange, SourceReport};
pub use plugins::{PluginError, Refusal, Upload};
pub use report::{ClusterReport, ConfigVersion, EndpointReport, PluginReport, Status, UnresolvedReport};
pub use state::{Control, Settings};
