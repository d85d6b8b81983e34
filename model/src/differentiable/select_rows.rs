//! Rows of a matrix by number: embedding lookup, and the choice of supervised positions.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::vector;

/// Row `ids[i]` of `table` as row i of the result; a row may be taken many times.
///
/// `table` is `[rows, width]`; the result is `[ids.len(), width]`. An id past the table is an error.
pub fn select_rows(table: &Tensor, ids: &Arc<[u32]>) -> Result<Tensor> {
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
        let mut out = Vec::with_capacity(self.ids.len() * width);
        for &id in self.ids.iter() {
            let id = id as usize;
            if id >= count {
                bail!("select-rows: row {id} of a table of {count}");
            }
            out.extend_from_slice(&table[id * width..][..width]);
        }
        Ok((CpuStorage::F32(out), (self.ids.len(), width).into()))
    }

    /// Rows of the gradient are added up one after another: a parallel sum would depend on who comes first.
    fn bwd(&self, table: &Tensor, _out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let dout = dout.contiguous()?;
        let (count, width) = table.dims2()?;
        let dout_values = read(&dout)?;
        let mut dtable = vec![0.0; count * width];
        for (&id, row) in self.ids.iter().zip(dout_values.chunks(width.max(1))) {
            vector::add(&mut dtable[id as usize * width..][..width], row);
        }
        Ok(Some(Tensor::from_vec(
            dtable,
            table.shape(),
            table.device(),
        )?))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};

    #[test]
    fn agrees_with_candle_and_refuses_rows_that_are_not_there() {
        let table = random(&[7, 3], 1);
        let ids = [6u32, 0, 3, 3, 6];
        let expected = table
            .index_select(&Tensor::new(&ids, table.device()).unwrap(), 0)
            .unwrap();
        check_close(
            &select_rows(&table, &Arc::from(ids)).unwrap(),
            &expected,
            0.0,
        );
        assert!(select_rows(&table, &Arc::from([7u32])).is_err());
    }

    #[test]
    fn gradients_of_repeated_rows_add_up() {
        check_gradients(&[random(&[4, 3], 2)], |v| {
            select_rows(&v[0], &Arc::from([1u32, 3, 1, 0, 1]))
        });
    }
}
