//! The allocator of the process.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

/// mimalloc, asked for an alignment only where that has to be said.
///
/// `MiMalloc` says it always, and is answered by a path that gives what has more than 1 KiB, and not the size of a power of two, a
/// larger block to find an aligned place in. All blocks are aligned to as much as they have bytes, up to 16 (`MI_MAX_ALIGN_SIZE`),
/// which is what nearly all types want.
pub(crate) struct Allocator;

/// Of all blocks that are as large.
const ALIGNED_BY_ITSELF: usize = 16;

fn is_aligned_by_itself(size: usize, align: usize) -> bool {
    align <= ALIGNED_BY_ITSELF && align <= size
}

// SAFETY: blocks of both kinds are mimalloc's, which takes them back and resizes them whichever way they were asked for; those of
// `mi_malloc` are used where their own alignment suffices.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_aligned_by_itself(layout.size(), layout.align()) {
            // SAFETY: any size may be asked for.
            unsafe { mi_malloc(layout.size()).cast() }
        } else {
            // SAFETY: as the caller promises.
            unsafe { MiMalloc.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aligned_by_itself(layout.size(), layout.align()) {
            // SAFETY: any size may be asked for.
            unsafe { mi_zalloc(layout.size()).cast() }
        } else {
            // SAFETY: as the caller promises.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_aligned_by_itself(size, layout.align()) {
            // SAFETY: the caller promises that the block is one of ours.
            unsafe { mi_realloc(block.cast(), size).cast() }
        } else {
            // SAFETY: as the caller promises.
            unsafe { MiMalloc.realloc(block, layout, size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_aligned(block: *mut u8, align: usize) -> bool {
        !block.is_null() && block.addr().is_multiple_of(align)
    }

    #[test]
    fn blocks_are_aligned_as_asked_and_keep_what_they_hold() {
        let mut held = Vec::new();
        for align in (0..=12).map(|power| 1 << power) {
            for size in (1..80).chain((80..5000).step_by(61)).chain([8192, 100_000]) {
                let layout = Layout::from_size_align(size, align).expect("small enough");
                // SAFETY: the layouts have a size, blocks are given back with the one that they have, and nothing beyond it is
                // read or written.
                unsafe {
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert!(is_aligned(zeroed, align), "{layout:?}");
                    assert!((0..size).all(|at| *zeroed.add(at) == 0), "{layout:?}");
                    Allocator.dealloc(zeroed, layout);
                    let block = Allocator.alloc(layout);
                    assert!(is_aligned(block, align), "{layout:?}");
                    block.write_bytes(align as u8 | 1, size);
                    let grown = Allocator.realloc(block, layout, size * 2);
                    assert!(is_aligned(grown, align), "{layout:?}");
                    assert!((0..size).all(|at| *grown.add(at) == align as u8 | 1), "{layout:?}");
                    held.push((grown, Layout::from_size_align(size * 2, align).expect("small enough")));
                }
            }
        }
        for (block, layout) in held {
            // SAFETY: each is given back once.
            unsafe { Allocator.dealloc(block, layout) };
        }
    }
}
