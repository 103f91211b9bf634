use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre, Linker};

use super::api::v0_1::exports::plimsoll::plugin as exports;
use super::breaker::Breaker;
use super::engine::{Engine, Limits};
use super::imports::{self, Guest};
use super::instance;
use super::memory::Services;
use super::policy::{ConfigMistake, Role};
use crate::telemetry::{is_unprintable, printable_within};

/// Package and version of the contract that this host serves.
const CONTRACT: &str = "plimsoll:plugin/";
const CONTRACT_VERSION: &str = "0.1";

/// The host interfaces that the operator lets a plugin import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants(BTreeSet<String>);

impl Grants {
    /// Names of all grants; `wasi` is the only one that must be asked for.
    pub const ALL: [&'static str; 8] = ["log", "metrics", "clock", "random", "counters", "keys", "table", "wasi"];

    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// All of them, for tools that only look at a plugin.
    pub fn everything() -> Self {
        Self::new(Self::ALL)
    }
}

impl Default for Grants {
    fn default() -> Self {
        Self::new(Self::ALL.into_iter().filter(|name| *name != "wasi"))
    }
}

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
    pub(super) pre: InstancePre<Guest>,
    pub(super) exports: Exports,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.source)
    }
}

/// Which role interfaces a component exports.
#[derive(Clone)]
pub(super) struct Exports {
    pub(super) lifecycle: exports::lifecycle::GuestIndices,
    pub(super) router: Option<exports::router::GuestIndices>,
    pub(super) balancer: Option<exports::balancer::GuestIndices>,
    pub(super) partitioner: Option<exports::partitioner::GuestIndices>,
    pub(super) affinity: Option<exports::affinity::GuestIndices>,
    pub(super) health: Option<exports::health::GuestIndices>,
    pub(super) prober: Option<exports::prober::GuestIndices>,
    pub(super) filter: Option<exports::filter::GuestIndices>,
}

/// Why bytes did not become a plugin. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the component has {size} bytes, the limit is {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("not WebAssembly: the first bytes are not those of a component")]
    NotWasm,
    #[error(
        "a core WebAssembly module, not a component: `plimsoll plugin build` makes one, or the wit-component library"
    )]
    CoreModule,
    #[error("not a valid component: {0}")]
    Invalid(String),
    #[error(
        "it exports no `{CONTRACT}lifecycle@{CONTRACT_VERSION}.x`, so it is not a plugin of this proxy; its exports: {0}"
    )]
    NotAPlugin(String),
    #[error("it exports none of the roles: {}", Role::ALL.map(Role::as_str).join(", "))]
    NoRole,
    #[error("it imports `{interface}`, which is not granted: add `{grant}` to the plugin's `grants`")]
    NotGranted { interface: String, grant: String },
    #[error("it imports `{0}`, which this proxy does not offer")]
    UnknownImport(String),
    #[error("it failed while being started: {0}")]
    Start(String),
    #[error("its description is not usable: {0}")]
    Manifest(String),
}

impl LoadError {
    /// Short name for the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NotWasm => "not_wasm",
            Self::CoreModule => "core_module",
            Self::Invalid(_) => "invalid_component",
            Self::NotAPlugin(_) => "not_a_plugin",
            Self::NoRole => "no_role",
            Self::NotGranted { .. } => "not_granted",
            Self::UnknownImport(_) => "unknown_import",
            Self::Start(_) => "start_failed",
            Self::Manifest(_) => "bad_manifest",
        }
    }
}

impl Plugin {
    /// Checks and compiles a component, starts it once and asks it who it is. Takes from milliseconds to seconds of
    /// processor time: not for a worker's thread. `name` is what the configuration calls it, in the place of its own.
    pub fn load(
        engine: &Engine,
        services: &Arc<Services>,
        name: Option<&str>,
        bytes: &[u8],
        source: Source,
        grants: Grants,
        limits: Limits,
    ) -> Result<Self, LoadError> {
        check_preamble(bytes, &limits)?;
        let component =
            Component::new(&engine.wasmtime, bytes).map_err(|error| LoadError::Invalid(first_line(&error)))?;
        let imports = check_imports(engine, &component, &grants)?;
        let mut linker = Linker::new(&engine.wasmtime);
        imports::link(&mut linker, &grants).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let pre = linker.instantiate_pre(&component).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let exports = Exports::find(&pre).ok_or_else(|| LoadError::NotAPlugin(export_names(engine, &component)))?;
        let roles = exports.roles();
        if roles.is_empty() {
            return Err(LoadError::NoRole);
        }
        let mut plugin = Self {
            name: "unnamed".into(),
            version: String::new(),
            summary: String::new(),
            digest: Self::digest_of(bytes),
            size_bytes: bytes.len(),
            roles,
            imports,
            config_schemas: BTreeMap::new(),
            source,
            limits,
            grants,
            breaker: Breaker::default(),
            pre,
            exports,
        };
        plugin.take_manifest(services)?;
        if let Some(name) = name {
            plugin.name = name.into();
        }
        Ok(plugin)
    }

    /// The same version, for a trial: what it does wrong there is not held against the one that serves.
    pub fn apart(&self) -> Self {
        Self {
            name: self.name.clone(),
            version: self.version.clone(),
            summary: self.summary.clone(),
            digest: self.digest.clone(),
            size_bytes: self.size_bytes,
            roles: self.roles.clone(),
            imports: self.imports.clone(),
            config_schemas: self.config_schemas.clone(),
            source: self.source.clone(),
            limits: self.limits.clone(),
            grants: self.grants.clone(),
            breaker: Breaker::default(),
            pre: self.pre.clone(),
            exports: self.exports.clone(),
        }
    }

