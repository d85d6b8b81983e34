//! Rows of a matrix by number: embedding lookup, and the choice of supervised positions.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::access::{matrix, read, values};
use super::{Gradients, composed};
use crate::kernels::fill::{ROWS, filled};
use crate::kernels::row_gradients::add;

/// Row `ids[i]` of `table` as row i of the result; a row may be taken many times.
///
/// `table` is `[rows, width]`; the result is `[ids.len(), width]`. An id past the table is an error.
pub fn select_rows(table: &Tensor, ids: &Arc<[u32]>) -> Result<Tensor> {
    if ids.len() == table.dim(0)? && (0..).zip(&**ids).all(|(row, id)| row == *id) {
        return Ok(table.clone());
    }
    if !table.device().is_cpu() {
        return composed::select_rows(table, ids);
    }
    table.contiguous()?.apply_op1(SelectRows {
        ids: Arc::clone(ids),
    })
}

/// The same for a table of parameters, whose gradient is added to `gradients`.
pub fn embed(table: &Tensor, ids: &Arc<[u32]>, gradients: &Arc<Gradients>) -> Result<Tensor> {
    if !gradients.wants(table) {
        return select_rows(&table.detach(), ids);
    }
    table.apply_op1(Embed {
        rows: SelectRows {
            ids: Arc::clone(ids),
        },
        gradients: Arc::clone(gradients),
    })
}

struct SelectRows {
    ids: Arc<[u32]>,
}

struct Embed {
    rows: SelectRows,
    gradients: Arc<Gradients>,
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

    fn bwd(&self, table: &Tensor, _out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let mut dtable = vec![0.0; table.elem_count()];
        self.add_rows(&read(&dout.contiguous()?)?, table.dim(1)?, &mut dtable);
        Ok(Some(Tensor::from_vec(
            dtable,
            table.shape(),
            table.device(),
        )?))
    }
}

impl SelectRows {
    /// A task takes a block of the table's rows and adds what belongs to each in the order of the places that took it.
    fn add_rows(&self, dout: &[f32], width: usize, dtable: &mut [f32]) {
        let mut places: Vec<(u32, u32)> = self.ids.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let blocks = dtable.par_chunks_mut(ROWS * width.max(1)).enumerate();
        blocks.for_each(|(block, dtable)| {
            let first = block * ROWS;
            let start = places.partition_point(|(id, _)| (*id as usize) < first);
            for &(id, place) in &places[start..] {
                let row = (id as usize - first) * width;
                let Some(out) = dtable.get_mut(row..row + width) else {
                    break;
                };
                add(out, &dout[place as usize * width..][..width]);
            }
        });
    }
}

impl CustomOp1 for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.rows.cpu_fwd(storage, layout)
    }

    /// Nothing is handed to candle: the table is a variable, and nothing lies before it.
    fn bwd(&self, table: &Tensor, _out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let (dout, width) = (dout.contiguous()?, table.dim(1)?);
        let dout = read(&dout)?;
        self.gradients.update(table, |sum| {
            let mut sum = sum.unwrap_or_else(|| vec![0.0; table.elem_count()]);
            self.rows.add_rows(&dout, width, &mut sum);
            sum
        });
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use candle_core::Var;
    use proptest::prelude::*;

    use super::*;
    use crate::differentiable::test_support::{
        check_captured_gradients, check_gradients, check_same, gradient, gradients_of, random,
    };

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
        let ids = Arc::from([1u32, 3, 1, 0, 1]);
        let table = [random(&[4, 3], 2)];
        check_gradients(&table, |v| select_rows(&v[0], &ids));
        check_captured_gradients(&table, |v, gradients| embed(&v[0], &ids, gradients));
    }

    #[test]
    fn embedding_adds_to_what_is_there_and_leaves_a_frozen_table_alone() {
        let ids = Arc::from([2u32, 70, 2]);
        let table = Var::from_tensor(&random(&[80, 3], 2)).unwrap();
        let variables = [table.clone()];
        // As where the table is the head as well, or there are several passes.
        let twice = gradients_of(&variables, |gradients| {
            embed(&table, &ids, gradients).unwrap().backward().unwrap();
            embed(&table, &ids, gradients).unwrap()
        });
        let twice = gradient(&twice, &table).to_vec2::<f32>().unwrap();
        for (row, values) in twice.into_iter().enumerate() {
            let expected = [(2, 4.0_f32), (70, 2.0)]
                .into_iter()
                .find_map(|(id, sum)| (id == row).then_some(sum));
            let expected = expected.unwrap_or(0.0).to_bits();
            assert!(values.iter().all(|value| value.to_bits() == expected));
        }
        let frozen = embed(&table, &ids, &Arc::default()).unwrap();
        assert!(!frozen.track_op());
    }

    #[test]
    fn all_rows_in_their_order_are_the_table_itself() {
        let table = random(&[4, 3], 2);
        let rows = select_rows(&table, &Arc::from([0u32, 1, 2, 3])).unwrap();
        assert_eq!(rows.id(), table.id());
    }
}
