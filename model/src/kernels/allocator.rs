//! The allocator of the program, and its way with memory that was freed.
#![expect(
    unsafe_code,
    reason = "an allocator deals in addresses, and the options of another are set by C functions"
)]

#[cfg(target_os = "linux")]
mod region;

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_long;
use std::sync::{Mutex, PoisonError};

use libmimalloc_sys::{mi_collect, mi_option_get, mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

/// `mi_option_purge_delay`, in milliseconds, which the bindings leave out; below zero for never.
const PURGE_DELAY: mi_option_t = 15;

/// How many [`FreedMemoryKept`] there are, and the delay from before the first.
static KEEPERS: Mutex<(usize, c_long)> = Mutex::new((0, 0));

/// mimalloc, with a place of their own for large blocks while a [`FreedMemoryKept`] lives.
///
/// A program makes it its `#[global_allocator]`. mimalloc keeps free large blocks apart by size, so that what one part of
/// a training step frees is not what the next one takes; in a place of their own neighbours become one when both are free
/// and are cut up anew. On systems other than Linux it is mimalloc and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

// SAFETY: blocks are those of mimalloc or of the region, each of which gives out memory that nobody else has, and each
// goes back to where it is from, which its address says.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if let Some(block) = region::take(layout) {
            return block;
        }
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if let Some(block) = region::take(layout) {
            // SAFETY: the block is as large as the layout says, and new to whoever asked for it.
            unsafe { block.write_bytes(0, layout.size()) };
            return block;
        }
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        #[cfg(target_os = "linux")]
        if region::give(block, layout) {
            return;
        }
        // SAFETY: what is not the region's is mimalloc's.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if region::holds(block) || region::takes(size) {
            // SAFETY: the caller vouches for a size that makes a layout, and for the block; the new one is another.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    new.copy_from_nonoverlapping(block, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                return new;
            }
        }
        // SAFETY: what is not the region's is mimalloc's; the caller's promises are passed on.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}

/// While one of these lives, the allocator keeps what is freed rather than hand it back to the system.
///
/// A training step frees and takes the same few hundred megabytes each time. Handed back, every page of them is zeroed
/// and mapped anew by the system in the next step. With the last one, everything that is free is handed back. Only a
/// program whose global allocator is [`Allocator`] or mimalloc is affected.
#[derive(Debug)]
pub struct FreedMemoryKept(());

impl FreedMemoryKept {
    /// Begins to keep memory.
    #[expect(clippy::new_without_default, reason = "it is made for what it does")]
    pub fn new() -> Self {
        let mut guard = KEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (keepers, delay) = &mut *guard;
        *keepers += 1;
        if *keepers == 1 {
            // SAFETY: reads and sets an integer of a known number, which any thread may do at any time.
            unsafe {
                *delay = mi_option_get(PURGE_DELAY);
                mi_option_set(PURGE_DELAY, -1);
            }
            #[cfg(target_os = "linux")]
            region::open();
        }
        Self(())
    }
}

impl Drop for FreedMemoryKept {
    fn drop(&mut self) {
        let mut guard = KEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (keepers, delay) = &mut *guard;
        *keepers -= 1;
        if *keepers == 0 {
            #[cfg(target_os = "linux")]
            region::close();
            // SAFETY: as above; collecting is for any thread at any time as well.
            unsafe {
                mi_option_set(PURGE_DELAY, *delay);
                mi_collect(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purging_rests_until_the_last_one_is_gone() {
        // SAFETY: reads an integer of a known number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        let usual = delay();
        assert!(usual > 0, "{usual} is no delay in milliseconds");
        let (first, second) = (FreedMemoryKept::new(), FreedMemoryKept::new());
        drop(first);
        assert_eq!(delay(), -1);
        drop(second);
        assert_eq!(delay(), usual);
    }
}
