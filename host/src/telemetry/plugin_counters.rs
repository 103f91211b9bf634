use std::sync::OnceLock;

use super::cell::SharedCounter;
use super::printable::is_unprintable;

/// Most counters that one plugin may have; the contract states it in `wit/imports.wit`.
const MAX_NAMES: usize = 64;
/// Longest name of such a counter. Names become label values, which every scrape repeats.
const MAX_NAME_BYTES: usize = 128;

/// The counters that one plugin keeps for itself, by name.
///
/// Plugins add to them on the request path, so this is a table without locks: open addressing over cells that are set
/// once and never emptied. Whoever looks for a name walks the same cells in the same order, hence no name gets two.
#[derive(Debug)]
pub(super) struct PluginCounters {
    cells: Box<[OnceLock<Named>]>,
    refused: SharedCounter,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    count: SharedCounter,
}

impl Default for PluginCounters {
    fn default() -> Self {
        Self { cells: (0..MAX_NAMES).map(|_| OnceLock::new()).collect(), refused: SharedCounter::default() }
    }
}

impl PluginCounters {
    /// Adds to a counter, which begins to exist with the first add. What cannot have a counter is counted as refused.
    pub(super) fn add(&self, name: &str, amount: u64) {
        match self.find(name) {
            Some(counter) => counter.add(amount),
            None => self.refused.increment(),
        }
    }

    /// Adds that were refused: one name too many, or a name that is empty, too long or has control characters.
    pub(super) fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Sorted by name.
    pub(super) fn read(&self) -> Vec<(&str, u64)> {
        let mut read: Vec<_> =
            self.cells.iter().filter_map(OnceLock::get).map(|named| (&*named.name, named.count.get())).collect();
        read.sort_unstable();
        read
    }

    fn find(&self, name: &str) -> Option<&SharedCounter> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(is_unprintable) {
            return None;
        }
        let start = fnv1a(name) as usize % MAX_NAMES;
        (0..MAX_NAMES).find_map(|step| {
            let cell = &self.cells[(start + step) % MAX_NAMES];
            let named = cell.get_or_init(|| Named { name: name.into(), count: SharedCounter::default() });
            (&*named.name == name).then_some(&named.count)
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
        let counters = PluginCounters::default();
        for number in 0..70 {
            counters.add(&format!("name-{number}"), 1);
        }
        counters.add("name-0", 4);
        assert_eq!((counters.read().len(), counters.refused()), (64, 6));
        assert!(counters.read().contains(&("name-0", 5)));
    }

    #[test]
    fn names_that_would_make_bad_labels_are_refused() {
        let counters = PluginCounters::default();
        for name in ["", "two\nlines", &"x".repeat(129)] {
            counters.add(name, 1);
        }
        assert_eq!((counters.read().len(), counters.refused()), (0, 3));
    }

    #[test]
    fn threads_that_meet_on_new_names_lose_nothing() {
        let counters = PluginCounters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..6400).for_each(|number| counters.add(&format!("n{}", number % 64), 1)));
            }
        });
        let read = counters.read();
        assert_eq!(read.len(), 64);
        assert!(read.iter().all(|(_, count)| *count == 400));
    }
}
