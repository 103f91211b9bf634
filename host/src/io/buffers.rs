use std::cell::RefCell;

use bytes::BytesMut;

/// Buffers that connections of one worker lend each other: one that is idle owns none.
#[derive(Debug, Default)]
pub struct Buffers {
    reading: RefCell<Vec<BytesMut>>,
    writing: RefCell<Vec<Vec<u8>>>,
}

/// Buffers that are kept, of each kind.
const KEPT: usize = 64;
/// One that has grown beyond this is not kept.
const MOST_BYTES: usize = 64 * 1024;

impl Buffers {
    /// An empty buffer to read into.
    pub fn for_reading(&self) -> BytesMut {
        self.reading.borrow_mut().pop().unwrap_or_default()
    }

    pub fn done_reading(&self, mut buffer: BytesMut) {
        let mut kept = self.reading.borrow_mut();
        if kept.len() < KEPT && (1..=MOST_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }

    /// An empty buffer to write to.
    pub fn for_writing(&self) -> Vec<u8> {
        self.writing.borrow_mut().pop().unwrap_or_default()
    }

    pub fn done_writing(&self, mut buffer: Vec<u8>) {
        let mut kept = self.writing.borrow_mut();
        if kept.len() < KEPT && (1..=MOST_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }
}
