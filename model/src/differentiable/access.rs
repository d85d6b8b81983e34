//! Reading tensors as slices.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Layout, Result, Storage, StorageRef, Tensor, bail};

/// The values of a contiguous f32 tensor on the processor.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        (CpuStorage::F32(_), None) => bail!("expected a contiguous tensor, got {layout:?}"),
        _ => bail!("expected an f32 tensor"),
    }
}

/// A borrowed view of a tensor's values; nothing done through it is tracked.
pub(super) struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

/// Borrows the values of a contiguous f32 tensor on the processor.
pub(super) fn read(tensor: &Tensor) -> Result<Values<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => Ok(Values {
            storage,
            range: start..end,
        }),
        _ => bail!("expected a contiguous f32 tensor on the processor, got {layout:?}"),
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            // `read` makes a view of nothing else, and the storage is borrowed since.
            _ => &[],
        }
    }
}

/// Rows and columns of a matrix.
pub(super) fn matrix(layout: &Layout) -> Result<(usize, usize)> {
    match layout.dims() {
        &[rows, columns] => Ok((rows, columns)),
        dims => bail!("expected a matrix, got the shape {dims:?}"),
    }
}
