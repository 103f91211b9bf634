use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// What is to be sent, in the order in which it came: small pieces together in one buffer, large ones as they are.
#[derive(Debug, Default)]
pub struct Output {
    small: Vec<u8>,
    /// Where what is left of `small` begins.
    sent: usize,
    pieces: VecDeque<Piece>,
    /// At the end of `small`, behind all pieces.
    loose: usize,
    length: usize,
}

#[derive(Debug)]
enum Piece {
    /// So many bytes of `small`.
    Small(usize),
    Large(Bytes),
}

/// A piece that is as large is not copied, in bytes.
const LARGE: usize = 2048;
/// Room for what is usually sent at once, in bytes.
const ROOM: usize = 512;
/// What may have been sent of `small` before its room is used again, in bytes.
const MOST_SENT: usize = 64 * 1024;

impl Output {
    /// How many bytes are to be sent.
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends what is put into the buffer.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        if self.small.capacity() == 0 {
            self.small.reserve(ROOM);
        }
        let before = self.small.len();
        put(&mut self.small);
        let put = self.small.len() - before;
        self.loose += put;
        self.length += put;
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < LARGE {
            return self.put(|small| small.extend_from_slice(&data));
        }
        if self.loose > 0 {
            self.pieces.push_back(Piece::Small(std::mem::take(&mut self.loose)));
        }
        self.length += data.len();
        self.pieces.push_back(Piece::Large(data));
    }

    /// What goes next, as far as there is room for it; how many pieces that is.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut small, mut filled) = (&self.small[self.sent..], 0);
        for (slice, piece) in slices.iter_mut().zip(self.pieces.iter()) {
            let bytes = match piece {
                Piece::Small(length) => {
                    let (bytes, rest) = small.split_at(*length);
                    small = rest;
                    bytes
                }
                Piece::Large(data) => data,
            };
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        if filled == self.pieces.len()
            && !small.is_empty()
            && let Some(slice) = slices.get_mut(filled)
        {
            *slice = IoSlice::new(small);
            filled += 1;
        }
        filled
    }

    /// So many bytes have gone.
    pub fn advance(&mut self, mut count: usize) {
        self.length -= count;
        if self.length == 0 {
            self.small.clear();
            (self.sent, self.loose) = (0, 0);
            return self.pieces.clear();
        }
        while count > 0 {
            let is_over = match self.pieces.front_mut() {
                Some(Piece::Small(length)) => {
                    let gone = count.min(*length);
                    self.sent += gone;
                    *length -= gone;
                    count -= gone;
                    *length == 0
                }
                Some(Piece::Large(data)) => {
                    let gone = count.min(data.len());
                    data.advance(gone);
                    count -= gone;
                    data.is_empty()
                }
                None => {
                    self.sent += count;
                    self.loose -= count;
                    break;
                }
            };
            if is_over {
                self.pieces.pop_front();
            }
        }
        if self.sent > MOST_SENT {
            self.small.drain(..std::mem::take(&mut self.sent));
        }
    }

    /// Gives up the memory of what has gone.
    pub(crate) fn settle(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 2000..5000)]
    }

    proptest! {
        #[test]
        fn everything_goes_in_its_order(pieces in prop::collection::vec((piece(), 1_usize..6000), 0..30)) {
            let mut output = Output::default();
            let (mut wanted, mut sent) = (Vec::new(), Vec::new());
            let send = |output: &mut Output, sent: &mut Vec<u8>, most: usize| {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = output.fill(&mut slices);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
                output.advance(bytes.len());
                sent.extend(bytes);
            };
            for (piece, most) in pieces {
                wanted.extend_from_slice(&piece);
                output.push(piece.into());
                send(&mut output, &mut sent, most);
            }
            while !output.is_empty() {
                send(&mut output, &mut sent, usize::MAX);
            }
            prop_assert_eq!(sent, wanted);
        }
    }
}
