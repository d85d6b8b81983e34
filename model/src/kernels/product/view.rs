//! Matrices as they lie in memory.

/// A matrix that is row-major in memory, or the transpose of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    transposed: bool,
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
        let length = self.stride();
        &self.values[line * length..][..length]
    }

    /// Values from the start of one line to that of the next.
    #[inline]
    pub(super) fn stride(self) -> usize {
        if self.transposed {
            self.rows
        } else {
            self.columns
        }
    }
}