    /// SHA-256 in hexadecimal.
    pub fn digest_of(bytes: &[u8]) -> String {
        format!("{:x}", HexDigest(&Sha256::digest(bytes)))
    }

    /// Whether a configuration can refer to a plugin by this name.
    pub fn is_name(name: &str) -> bool {
        name.len() <= 64
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }

    fn take_manifest(&mut self, services: &Arc<Services>) -> Result<(), LoadError> {
        let manifest = instance::describe(self, services).map_err(LoadError::Start)?;
        if !Self::is_name(&manifest.name) {
            return Err(LoadError::Manifest(format!(
                "name {:?} is not of the form [a-z][a-z0-9-]{{0,63}}",
                printable_within(&manifest.name, 64)
            )));
        }
        if manifest.version.len() > 64 || semver::Version::parse(&manifest.version).is_err() {
            let version = printable_within(&manifest.version, 64);
            return Err(LoadError::Manifest(format!("version `{version}` is no semantic version, such as 1.2.3")));
        }
        if manifest.summary.len() > 1024 || manifest.summary.contains(is_unprintable) {
            let summary = printable_within(&manifest.summary, 64);
            return Err(LoadError::Manifest(format!("summary `{summary}` is not one line of at most 1024 bytes")));
        }
        for (role, text) in manifest.config_schemas {
            let schema: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
                LoadError::Manifest(format!(
                    "config schema of {} is not JSON: {}",
                    role.as_str(),
                    printable_within(&error.to_string(), 256)
                ))
            })?;
            jsonschema::validator_for(&schema).map_err(|error| {
                LoadError::Manifest(format!(
                    "config schema of {} is not a JSON Schema: {}",
                    role.as_str(),
                    printable_within(&error.to_string(), 256)
                ))
            })?;
            self.config_schemas.insert(role, schema);
        }
        self.name = manifest.name.into();
        self.version = manifest.version;
        self.summary = manifest.summary;
        Ok(())
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

impl Exports {
    fn find(pre: &InstancePre<Guest>) -> Option<Self> {
        Some(Self {
            lifecycle: exports::lifecycle::GuestIndices::new(pre).ok()?,
            router: exports::router::GuestIndices::new(pre).ok(),
            balancer: exports::balancer::GuestIndices::new(pre).ok(),
            partitioner: exports::partitioner::GuestIndices::new(pre).ok(),
            affinity: exports::affinity::GuestIndices::new(pre).ok(),
            health: exports::health::GuestIndices::new(pre).ok(),
            prober: exports::prober::GuestIndices::new(pre).ok(),
            filter: exports::filter::GuestIndices::new(pre).ok(),
        })
    }

    fn roles(&self) -> Vec<Role> {
        let has = [
            (Role::Router, self.router.is_some()),
            (Role::Balancer, self.balancer.is_some()),
            (Role::Partitioner, self.partitioner.is_some()),
            (Role::Affinity, self.affinity.is_some()),
            (Role::Health, self.health.is_some()),
            (Role::Prober, self.prober.is_some()),
            (Role::Filter, self.filter.is_some()),
        ];
        has.into_iter().filter(|(_, has)| *has).map(|(role, _)| role).collect()
    }
}

fn check_preamble(bytes: &[u8], limits: &Limits) -> Result<(), LoadError> {
    if bytes.len() > limits.component_bytes {
        return Err(LoadError::TooLarge { size: bytes.len(), limit: limits.component_bytes });
    }
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => Err(LoadError::CoreModule),
        _ => Err(LoadError::NotWasm),
    }
}

/// Packages of WASI 0.2 that there are for toolchains that cannot do without; see `super::wasi` for what is in them.
const WASI: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

fn check_imports(engine: &Engine, component: &Component, grants: &Grants) -> Result<Vec<String>, LoadError> {
    let ty = component.component_type();
    let mut imports = Vec::new();
    for (name, _) in ty.imports(&engine.wasmtime) {
        imports.push(name.to_owned());
        let grant = if let Some(rest) = name.strip_prefix(CONTRACT) {
            let interface = rest.split('@').next().unwrap_or(rest);
            if interface == "types" {
                continue;
            }
            interface
        } else if WASI.iter().any(|package| name.starts_with(package)) {
            "wasi"
        } else {
            return Err(LoadError::UnknownImport(name.to_owned()));
        };
        if !Grants::ALL.contains(&grant) {
            return Err(LoadError::UnknownImport(name.to_owned()));
        }
        if !grants.has(grant) {
            return Err(LoadError::NotGranted { interface: name.to_owned(), grant: grant.to_owned() });
        }
    }
    Ok(imports)
}

fn export_names(engine: &Engine, component: &Component) -> String {
    let ty = component.component_type();
    let names: Vec<&str> = ty.exports(&engine.wasmtime).map(|(name, _)| name).take(16).collect();
    if names.is_empty() { "none".to_owned() } else { printable_within(&names.join(", "), 1024) }
}

/// Compilers report with a page of context; a person needs the first line and its cause.
fn first_line(error: &wasmtime::Error) -> String {
    printable_within(format!("{error:#}").lines().next().unwrap_or_default(), 1024)
}

struct HexDigest<'a>(&'a [u8]);

impl fmt::LowerHex for HexDigest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
