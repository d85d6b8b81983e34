//! A range of addresses for large blocks.
//!
//! It is reserved once and never given back; memory comes with the first touch of a page. While it is open, blocks of
//! [`LARGE`] bytes and more are cut from it: from the smallest free piece that is large enough, else from where nothing
//! has been yet. A block that is freed joins the free pieces on both sides. When it closes, and after that with every
//! block that is freed, the free pages go back to the system.

use std::alloc::Layout;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

/// Bytes of the smallest block that is taken from here.
const LARGE: usize = 256 << 10;
/// Blocks begin at multiples of this. It is a page and a line of the cache: blocks that all began at the same place of a
/// page would fall into the same sets of the cache.
const UNIT: usize = 4096 + ALIGNMENT;
/// What a block is aligned to.
const ALIGNMENT: usize = 64;
/// Bytes of the whole range: addresses are plenty, and memory is only what is touched.
const CAPACITY: usize = 1 << 38;
/// Blocks in use at a time. There is one free piece more at most, and so the list of them never becomes a large block,
/// which would be asked for while it is in use.
const MOST_BLOCKS: usize = 4096;
/// A multiple of the size of a page, on every processor; memory goes back in whole ones of these.
const PAGES: usize = 64 << 10;

/// Where the range begins; 0 while there is none.
static BASE: AtomicUsize = AtomicUsize::new(0);
/// Whether blocks are taken from it.
static OPEN: AtomicBool = AtomicBool::new(false);
static REGION: Mutex<Option<Region>> = Mutex::new(None);

struct Region {
    memory: MmapRaw,
    pieces: Pieces,
}

/// Which units are free.
struct Pieces {
    /// Free pieces below `top` in ascending order, none next to another.
    free: Vec<Range<usize>>,
    /// The first unit that was never used.
    top: usize,
    capacity: usize,
    /// Blocks in use.
    blocks: usize,
}

/// Has blocks taken from the range. Where the system has none to give, everything stays as it was.
pub(super) fn open() {
    let mut region = REGION.lock().unwrap_or_else(PoisonError::into_inner);
    if region.is_none() {
        let options = MmapOptions::new()
            .len(CAPACITY)
            .no_reserve_swap()
            .to_owned();
        let Ok(memory) = options.map_anon() else {
            return;
        };
        let memory = MmapRaw::from(memory);
        // Fewer entries of the processor's table of pages; without it the range works as well.
        let _ = memory.advise(Advice::HugePage);
        BASE.store(memory.as_ptr() as usize, Ordering::Release);
        *region = Some(Region {
            memory,
            pieces: Pieces::new(CAPACITY / UNIT),
        });
    }
    OPEN.store(true, Ordering::Release);
}

/// Ends that, and hands back what is free.
pub(super) fn close() {
    OPEN.store(false, Ordering::Release);
    let region = REGION.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(region) = &*region {
        for piece in &region.pieces.free {
            region.hand_back(piece.clone());
        }
    }
}

/// Whether a block of so many bytes would be taken from here.
pub(super) fn takes(size: usize) -> bool {
    size >= LARGE && OPEN.load(Ordering::Acquire)
}

/// Whether a block is from here.
pub(super) fn holds(block: *const u8) -> bool {
    let base = BASE.load(Ordering::Acquire);
    base != 0 && (block as usize).wrapping_sub(base) < CAPACITY
}

/// A block, whose memory holds whatever it held before.
pub(super) fn take(layout: Layout) -> Option<*mut u8> {
    if !takes(layout.size()) || layout.align() > ALIGNMENT {
        return None;
    }
    let mut region = REGION.lock().unwrap_or_else(PoisonError::into_inner);
    let region = region.as_mut()?;
    let unit = region.pieces.take(layout.size().div_ceil(UNIT))?;
    Some(region.memory.as_mut_ptr().wrapping_add(unit * UNIT))
}

/// Takes a block back, of the layout that it was given out with; `false` where it is none of these.
pub(super) fn give(block: *mut u8, layout: Layout) -> bool {
    if !holds(block) {
        return false;
    }
    let mut region = REGION.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(region) = region.as_mut() {
        let first = (block as usize - region.memory.as_ptr() as usize) / UNIT;
        let units = first..first + layout.size().div_ceil(UNIT);
        region.pieces.give(units.clone());
        if !OPEN.load(Ordering::Acquire) {
            region.hand_back(units);
        }
    }
    true
}

impl Region {
    /// Gives the pages that lie wholly in a free piece back to the system.
    fn hand_back(&self, piece: Range<usize>) {
        let pages = (piece.start * UNIT).next_multiple_of(PAGES)..piece.end * UNIT / PAGES * PAGES;
        if !pages.is_empty() {
            // SAFETY: the pages lie wholly in a free piece, into which nobody has a reference.
            let handed_back = unsafe {
                self.memory.unchecked_advise_range(
                    UncheckedAdvice::DontNeed,
                    pages.start,
                    pages.len(),
                )
            };
            // A system that refuses keeps the memory until the next block is cut from it.
            drop(handed_back);
        }
    }
}

impl Pieces {
    fn new(capacity: usize) -> Self {
        Self {
            free: Vec::with_capacity(MOST_BLOCKS + 1),
            top: 0,
            capacity,
            blocks: 0,
        }
    }

