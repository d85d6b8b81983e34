//! The order of query and key rows.
//!
//! Hugging Face rotates channel `i` of a head with channel `i + head_dim / 2`; llama.cpp's `llama` family rotates
//! neighbours `2 i` and `2 i + 1`. Files of that family hold the rows of Q and K in the second order, so they are
//! reordered on the way in and out; every other tensor is the same in both.

/// How one head's rows move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// From Hugging Face's halves to llama.cpp's neighbours.
    HalvesToNeighbours,
    /// From llama.cpp's neighbours to Hugging Face's halves.
    NeighboursToHalves,
}

/// Reorders the rows of `data`, `[heads * head_dim, columns]`, head by head.
pub(super) fn reorder_rows<T: Clone>(
    data: &[T],
    heads: usize,
    columns: usize,
    order: RowOrder,
) -> Vec<T> {
    let head_dim = data.len() / (heads * columns);
    let half = head_dim / 2;
    let mut out = Vec::with_capacity(data.len());
    for head in data.chunks_exact(head_dim * columns) {
        for row in 0..head_dim {
            let source = match order {
                RowOrder::HalvesToNeighbours => (row % 2) * half + row / 2,
                RowOrder::NeighboursToHalves => (row % half) * 2 + row / half,
            };
            out.extend_from_slice(&head[source * columns..(source + 1) * columns]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_reference_reshape() {
        // reshape (heads, 2, head_dim / 2, in), swap axes 1 and 2: 2 heads, head_dim 6, 1 column.
        let rows: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let file = reorder_rows(&rows, 2, 1, RowOrder::HalvesToNeighbours);
        let expected = [0., 3., 1., 4., 2., 5., 6., 9., 7., 10., 8., 11.];
        assert_eq!(file, expected);
        let back = reorder_rows(&file, 2, 1, RowOrder::NeighboursToHalves);
        assert_eq!(back, rows);
    }
}
