use std::hint::black_box;

/// What a specimen says that it spends, which here is spent indeed.
#[derive(Default)]
pub struct Spent {
    memory_bytes: Option<u64>,
    executed: u64,
}

impl Spent {
    /// Takes memory for good, as much as a specimen says that it has more than before.
    pub fn memory(&mut self, memory_bytes: Option<u64>) {
        let before = self.memory_bytes.or(memory_bytes).unwrap_or(0);
        let more = memory_bytes.unwrap_or(0).saturating_sub(before);
        if more > 0 {
            std::mem::forget(black_box(vec![1_u8; more as usize]));
        }
        self.memory_bytes = memory_bytes;
    }

    /// Executes what a specimen says that it has executed more than before.
    pub fn instructions(&mut self, executed: u64) {
        (self.executed..executed).for_each(|number| {
            black_box(number);
        });
        self.executed = executed;
    }
}
