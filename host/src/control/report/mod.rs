//! What is told of the control plane: by the admin API, and by metrics.

mod plugins;
mod status;

pub use plugins::{PluginDetail, PluginReport, PluginUse, PluginVersion, UploadReport};
pub use status::{ClusterReport, ConfigVersion, EndpointReport, ProbeReport, Status, UnresolvedReport};
