//! The guard as a function of bytes, for a fuzz target.

use crate::guard::Guard;
use plimsoll_fields::Malformed;

const LIMIT: usize = 4096;

/// What a client sends behind the preface. What goes on does not depend on the pieces in which it comes.
pub fn read_frames(bytes: &[u8]) {
    let Some((step, frames)) = bytes.split_first() else { return };
    let bytes = [&[0; 24], frames].concat();
    let whole = behind(&bytes, bytes.len());
    assert_eq!(whole, behind(&bytes, usize::from(*step).max(1)), "the pieces make a difference");
}

/// What goes on of `bytes` that come in pieces.
fn behind(bytes: &[u8], step: usize) -> (Vec<u8>, Vec<Malformed>) {
    let mut guard = Guard::new(LIMIT);
    let (mut passed, mut malformed) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        let in_place = guard.read(piece);
        passed.extend_from_slice(&piece[..in_place]);
        let mut room = [0; 100];
        while guard.has_ready() {
            let count = guard.take_ready(&mut room);
            passed.extend_from_slice(&room[..count]);
        }
        malformed.extend(guard.take_malformed());
    }
    (passed, malformed)
}