    /// The first of `units` units; `None` where there is no room.
    fn take(&mut self, units: usize) -> Option<usize> {
        if self.blocks == MOST_BLOCKS {
            return None;
        }
        let fitting = (0..self.free.len())
            .filter(|&index| self.free[index].len() >= units)
            .min_by_key(|&index| self.free[index].len());
        let first = if let Some(index) = fitting {
            let piece = &mut self.free[index];
            let first = piece.start;
            piece.start += units;
            if piece.start == piece.end {
                self.free.remove(index);
            }
            first
        } else {
            // A free piece at the end is the beginning of what is taken there.
            let last = self.free.last().filter(|piece| piece.end == self.top);
            let first = last.map_or(self.top, |piece| piece.start);
            if units > self.capacity - first {
                return None;
            }
            if first < self.top {
                self.free.pop();
            }
            self.top = first + units;
            first
        };
        self.blocks += 1;
        Some(first)
    }

    fn give(&mut self, units: Range<usize>) {
        self.blocks -= 1;
        let index = self.free.partition_point(|piece| piece.start < units.start);
        let before = index > 0 && self.free[index - 1].end == units.start;
        let after = self
            .free
            .get(index)
            .is_some_and(|next| next.start == units.end);
        match (before, after) {
            (true, true) => {
                self.free[index - 1].end = self.free[index].end;
                self.free.remove(index);
            }
            (true, false) => self.free[index - 1].end = units.end,
            (false, true) => self.free[index].start = units.start,
            (false, false) => self.free.insert(index, units),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::alloc::GlobalAlloc;

    use proptest::prelude::*;

    use super::super::{Allocator, FreedMemoryKept};
    use super::*;

    proptest! {
        #[test]
        fn blocks_never_overlap_and_everything_free_is_one_piece_again(
            sizes in prop::collection::vec((1..40_usize, any::<prop::sample::Index>(), any::<bool>()), 1..200),
        ) {
            let mut pieces = Pieces::new(600);
            let mut blocks: Vec<Range<usize>> = Vec::new();
            for (units, which, give) in sizes {
                if give && !blocks.is_empty() {
                    pieces.give(blocks.swap_remove(which.index(blocks.len())));
                } else if let Some(first) = pieces.take(units) {
                    let block = first..first + units;
                    prop_assert!(block.end <= pieces.top && pieces.top <= 600);
                    prop_assert!(blocks.iter().all(|other| other.end <= block.start || block.end <= other.start));
                    blocks.push(block);
                }
                prop_assert!(pieces.free.windows(2).all(|pair| pair[0].end < pair[1].start));
                let used: usize = blocks.iter().map(Range::len).sum();
                let free: usize = pieces.free.iter().map(Range::len).sum();
                prop_assert_eq!(used + free, pieces.top);
            }
            for block in blocks {
                pieces.give(block);
            }
            let whole = std::iter::once(0..pieces.top).filter(|whole| !whole.is_empty());
            prop_assert_eq!(pieces.free, whole.collect::<Vec<_>>());
        }
    }

    #[test]
    fn freed_neighbours_become_one_block_of_another_size() {
        let mut pieces = Pieces::new(100);
        let [a, b, c] = [10, 20, 30].map(|units| pieces.take(units).unwrap());
        pieces.give(a..a + 10);
        pieces.give(b..b + 20);
        assert_eq!((pieces.take(30), pieces.top), (Some(a), 60));
        pieces.give(c..c + 30);
        // The free end grows.
        assert_eq!((pieces.take(40), pieces.top), (Some(c), 70));
        assert_eq!((pieces.take(31), pieces.top), (None, 70));
    }

    #[test]
    fn only_so_many_blocks_are_given_out() {
        let mut pieces = Pieces::new(2 * MOST_BLOCKS);
        let capacity = pieces.free.capacity();
        for _ in 0..MOST_BLOCKS {
            pieces.take(1).unwrap();
        }
        assert_eq!(pieces.take(1), None);
        for unit in (0..MOST_BLOCKS).step_by(2) {
            pieces.give(unit..unit + 1);
        }
        assert_eq!(pieces.free.capacity(), capacity);
        assert!(capacity * size_of::<Range<usize>>() < LARGE);
    }

    #[test]
    fn large_blocks_are_from_the_region_while_memory_is_kept_and_go_back_to_it() {
        let layout = |size| Layout::from_size_align(size, 64).unwrap();
        let (small, large, larger) = (layout(LARGE - 1), layout(LARGE), layout(3 * LARGE));
        // SAFETY: every block is written inside its size, and freed once with the layout that it has then.
        unsafe {
            let kept = FreedMemoryKept::new();
            let blocks = [small, large].map(|layout| Allocator.alloc(layout));
            assert_eq!(blocks.map(|block| holds(block)), [false, true]);
            blocks[0].write_bytes(7, small.size());
            blocks[1].write_bytes(9, large.size());
            let grown = [
                Allocator.realloc(blocks[0], small, larger.size()),
                Allocator.realloc(blocks[1], large, larger.size()),
            ];
            assert_eq!(grown.map(|block| holds(block)), [true, true]);
            assert_eq!(
                [
                    *grown[0].add(small.size() - 1),
                    *grown[1].add(large.size() - 1)
                ],
                [7, 9]
            );
            let zeroed = Allocator.alloc_zeroed(large);
            assert!(
                std::slice::from_raw_parts(zeroed, large.size())
                    .iter()
                    .all(|&byte| byte == 0)
            );
            Allocator.dealloc(zeroed, large);
            let shrunk = Allocator.realloc(grown[0], larger, small.size());
            assert!(!holds(shrunk) && *shrunk.add(small.size() - 1) == 7);
            Allocator.dealloc(shrunk, small);
            drop(kept);
            // Other tests may keep memory meanwhile; a block from here goes back here either way.
            assert_eq!(*grown[1].add(large.size() - 1), 9);
            Allocator.dealloc(grown[1], larger);
        }
    }
}
