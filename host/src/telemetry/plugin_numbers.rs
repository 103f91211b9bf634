use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cell::SharedCounter;
use super::histogram::HistogramTotal;
use super::plugin_histogram::PluginHistogram;
use super::printable::is_unprintable;

/// Most numbers that one plugin may have; the contract states it in `wit/imports.wit`.
const MAX_NAMES: usize = 64;
/// Longest name of such a number. Names become label values, which every scrape repeats.
const MAX_NAME_BYTES: usize = 128;

/// The counters, gauges and histograms that one plugin keeps for itself, by name.
///
/// Plugins change them on the request path, so this is a table without locks: open addressing over cells that are set
/// once and never emptied. Whoever looks for a name walks the same cells in the same order, hence no name gets two.
#[derive(Debug)]
pub(super) struct PluginNumbers {
    cells: Box<[OnceLock<Named>]>,
    refused: SharedCounter,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    number: Number,
}

#[derive(Debug)]
enum Number {
    Counter(SharedCounter),
    /// The bits of an `f64`.
    Gauge(AtomicU64),
    Histogram(Box<PluginHistogram>),
}

impl Default for PluginNumbers {
    fn default() -> Self {
        Self { cells: (0..MAX_NAMES).map(|_| OnceLock::new()).collect(), refused: SharedCounter::default() }
    }
}

impl PluginNumbers {
    /// Adds to a counter, which begins to exist with the first add. What cannot have a counter is counted as refused.
    pub(super) fn add(&self, name: &str, amount: u64) {
        match self.find(name, || Number::Counter(SharedCounter::default())) {
            Some(Number::Counter(counter)) => counter.add(amount),
            _ => self.refused.increment(),
        }
    }

    /// Sets a gauge, which begins to exist with that.
    pub(super) fn set(&self, name: &str, value: f64) {
        match self.find(name, || Number::Gauge(AtomicU64::new(0))) {
            Some(Number::Gauge(gauge)) => gauge.store(value.to_bits(), Relaxed),
            _ => self.refused.increment(),
        }
    }

    /// Counts a value in a histogram, which begins to exist with that.
    pub(super) fn observe(&self, name: &str, value: f64) {
        match self.find(name, || Number::Histogram(Box::default())) {
            Some(Number::Histogram(histogram)) if histogram.observe(value) => {}
            _ => self.refused.increment(),
        }
    }

    /// Changes that were refused: one name too many, a name that is empty, too long or has control characters, one that
    /// is of another kind, or a value that no histogram can have.
    pub(super) fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Sorted by name.
    pub(super) fn counters(&self) -> Vec<(&str, u64)> {
        self.read(|number| match number {
            Number::Counter(counter) => Some(counter.get()),
            Number::Gauge(_) | Number::Histogram(_) => None,
        })
    }

    /// Sorted by name.
    pub(super) fn gauges(&self) -> Vec<(&str, f64)> {
        self.read(|number| match number {
            Number::Gauge(gauge) => Some(f64::from_bits(gauge.load(Relaxed))),
            Number::Counter(_) | Number::Histogram(_) => None,
        })
    }

    /// Sorted by name.
    pub(super) fn histograms(&self) -> Vec<(&str, HistogramTotal)> {
        self.read(|number| match number {
            Number::Histogram(histogram) => Some(histogram.total()),
            Number::Counter(_) | Number::Gauge(_) => None,
        })
    }

    fn read<T>(&self, read: impl Fn(&Number) -> Option<T>) -> Vec<(&str, T)> {
        let known = self.cells.iter().filter_map(OnceLock::get);
        let mut found: Vec<_> = known.filter_map(|named| Some((&*named.name, read(&named.number)?))).collect();
        found.sort_unstable_by_key(|(name, _)| *name);
        found
    }

    fn find(&self, name: &str, new: impl Fn() -> Number) -> Option<&Number> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(is_unprintable) {
            return None;
        }
        let start = fnv1a(name) as usize % MAX_NAMES;
        (0..MAX_NAMES).find_map(|step| {
            let cell = &self.cells[(start + step) % MAX_NAMES];
            let named = cell.get_or_init(|| Named { name: name.into(), number: new() });
            (&*named.name == name).then_some(&named.number)
        })
    }
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixty_fifth_name_is_refused_and_the_others_go_on() {
        let counters = PluginNumbers::default();
        for number in 0..70 {
            counters.add(&format!("name-{number}"), 1);
        }
        counters.add("name-0", 4);
        assert_eq!((counters.counters().len(), counters.refused()), (64, 6));
        assert!(counters.counters().contains(&("name-0", 5)));
    }

    #[test]
    fn names_that_would_make_bad_labels_are_refused() {
        let counters = PluginNumbers::default();
        for name in ["", "two\nlines", &"x".repeat(129)] {
            counters.add(name, 1);
        }
        assert_eq!((counters.counters().len(), counters.refused()), (0, 3));
    }

    #[test]
    fn a_name_is_of_one_kind() {
        let numbers = PluginNumbers::default();
        numbers.set("level", 0.5);
        numbers.set("level", -2.5);
        numbers.add("level", 1);
        numbers.add("hits", 1);
        numbers.set("hits", 9.0);
        numbers.observe("took", 0.5);
        numbers.observe("took", -1.0);
        numbers.observe("level", 1.0);
        numbers.add("took", 1);
        assert_eq!((numbers.gauges(), numbers.counters()), (vec![("level", -2.5)], vec![("hits", 1)]));
        let histograms = numbers.histograms();
        assert_eq!((histograms.len(), histograms[0].0, histograms[0].1.count), (1, "took", 1));
        assert_eq!(numbers.refused(), 5);
    }

    #[test]
    fn threads_that_meet_on_new_names_lose_nothing() {
        let counters = PluginNumbers::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..6400).for_each(|number| counters.add(&format!("n{}", number % 64), 1)));
            }
        });
        let read = counters.counters();
        assert_eq!(read.len(), 64);
        assert!(read.iter().all(|(_, count)| *count == 400));
    }
}
