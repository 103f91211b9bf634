//! The control plane: what runs beside the workers and never makes them wait. It owns the configuration and its
//! versions (`desired`), who the members of clusters are (`membership`), the plugins and their versions (`plugins`), the certificates of listeners (`certificates`), and how all
//! of that reaches the workers (`rollout`). `state` is what these parts have in common; none of them knows another's insides.

mod beside;
mod certificates;
mod desired;
mod membership;
mod mistake;
mod overload;
mod plugins;
mod report;
mod rollout;
mod start;
mod state;
mod task;

pub use certificates::{CertificateError, CertificateReport};
pub use desired::ApplyError;
pub use membership::{AmendError, EndpointChange, EndpointPatch, Event, HealthState, Member, PatchError, SourceReport};
pub(crate) use overload::raise_open_files;
pub use plugins::{
    Broken, Component, Conditions, Judgement, MOST_COMPONENT_BYTES, PluginError, RecordingBounds, RecordingReport,
    RecordingState, Refusal, ShadowDecisions, ShadowReport, ShadowRole, ShadowState, Skipped, Upload, signature_path,
};
pub use report::{
    ClusterReport, ConfigVersion, EndpointReport, PluginDetail, PluginReport, PluginUse, PluginVersion, ProbeReport,
    Status, UnresolvedReport, UploadReport,
};
pub use rollout::{Changes, ConfigChanges, TriedProbe, TryProbeError, check, try_probe};
pub use state::{Control, Settings};
