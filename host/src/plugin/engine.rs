use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::compile_cache::{CompileCache, compile};

/// What one plugin may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Size of an uploaded component, in bytes. Compile time grows with it.
    pub component_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, component_bytes: 32 << 20 }
    }
}

/// The WebAssembly engine of the process, with its ticker thread.
#[derive(Clone)]
pub struct Engine {
    /// For measurements of what this very configuration costs; nothing else outside of `plugin` needs it.
    pub wasmtime: wasmtime::Engine,
    compiled: Option<Arc<CompileCache>>,
    _ticker: Arc<Ticker>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Length of an epoch. Deadlines are counted in it. Each tick wakes a thread, which costs a core 6 µs: twice as often
/// would be 0.6 % more of it, to end a looping plugin 1 ms earlier.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// Instances that may live at once: plugins × (workers + control plane) × 2, since old and new overlap in a swap. Each
/// reserves 4 GiB of address space, so that guests need no bounds checks, but no memory.
const INSTANCES: u32 = 2048;

/// Largest memory limit that a configuration can ask for: the pool's slots are of this size.
pub(crate) const MEMORY_CEILING: usize = 1 << 30;

impl Engine {
    pub fn new() -> anyhow::Result<Self> {
        let engine = wasmtime::Engine::new(&pooled()).or_else(|error| {
            // A limit on address space (ulimit -v, a debugger): slower to instantiate, otherwise the same.
            tracing::warn!("no pool for plugin instances, they are made one by one: {error:#}");
            wasmtime::Engine::new(&config())
        });
        let engine = engine.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Self::of(engine)
    }

    /// Counts what guests execute, which costs them a part of their speed: for trials. One unit is about an instruction.
    pub fn metered() -> anyhow::Result<Self> {
        let mut config = config();
        config.consume_fuel(true);
        let engine = wasmtime::Engine::new(&config).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Self::of(engine)
    }

    fn of(engine: wasmtime::Engine) -> anyhow::Result<Self> {
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self { wasmtime: engine, compiled: CompileCache::of_process(), _ticker: Arc::new(ticker) })
    }

    /// Machine code for a component of this digest, which may have been compiled before.
    pub(super) fn compile(&self, bytes: &[u8], digest: &str) -> wasmtime::Result<Component> {
        match &self.compiled {
            Some(compiled) => compiled.component(&self.wasmtime, bytes, digest),
            None => compile(&self.wasmtime, bytes),
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    // Calls are synchronous; without the bookkeeping for concurrent tasks a call costs less than half.
    config.concurrency_support(false);
    config.cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true);
    // Decisions can be replayed: the same input gives the same bits.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // What no SDK emits is closed: less surface. The features stay compiled in, for the reasons of two advisories about
    // builds without them (GHSA-rc4p-x33f-vpr2, GHSA-2674-w29h-wqvj).
    config.wasm_threads(false);
    config.shared_memory(false);
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_memory64(false);
    config.wasm_tail_call(false);
    config.wasm_exceptions(false);
    config.wasm_stack_switching(false);
    // Far below the stacks of the threads that call guests.
    config.max_wasm_stack(256 << 10);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    config.memory_init_cow(true);
    config
}

fn pooled() -> Config {
    let mut config = config();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 2)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 2)
        .max_memories_per_component(4)
        .max_tables_per_component(16)
        .max_core_instances_per_component(64)
        .max_tables_per_module(8)
        .table_elements(100_000)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(MEMORY_CEILING)
        .linear_memory_keep_resident(64 << 10)
        .max_unused_warm_slots(16);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Advances the epoch at every [`TICK`] until dropped.
#[derive(Debug)]
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = std::thread::Builder::new().name("plimsoll-epoch".into()).spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the ticker has nothing to tell that matters at the end.
            let _ = thread.join();
        }
    }
}
