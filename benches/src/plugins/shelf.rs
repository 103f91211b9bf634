use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use plimsoll::plugin::{Engine, Grants, Instance, Limits, Plugin, Services, Source};
use plimsoll_componentize::Component;
use serde_json::{Map, Value, json};

use crate::measure::{Case, Measured, median, timed_on_all_threads};
use crate::report::{human, mark};

/// All built-in plugins, compiled.
pub(super) struct Shelf {
    services: Arc<Services>,
    pub(super) loaded: Vec<Loaded>,
}

pub(super) struct Loaded {
    pub(super) plugin: Arc<Plugin>,
    /// Processor time of all threads, of several times.
    loads: Vec<Duration>,
}

/// What a component may have.
const ALLOWED_BYTES: usize = 64 * 1024;

impl Loaded {
    pub(super) fn is_small(&self) -> bool {
        self.plugin.size_bytes <= ALLOWED_BYTES
    }
}

/// How often each is compiled. It takes long enough that a few times tell.
const LOADS: usize = 7;

impl Shelf {
    pub(super) fn load(components: &[Component]) -> Result<Self> {
        let engine = Engine::new()?;
        let services = Arc::new(Services::new(b"a secret of the operator's", Arc::default()));
        let mut shelf = Self { services, loaded: Vec::new() };
        for component in components {
            let mut loads = Vec::with_capacity(LOADS);
            let mut plugin = None;
            for _ in 0..LOADS {
                loads.push(timed_on_all_threads(|| {
                    plugin = Some(shelf.load_one(&engine, component)?);
                    Ok(())
                })?);
            }
            let plugin = Arc::new(plugin.context("a component is loaded at least once")?);
            shelf.loaded.push(Loaded { plugin, loads });
        }
        Ok(shelf)
    }

    fn load_one(&self, engine: &Engine, component: &Component) -> Result<Plugin> {
        let name = Some(component.name.as_str());
        let (source, grants) = (Source::BuiltIn, Grants::default());
        Ok(Plugin::load(engine, &self.services, name, &component.bytes, source, grants, Limits::default())?)
    }

    /// Starts instances of a plugin.
    pub(super) fn starter(&self, name: &str) -> Result<impl Fn() -> Result<Instance> + use<>> {
        let found = self.loaded.iter().find(|loaded| &*loaded.plugin.name == name);
        let plugin = found.with_context(|| format!("there is no built-in plugin `{name}`"))?.plugin.clone();
        let services = self.services.clone();
        Ok(move || Instance::start(plugin.clone(), services.clone(), 0).map_err(|error| anyhow!("{error}")))
    }

    pub(super) fn start_case(&self, loaded: &Loaded) -> Result<Case> {
        let name = &*loaded.plugin.name;
        let start = self.starter(name)?;
        Ok(Case::new(format!("{name}: start and end of an instance"), move |_| start()))
    }

    pub(super) fn table(&self, started: &[Measured]) -> String {
        let mut text = String::from("| plugin | size | load | start |\n|---|---:|---:|---:|\n");
        for (loaded, started) in self.loaded.iter().zip(started) {
            let Plugin { name, size_bytes, .. } = &*loaded.plugin;
            let loads: Vec<f64> = loaded.loads.iter().map(|load| load.as_secs_f64() * 1e9).collect();
            let (load, start) = (human(median(&loads)), human(started.median()));
            let size = format!("{:.1} KiB {}", *size_bytes as f64 / 1024.0, mark(Some(loaded.is_small())));
            let _ = writeln!(text, "| {name} | {size} | {load} | {start} |");
        }
        text
    }

    pub(super) fn raw(&self) -> Map<String, Value> {
        let plugins = self.loaded.iter().map(|Loaded { plugin, loads }| {
            let loads: Vec<f64> = loads.iter().map(|load| load.as_micros() as f64 / 1e3).collect();
            json!({ "name": &*plugin.name, "size_bytes": plugin.size_bytes, "load_ms": loads })
        });
        Map::from_iter([("plugins".to_owned(), plugins.collect())])
    }
}
