//! Putting documents of many lengths into rows of one length.

use std::collections::BTreeMap;

/// Packs documents into rows of at most `capacity` tokens by best-fit-decreasing: the longest first, each into the
/// fullest row that still has room (arXiv 2404.10830). Returns the documents of each row.
///
/// Among equally long documents the earlier one goes first, so the number of rows does not depend on the order of
/// `lengths`, and which documents share a row does. A document longer than `capacity` has a row of its own.
pub fn pack(lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&document| std::cmp::Reverse(lengths[document]));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    // Rows by the room they have left.
    let mut by_room: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for document in order {
        let length = lengths[document];
        let (room, row) = take_best(&mut by_room, length).unwrap_or_else(|| {
            rows.push(Vec::new());
            (capacity.max(length), rows.len() - 1)
        });
        rows[row].push(document);
        by_room.entry(room - length).or_default().push(row);
    }
    rows
}

/// Takes out a row with the least room that is enough.
fn take_best(by_room: &mut BTreeMap<usize, Vec<usize>>, length: usize) -> Option<(usize, usize)> {
    let (&room, rows) = by_room.range_mut(length..).next()?;
    let row = rows.pop()?;
    if rows.is_empty() {
        by_room.remove(&room);
    }
    Some((room, row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fullest_row_with_room_is_taken() {
        assert_eq!(pack(&[3, 7, 2, 6, 1], 10), [vec![1, 0], vec![3, 2, 4]]);
        assert_eq!(pack(&[], 10), Vec::<Vec<usize>>::new());
        assert_eq!(pack(&[12, 4], 10), [vec![0], vec![1]]);
    }

    proptest! {
        #[test]
        fn every_document_is_packed_once_and_no_row_overflows(
            lengths in proptest::collection::vec(1usize..=64, 0..200)
        ) {
            let rows = pack(&lengths, 64);
            let mut packed: Vec<usize> = rows.concat();
            packed.sort_unstable();
            prop_assert_eq!(packed, (0..lengths.len()).collect::<Vec<_>>());
            let filled: Vec<usize> = rows
                .iter()
                .map(|row| row.iter().map(|&document| lengths[document]).sum())
                .collect();
            prop_assert!(filled.iter().all(|&filled| filled <= 64));
            // Two rows that fit into one would mean that the later was opened without need.
            let mut sorted = filled;
            sorted.sort_unstable();
            if let [first, second, ..] = sorted[..] {
                prop_assert!(first + second > 64);
            }
        }

        #[test]
        fn the_number_of_rows_does_not_depend_on_the_order(
            lengths in proptest::collection::vec(1usize..=64, 0..100)
        ) {
            let mut reversed = lengths.clone();
            reversed.reverse();
            prop_assert_eq!(pack(&lengths, 64).len(), pack(&reversed, 64).len());
        }
    }
}
