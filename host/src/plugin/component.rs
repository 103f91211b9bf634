use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::InstancePre;

use super::api::v0_2::exports::plimsoll::plugin::lifecycle;
use super::breaker::Breaker;
use super::candidate::candidate_name;
use super::engine::Limits;
use super::fault::Faults;
use super::grants::Grants;
use super::guest::Guest;
use super::policy::{ConfigMistake, Role};
use super::role::Offer;
use crate::telemetry::printable_within;

/// Where a plugin's bytes came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Shipped inside the proxy.
    BuiltIn,
    /// A file that the configuration names.
    File(PathBuf),
    /// Sent to the admin API.
    Upload,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Upload => f.write_str("upload"),
        }
    }
}

/// One version of a plugin: checked, compiled, ready to be instantiated.
pub struct Plugin {
    pub name: Arc<str>,
    pub version: String,
    pub summary: String,
    /// What it claims to be, for the conformance suite.
    pub profiles: Vec<String>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    pub size_bytes: usize,
    pub roles: Vec<Role>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// JSON Schema of a policy's configuration, per role.
    pub config_schemas: BTreeMap<Role, serde_json::Value>,
    pub source: Source,
    pub limits: Limits,
    pub grants: Grants,
    pub breaker: Breaker,
    pub faults: Faults,
    pub(super) pre: InstancePre<Guest>,
    pub(super) exports: Arc<Exports>,
}

/// What a component has for the host to call.
pub(super) struct Exports {
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) roles: Vec<Box<dyn Offer>>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.source)
    }
}

impl Plugin {
    /// The same version, for a trial: what it does wrong there is not held against the one that serves.
    pub fn apart(&self) -> Self {
        Self {
            name: self.name.clone(),
            version: self.version.clone(),
            summary: self.summary.clone(),
            profiles: self.profiles.clone(),
            digest: self.digest.clone(),
            size_bytes: self.size_bytes,
            roles: self.roles.clone(),
            imports: self.imports.clone(),
            config_schemas: self.config_schemas.clone(),
            source: self.source.clone(),
            limits: self.limits.clone(),
            grants: self.grants.clone(),
            breaker: Breaker::default(),
            faults: Faults::default(),
            pre: self.pre.clone(),
            exports: self.exports.clone(),
        }
    }

    /// The same version, to decide beside the live one.
    pub fn as_candidate(&self) -> Self {
        Self { name: candidate_name(&self.name).into(), ..self.apart() }
    }

    /// Whether a configuration can refer to a plugin by this name.
    pub fn is_name(name: &str) -> bool {
        name.len() <= 64
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }

    /// Mistakes of a policy's configuration against the plugin's own schema, so that the operator hears of all at once.
    pub fn check_config(&self, role: Role, config: &serde_json::Value) -> Vec<ConfigMistake> {
        let Some(validator) = self.config_schemas.get(&role).and_then(|schema| jsonschema::validator_for(schema).ok())
        else {
            return Vec::new();
        };
        validator
            .iter_errors(config)
            .take(32)
            .map(|error| ConfigMistake {
                path: error.instance_path().to_string(),
                message: printable_within(&error.to_string(), 1024),
            })
            .collect()
    }
}
