//! Rows of a matrix by number: embedding lookup, and the choice of supervised positions.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::composed;
use crate::kernels::fill::filled;
use crate::kernels::row_gradients::add;

/// Row `ids[i]` of `table` as row i of the result; a row may be taken many times.
///
/// `table` is `[rows, width]`; the result is `[ids.len(), width]`. An id past the table is an error.
pub fn select_rows(table: &Tensor, ids: &Arc<[u32]>) -> Result<Tensor> {
    if !table.device().is_cpu() {
        return composed::select_rows(table, ids);
    }
    table.contiguous()?.apply_op1(SelectRows {
        ids: Arc::clone(ids),
    })
}

struct SelectRows {
    ids: Arc<[u32]>,
}

impl CustomOp1 for SelectRows {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let table = values(storage, layout)?;
        let (count, width) = matrix(layout)?;
        if let Some(id) = self.ids.iter().find(|id| **id as usize >= count) {
            bail!("select-rows: row {id} of a table of {count}");
        }
        let (out, _) = filled(self.ids.len(), width, |first, out| {
            for (id, out) in self.ids[first..].iter().zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(&table[*id as usize * width..][..width]);
            }
        });
        Ok((CpuStorage::F32(out), (self.ids.len(), width).into()))
    }

    /// A task takes a block of the table's rows and adds what belongs to each in the order of the places that took it.
    fn bwd(&self, table: &Tensor, _out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let dout = dout.contiguous()?;
        let (count, width) = table.dims2()?;
        let dout_values = read(&dout)?;
        let dout_slice = &*dout_values;
        let mut places: Vec<(u32, u32)> = self.ids.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let (dtable, _) = filled(count, width, |first, dtable| {
            let start = places.partition_point(|(id, _)| (*id as usize) < first);
            for &(id, place) in &places[start..] {
                let row = (id as usize - first) * width;
                let Some(out) = dtable.get_mut(row..row + width) else {
                    break;
                };
                add(out, &dout_slice[place as usize * width..][..width]);
            }
        });
        Ok(Some(Tensor::from_vec(
            dtable,
            table.shape(),
            table.device(),
        )?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::differentiable::test_support::{check_gradients, check_same, random};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn agrees_with_the_composed_form(
            rows in 1..200_usize,
            width in 1..40_usize,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..300),
            seed: u64,
        ) {
            let ids: Arc<[u32]> = picks.iter().map(|pick| pick.index(rows) as u32).collect();
            check_same(
                &[random(&[rows, width], seed)],
                1e-5,
                |v| select_rows(&v[0], &ids),
                |v| composed::select_rows(&v[0], &ids),
            );
        }
    }

    #[test]
    fn rows_that_are_not_there_are_refused() {
        assert!(select_rows(&random(&[7, 3], 1), &Arc::from([7u32])).is_err());
    }

    #[test]
    fn gradients_of_repeated_rows_add_up() {
        check_gradients(&[random(&[4, 3], 2)], |v| {
            select_rows(&v[0], &Arc::from([1u32, 3, 1, 0, 1]))
        });
    }
}
