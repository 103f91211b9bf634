//! How long answers of each endpoint take, in milliseconds, to nginx's formula and with its roundings
//! (`ngx_http_upstream_least_time_module.c`).

use plimsoll_sdk::prelude::*;

#[derive(Debug)]
pub(crate) struct Times {
    halve_after_s: u64,
    /// Of all endpoints, in ascending order of slots.
    of: Vec<Measured>,
    /// Where the ready ones are in it.
    ready: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    slot: u32,
    id_hash: u64,
    /// Moving average; 0 while nothing is known.
    answer_ms: u64,
    /// When it was chosen, or failed, as far as halving goes; none before the first time.
    checked_s: Option<u64>,
    under_way: UnderWay,
}

/// Attempts that this worker has sent there.
#[derive(Clone, Copy, Debug, Default)]
struct UnderWay {
    attempts: u64,
    /// For how long all of them together were under way at `at_ms`.
    sum_ms: i64,
    at_ms: u64,
    /// Moving average of how long they have been under way; kept while there are none.
    average_ms: u64,
}

/// Slower answers are all as bad: then only loads count.
const SLOWEST_MS: u64 = 5000;
/// Times within a step are taken for the same, so that endpoints take turns.
const STEP_MS: u64 = 20;
/// More attempts than that are not told apart, which keeps products within 64 bits.
const MOST_LOAD: u32 = 1 << 24;
/// For whom nothing can be said.
const LONGEST: u64 = 1 << 37;

impl Times {
    pub(crate) fn new(halve_after_s: u64) -> Self {
        Self { halve_after_s, of: Vec::new(), ready: Vec::new() }
    }

    /// Endpoints that stay keep their times, whatever their availability.
    pub(crate) fn update(&mut self, endpoints: &Endpoints) {
        let before = std::mem::take(&mut self.of);
        let known = |e: &Endpoint| {
            let at = before.binary_search_by_key(&e.slot, |measured| measured.slot).ok()?;
            Some(before[at]).filter(|measured| measured.id_hash == e.id_hash)
        };
        let new = |e: &Endpoint| Measured { slot: e.slot, id_hash: e.id_hash, ..Measured::default() };
        self.of = endpoints.iter().map(|e| known(e).unwrap_or_else(|| new(e))).collect();
        self.ready = endpoints.ready().iter().filter_map(|e| self.position(e.slot)).collect();
    }

    fn position(&self, slot: u32) -> Option<usize> {
        self.of.binary_search_by_key(&slot, |measured| measured.slot).ok()
    }

    fn at(&mut self, slot: u32) -> Option<&mut Measured> {
        self.position(slot).map(|at| &mut self.of[at])
    }

    fn ready_at(&mut self, index: usize) -> Option<&mut Measured> {
        self.ready.get(index).map(|at| &mut self.of[*at])
    }

    /// Time that the endpoint at this index of the ready ones needs to be done with what it has under way, and one more.
    pub(crate) fn expected(&self, index: usize, load: u32, now_ms: u64) -> u64 {
        let Some(measured) = self.ready.get(index).map(|at| &self.of[*at]) else { return LONGEST };
        let mut ms = measured.answer_ms;
        let unused_s = (now_ms / 1000).saturating_sub(measured.checked_s.unwrap_or(0));
        if unused_s > self.halve_after_s {
            ms >>= (unused_s / (self.halve_after_s + 1)).min(63);
        }
        if measured.under_way.attempts > 0 {
            ms = ms.max(measured.under_way.average_ms);
        }
        let ms = if ms > SLOWEST_MS { SLOWEST_MS } else { ms + STEP_MS - ms % STEP_MS };
        ms * (1 + u64::from(load.min(MOST_LOAD)))
    }

    /// Learns from how long the attempts have been under way. `load` is what all workers have under way there.
    pub(crate) fn look_at_under_way(&mut self, index: usize, load: u32, now_ms: u64) {
        let Some(measured) = self.ready_at(index) else { return };
        let under_way = &mut measured.under_way;
        // The host may have sent an attempt elsewhere than it was told, of which no end is heard.
        if under_way.attempts > u64::from(load) {
            under_way.sum_ms = under_way.sum_ms / under_way.attempts as i64 * i64::from(load);
            under_way.attempts = load.into();
        }
        if under_way.attempts > 0 {
            let each_ms = (under_way.sum_ms / under_way.attempts as i64).max(0) as u64;
            let so_far_ms = each_ms + now_ms.saturating_sub(under_way.at_ms);
            under_way.average_ms = average(under_way.average_ms, so_far_ms);
        }
    }

    pub(crate) fn chosen(&mut self, index: usize, inflight: bool, now_ms: u64) {
        let halve_after_s = self.halve_after_s;
        let Some(measured) = self.ready_at(index) else { return };
        let now_s = now_ms / 1000;
        if measured.checked_s.is_none_or(|checked_s| now_s.saturating_sub(checked_s) > halve_after_s) {
            measured.checked_s = Some(now_s);
        }
        if inflight {
            measured.under_way.pass(now_ms);
            measured.under_way.attempts += 1;
        }
    }

    /// Only what went well counts: otherwise failing fast would attract more.
    pub(crate) fn answered(&mut self, slot: u32, ms: u64) {
        if let Some(measured) = self.at(slot) {
            measured.answer_ms = average(measured.answer_ms, ms);
        }
    }

    pub(crate) fn failed(&mut self, slot: u32, now_ms: u64) {
        if let Some(measured) = self.at(slot) {
            measured.checked_s = Some(now_ms / 1000);
        }
    }

    /// An attempt that was under way for so long is not any more.
    pub(crate) fn ended(&mut self, slot: u32, after_ms: u64, now_ms: u64) {
        let Some(measured) = self.at(slot) else { return };
        let under_way = &mut measured.under_way;
        under_way.pass(now_ms);
        under_way.attempts = under_way.attempts.saturating_sub(1);
        under_way.sum_ms = if under_way.attempts == 0 { 0 } else { under_way.sum_ms - after_ms as i64 };
    }
}

impl UnderWay {
    fn pass(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms).min(1 << 40);
        self.sum_ms = self.sum_ms.saturating_add((passed_ms * self.attempts) as i64);
        self.at_ms = now_ms;
    }
}

/// A new sample has a weight of 1/20; the first counts whole. Rounded as nginx does it.
fn average(average: u64, sample: u64) -> u64 {
    if average == 0 { sample } else { (0.5 + (sample as f64 * 0.05 + average as f64 * 0.95)) as u64 }
}
