use std::cell::Cell;

use crate::{Endpoints, host};

/// Draws endpoints in proportion to their weights, in constant time: Walker's alias method as Vose builds it. Its random
/// numbers are its own, of which the host gives the first: asking it for each would be a third of what a pick costs.
#[derive(Clone, Debug, Default)]
pub struct Draw {
    random: Cell<u64>,
    /// Empty when all weigh the same.
    columns: Vec<Column>,
}

/// One column of the table: itself below the threshold, and the alias from there on.
#[derive(Clone, Copy, Debug)]
struct Column {
    threshold: u32,
    alias: u32,
}

impl Draw {
    /// A table for [`Endpoints::ready`]; build it whenever they change.
    pub fn new(endpoints: &Endpoints) -> Self {
        let random = Cell::new(host::random());
        if endpoints.weights_equal() {
            return Self { random, columns: Vec::new() };
        }
        let ready = endpoints.ready();
        let total: u64 = ready.iter().map(|e| u64::from(e.weight)).sum();
        // Scaled so that the mean is `total`, in whole numbers throughout.
        let mut share: Vec<u64> = ready.iter().map(|e| u64::from(e.weight) * ready.len() as u64).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..ready.len()).partition(|&i| share[i] < total);
        let mut columns: Vec<Column> =
            (0..ready.len() as u32).map(|i| Column { threshold: u32::MAX, alias: i }).collect();
        while let (Some(&lesser), Some(&greater)) = (small.last(), large.last()) {
            small.pop();
            columns[lesser] = Column { threshold: in_parts(share[lesser], total), alias: greater as u32 };
            share[greater] -= total - share[lesser];
            if share[greater] < total {
                large.pop();
                small.push(greater);
            }
        }
        Self { random, columns }
    }

    /// Index of one of `len` endpoints, which is at least 1.
    #[inline]
    pub fn one(&self, len: usize) -> usize {
        let random = self.random();
        let index = scale((random >> 32) as u32, len);
        self.resolve(index, random as u32)
    }

    /// Indices of two different endpoints of `len`, which is at least 2.
    #[inline]
    pub fn two(&self, len: usize) -> (usize, usize) {
        if len == 2 {
            let first = self.one(2);
            return (first, 1 - first);
        }
        if self.columns.is_empty() {
            let random = self.random();
            let first = scale((random >> 32) as u32, len);
            let second = scale(random as u32, len - 1);
            return (first, if second >= first { second + 1 } else { second });
        }
        let first = self.one(len);
        // Where one weighs nearly everything, the second draw keeps hitting the first: then its neighbour will do.
        let second = (0..4).map(|_| self.one(len)).find(|&second| second != first);
        (first, second.unwrap_or(if first + 1 == len { 0 } else { first + 1 }))
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014). Not inlined: plugins are to stay small.
    #[inline(never)]
    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[inline]
    fn resolve(&self, index: usize, random: u32) -> usize {
        match self.columns.get(index) {
            Some(column) if random >= column.threshold => column.alias as usize,
            _ => index,
        }
    }
}

/// `share` of `total`, which is more, in parts of 2^32. In two steps of 16 bits, for which 64 are enough up to some
/// million endpoints: dividing numbers of 128 bits takes a kilobyte of code.
fn in_parts(share: u64, total: u64) -> u32 {
    let upper = share << 16;
    let lower = (upper % total) << 16;
    ((upper / total) << 16) as u32 | (lower / total) as u32
}

#[inline]
fn scale(random: u32, len: usize) -> usize {
    ((u64::from(random) * len as u64) >> 32) as usize
}
