use std::cell::Cell;

/// Numbers for the host's own choices and pauses, where any even spread will do: xorshift (Marsaglia 2003, "Xorshift RNGs").
#[derive(Debug)]
pub(super) struct Random(Cell<u64>);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // It would stay at 0.
        Self(Cell::new(seed | 1))
    }

    pub(super) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x
    }
}
