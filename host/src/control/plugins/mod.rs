//! The plugins that there are, by name: their versions, what is kept of them on disk, and how another version takes the place
//! of the live one.

mod conditions;
mod entry;
mod error;
mod gate;
mod keeping;
mod loader;
mod look;
mod recording;
mod recordings;
mod removal;
mod rollback;
mod rollout;
mod shadow;
mod shadows;
mod signature;
mod store;
mod upload;
mod version;

pub use conditions::{Conditions, ShadowDecisions};
pub(super) use entry::{PluginEntries, PluginEntry, built_in};
pub use error::{PluginError, Refusal};
pub(super) use gate::Gate;
pub use gate::{Broken, Judgement, Skipped};
pub(super) use loader::Loader;
pub(super) use recordings::Recordings;
pub use recordings::{RecordingBounds, RecordingReport, RecordingState};
pub(super) use shadows::Shadows;
pub use shadows::{ShadowReport, ShadowRole, ShadowState};
pub(super) use signature::TrustedKeys;
pub use signature::{Component, MOST_COMPONENT_BYTES, signature_path};
pub(super) use store::Store;
pub(super) use version::Earlier;
pub use version::Upload;
