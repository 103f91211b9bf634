use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::instance::Instance;
use super::recording::{Counters, Event, RecordedConfig, RecordedEndpoints, RecordedLoad};
use crate::snapshot::{EndpointCounters, EndpointSet, LoadReport, Named};

/// What workers write at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What was recorded of a plugin on all workers, up to a bound.
#[derive(Debug)]
pub struct Recorded {
    /// With the numbers of their tapes.
    chunks: Mutex<Vec<(u32, Vec<u8>)>>,
    left_bytes: AtomicUsize,
    is_full: AtomicBool,
    tapes: AtomicU32,
    open: AtomicU32,
    decisions: AtomicU64,
}

impl Recorded {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            chunks: Mutex::default(),
            left_bytes: AtomicUsize::new(max_bytes),
            is_full: AtomicBool::new(false),
            tapes: AtomicU32::new(0),
            open: AtomicU32::new(0),
            decisions: AtomicU64::new(0),
        }
    }

    /// Whether something was left out for want of room. Nothing is recorded any more.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Whether a worker may still have something to add.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    pub fn decisions(&self) -> u64 {
        self.decisions.load(Ordering::Relaxed)
    }

    /// What the workers have handed over so far, each instance's events together.
    pub fn to_bytes(&self) -> Vec<u8> {
        let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<&(u32, Vec<u8>)> = chunks.iter().collect();
        sorted.sort_by_key(|(tape, _)| *tape);
        sorted.into_iter().flat_map(|(_, chunk)| chunk).copied().collect()
    }

    /// Takes so many bytes of the room there is.
    fn takes(&self, bytes: usize) -> bool {
        let taken = self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_err() {
            self.is_full.store(true, Ordering::Relaxed);
        }
        taken.is_ok()
    }
}

/// Writes down what happens to an instance beside a live one. The instance sees nothing that is not written: its clock stands
/// still but for what the tape says, and counters of endpoints are copies.
pub(super) struct Tape {
    recorded: Arc<Recorded>,
    number: u32,
    buffer: Vec<u8>,
    at_ms: u64,
    /// Of each policy: slots with the counters that all workers write, and the copies.
    counters: HashMap<u32, Vec<Copied>>,
}

struct Copied {
    slot: u32,
    live: Arc<EndpointCounters>,
    own: Arc<EndpointCounters>,
    said: Said,
}

/// What an endpoint has said of its load, and when, and under names of its own.
type Said = (Option<(LoadReport, u64)>, Option<Arc<Named>>);

fn said(counters: &EndpointCounters) -> Said {
    (counters.reported_load(), counters.reported_metrics())
}

impl Tape {
    pub(super) fn begin(recorded: Arc<Recorded>, instance: &Instance) -> Self {
        let number = recorded.tapes.fetch_add(1, Ordering::Relaxed);
        recorded.open.fetch_add(1, Ordering::AcqRel);
        let (worker, seed, at_ms) = instance.trial_terms();
        let mut tape = Self { recorded, number, buffer: Vec::new(), at_ms, counters: HashMap::new() };
        tape.write(&Event::Instance { worker, seed, at_ms });
        tape
    }

    pub(super) fn is_full(&self) -> bool {
        self.recorded.is_full()
    }

    pub(super) fn write(&mut self, event: &Event) {
        // What cannot be written ends the recording, so that nothing follows on a gap.
        let Ok(mut line) = serde_json::to_vec(event) else {
            self.recorded.is_full.store(true, Ordering::Relaxed);
            return;
        };
        line.push(b'\n');
        if self.is_full() || !self.recorded.takes(line.len()) {
            return;
        }
        if matches!(event, Event::Decision { .. }) {
            self.recorded.decisions.fetch_add(1, Ordering::Relaxed);
        }
        self.buffer.extend_from_slice(&line);
        if self.buffer.len() >= CHUNK_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let chunk = std::mem::take(&mut self.buffer);
        if !chunk.is_empty() {
            // Held for a moment by another worker, or by whoever fetches the recording after its end.
            let mut chunks = self.recorded.chunks.lock().unwrap_or_else(PoisonError::into_inner);
            chunks.push((self.number, chunk));
        }
    }

    /// A policy that the instance was created with.
    pub(super) fn created(&mut self, instance: &mut Instance, policy: u32, config: RecordedConfig, set: &EndpointSet) {
        let endpoints = self.endpoints(set);
        let own = Arc::new(endpoints.to_set());
        self.track(policy, &own, set);
        instance.replace_endpoints(policy, &own);
        self.write(&Event::Policy { policy, config, endpoints });
    }

    pub(super) fn endpoints(&self, set: &EndpointSet) -> RecordedEndpoints {
        RecordedEndpoints::of(set, self.at_ms)
    }

    /// From now on the counters of a policy's `own` endpoints are copies of those of `set`.
    pub(super) fn track(&mut self, policy: u32, own: &EndpointSet, set: &EndpointSet) {
        let copied = set.iter().filter_map(|endpoint| {
            let own = own.get(endpoint.slot)?.counters.clone();
            let live = endpoint.counters.clone();
            // What was said by now may be newer than what `own` was made with: it is copied once more.
            Some(Copied { slot: endpoint.slot, own, said: Said::default(), live })
        });
        self.counters.insert(policy, copied.collect());
    }

    /// Sets the clock of the instance. Answers what it says.
    pub(super) fn tick(&mut self, instance: &Instance) -> u64 {
        self.at_ms = instance.set_trial_clock(self.at_ms);
        self.at_ms
    }

    /// Copies the counters of a policy's endpoints, and what they have said of their load.
    pub(super) fn count(&mut self, policy: u32) {
        let changed = |copied: &Copied| {
            let numbers = copied.live.numbers();
            (numbers != copied.own.numbers()).then(|| {
                copied.own.set_numbers(numbers);
                (copied.slot, numbers)
            })
        };
        let counters: Vec<(u32, Counters)> =
            self.counters.get(&policy).into_iter().flatten().filter_map(changed).collect();
        if !counters.is_empty() {
            self.write(&Event::Counters { policy, counters });
        }
        let at_ms = self.at_ms;
        let said_anew = |copied: &mut Copied| {
            let said = said(&copied.live);
            if said == copied.said {
                return None;
            }
            copied.said = said;
            let load = RecordedLoad::of(&copied.live, at_ms)?;
            load.note(&copied.own);
            Some((copied.slot, load))
        };
        let loads: Vec<(u32, RecordedLoad)> =
            self.counters.get_mut(&policy).into_iter().flatten().filter_map(said_anew).collect();
        if !loads.is_empty() {
            self.write(&Event::Loads { policy, loads });
        }
    }

    pub(super) fn forget(&mut self, policy: u32) {
        self.counters.remove(&policy);
        self.write(&Event::Remove { policy });
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.hand_over();
        self.recorded.open.fetch_sub(1, Ordering::AcqRel);
    }
}
