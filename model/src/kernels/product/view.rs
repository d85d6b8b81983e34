//! Matrices as they lie in memory.

use std::ops::Range;

/// A matrix that is row-major in memory, or the transpose of one; its lines may be parts of longer ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    transposed: bool,
    /// Values from the start of one line to that of the next.
    stride: usize,
}

impl<'a> View<'a> {
    /// Rows of `columns` values, one after another.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self {
            values,
            rows,
            columns,
            transposed: false,
            stride: columns,
        }
    }

    /// Some rows and columns of the matrix.
    pub(crate) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns);
        let (first, start) = if self.transposed {
            (columns.start, rows.start)
        } else {
            (rows.start, columns.start)
        };
        Self {
            // Of a part without values the start may lie past the end.
            values: self
                .values
                .get(first * self.stride + start..)
                .unwrap_or_default(),
            rows: rows.len(),
            columns: columns.len(),
            ..self
        }
    }

    /// The same values with rows and columns exchanged; nothing is moved.
    pub(crate) fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    /// Whether columns, rather than rows, are contiguous.
    pub(super) fn is_transposed(self) -> bool {
        self.transposed
    }

    /// The contiguous run of index `line`: a row, or, where the view is transposed, a column.
    #[inline]
    pub(super) fn line(self, line: usize) -> &'a [f32] {
        let length = if self.transposed {
            self.rows
        } else {
            self.columns
        };
        &self.values[line * self.stride..][..length]
    }

    /// Where value `place` of a line is, or would be if the matrix went on.
    #[inline]
    pub(super) fn address(self, line: usize, place: usize) -> *const f32 {
        self.values
            .as_ptr()
            .wrapping_add(line * self.stride + place)
    }
}
