//! The allocator's way with memory that was freed.
#![expect(unsafe_code, reason = "the allocator's options are set by C functions")]

use std::ffi::c_long;
use std::sync::{Mutex, PoisonError};

use libmimalloc_sys::{mi_collect, mi_option_get, mi_option_set, mi_option_t};

/// `mi_option_purge_delay`, in milliseconds, which the bindings leave out; below zero for never.
const PURGE_DELAY: mi_option_t = 15;

/// How many [`FreedMemoryKept`] there are, and the delay from before the first.
static KEEPERS: Mutex<(usize, c_long)> = Mutex::new((0, 0));

/// While one of these lives, the allocator keeps what is freed rather than hand it back to the system.
///
/// A training step frees and takes the same few hundred megabytes each time. Handed back, every page of them is zeroed
/// and mapped anew by the system in the next step. With the last one, everything that is free is handed back. Only a
/// program whose global allocator is mimalloc is affected.
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
