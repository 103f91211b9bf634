use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use wasmtime::component::{Component, Linker};

use super::breaker::Breaker;
use super::component::{Plugin, Source};
use super::contract::{self, Contract, PACKAGE, SERVED, Spoken};
use super::digest::digest_of;
use super::engine::{Engine, Limits};
use super::fault::Faults;
use super::grants::Grants;
use super::live;
use super::memory::Services;
use super::policy::Role;
use crate::telemetry::{is_unprintable, printable_within};

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
    #[error("it exports no `{PACKAGE}lifecycle`, so it is not a plugin of this proxy; its exports: {0}")]
    NotAPlugin(String),
    #[error(
        "it speaks version {spoken} of the plugin contract, and this proxy speaks {served}: build it with an SDK of that version"
    )]
    OtherContract { spoken: String, served: String },
    #[error("its `{0}` is not that of the plugin contract: it was built for a draft, or for a later version")]
    Unfit(String),
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
            Self::OtherContract { .. } => "other_contract",
            Self::Unfit(_) => "unfit_interface",
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
        let digest = digest_of(bytes);
        let component = engine.compile(bytes, &digest).map_err(|error| LoadError::Invalid(first_line(&error)))?;
        let contract = check_contract(engine, &component)?;
        let imports = check_imports(engine, &component, &grants)?;
        let not_a_plugin = || LoadError::NotAPlugin(export_names(engine, &component));
        let contract = contract.ok_or_else(not_a_plugin)?;
        let mut linker = Linker::new(&engine.wasmtime);
        (contract.link)(&mut linker, &grants).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let pre = linker.instantiate_pre(&component).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let exports = (contract.find)(&pre).ok_or_else(not_a_plugin)?;
        let roles: Vec<Role> = exports.roles.iter().map(|role| role.role()).collect();
        check_roles(engine, &component, &roles)?;
        let mut plugin = Self {
            name: "unnamed".into(),
            version: String::new(),
            summary: String::new(),
            profiles: Vec::new(),
            digest,
            size_bytes: bytes.len(),
            roles,
            imports,
            config_schemas: BTreeMap::new(),
            source,
            limits,
            grants,
            breaker: Breaker::default(),
            faults: Faults::default(),
            pre,
            exports: Arc::new(exports),
        };
        plugin.take_manifest(services)?;
        if let Some(name) = name {
            plugin.name = name.into();
        }
        Ok(plugin)
    }

    fn take_manifest(&mut self, services: &Arc<Services>) -> Result<(), LoadError> {
        let manifest = live::describe(self, services).map_err(LoadError::Start)?;
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
        if let Some(name) = manifest.profiles.iter().find(|name| !is_profile(name)) {
            let name = printable_within(name, 64);
            return Err(LoadError::Manifest(format!("`{name}` in its profiles is no name, such as balancer/weighted")));
        }
        if manifest.profiles.len() > MOST_PROFILES {
            return Err(LoadError::Manifest(format!("it claims more than {MOST_PROFILES} profiles")));
        }
        if let Some(name) = manifest.more.first() {
            let name = printable_within(name, 64);
            return Err(LoadError::Manifest(format!("this proxy does not know `{name}` in it")));
        }
        for (role, text) in manifest.config_schemas {
            let (role, schema) = schema(&role, &text).map_err(LoadError::Manifest)?;
            self.config_schemas.insert(role, schema);
        }
        self.name = manifest.name.into();
        self.version = manifest.version;
        self.summary = manifest.summary;
        self.profiles = manifest.profiles;
        Ok(())
    }
}

const MOST_PROFILES: usize = 32;

/// Whether it can be the name of a profile of the conformance suite. Which there are, the suite knows.
fn is_profile(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'-'))
}

/// The schema of a role's configuration.
fn schema(role: &str, text: &str) -> Result<(Role, serde_json::Value), String> {
    let of = |what: &str, error: &dyn fmt::Display| {
        format!(
            "config schema of {} is {what}: {}",
            printable_within(role, 64),
            printable_within(&error.to_string(), 256)
        )
    };
    let known = Role::named(role).ok_or_else(|| of("for no role", &"expected the name of one"))?;
    let schema = serde_json::from_str(text).map_err(|error| of("not JSON", &error))?;
    jsonschema::validator_for(&schema).map_err(|error| of("not a JSON Schema", &error))?;
    Ok((known, schema))
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

/// The version of the contract that serves a component; none when it speaks of the contract nowhere.
fn check_contract(engine: &Engine, component: &Component) -> Result<Option<&'static Contract>, LoadError> {
    let ty = component.component_type();
    let imports = ty.imports(&engine.wasmtime).map(|(name, _)| name);
    let exports = ty.exports(&engine.wasmtime).map(|(name, _)| name);
    match contract::spoken(&SERVED, imports.chain(exports)) {
        Spoken::Served(place) => Ok(SERVED.get(place)),
        Spoken::Other(spoken) => Err(LoadError::OtherContract { spoken, served: contract::served() }),
        Spoken::None => Ok(None),
    }
}

/// A role that a component exports, and that the host does not find in it, has other functions than the host would call.
fn check_roles(engine: &Engine, component: &Component, found: &[Role]) -> Result<(), LoadError> {
    for (name, _) in component.component_type().exports(&engine.wasmtime) {
        let interface = name.strip_prefix(PACKAGE).and_then(|rest| rest.split('@').next());
        if let Some(role) = interface.and_then(Role::named)
            && !found.contains(&role)
        {
            return Err(LoadError::Unfit(name.to_owned()));
        }
    }
    if found.is_empty() { Err(LoadError::NoRole) } else { Ok(()) }
}

/// Packages of WASI 0.2 that there are for toolchains that cannot do without; see `super::wasi` for what is in them.
const WASI: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

fn check_imports(engine: &Engine, component: &Component, grants: &Grants) -> Result<Vec<String>, LoadError> {
    let ty = component.component_type();
    let mut imports = Vec::new();
    for (name, _) in ty.imports(&engine.wasmtime) {
        imports.push(name.to_owned());
        let grant = if let Some(rest) = name.strip_prefix(PACKAGE) {
            let interface = rest.split('@').next().unwrap_or(rest);
            // Everybody may tell of a panic; without the grant nothing else is written.
            if matches!(interface, "types" | "log") {
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
