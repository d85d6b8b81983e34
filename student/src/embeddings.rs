//! Starting embeddings from the teacher's.

use limbeck_model::{ModelError, WeightSource, WeightTensor};
use nalgebra::{DMatrix, SymmetricEigen};

/// Standard deviation of initial weights, as in GPT-2 and most decoders since.
pub const INITIAL_DEVIATION: f32 = 0.02;

/// The embedding table's Hugging Face name.
const EMBEDDINGS: &str = "model.embed_tokens.weight";

/// Teacher embeddings could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// The rows are no matrix, or the width is none to project to.
    #[error("embeddings of shape {shape:?} cannot be projected to a width of {width}")]
    Shape {
        /// Shape of the teacher's rows.
        shape: Vec<usize>,
        /// The student's width.
        width: usize,
    },
    /// A kept token has no row.
    #[error("the teacher's embedding table has {rows} rows, so none for token {id}")]
    MissingRow {
        /// The token, in the teacher's ids.
        id: u32,
        /// Rows of the table.
        rows: usize,
    },
    /// The table holds something that is not a number, or nothing but zeros.
    #[error("the teacher's embeddings are not finite, or all zero")]
    NotFinite,
    /// The table could not be read.
    #[error("the teacher's embeddings cannot be read")]
    Teacher(#[from] ModelError),
    /// A tensor operation failed.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

/// The teacher's embedding rows of `teacher_ids`, in that order.
pub fn teacher_rows(
    weights: &dyn WeightSource,
    teacher_ids: &[u32],
) -> Result<WeightTensor, EmbeddingError> {
    let table = weights.load(EMBEDDINGS)?;
    let &[rows, width] = table.shape.as_slice() else {
        return Err(EmbeddingError::Shape {
            shape: table.shape,
            width: 0,
        });
    };
    let mut data = Vec::with_capacity(teacher_ids.len() * width);
    for &id in teacher_ids {
        if id as usize >= rows {
            return Err(EmbeddingError::MissingRow { id, rows });
        }
        data.extend_from_slice(&table.data[id as usize * width..][..width]);
    }
    Ok(WeightTensor {
        shape: vec![teacher_ids.len(), width],
        data,
    })
}

/// Projects `rows`, `[tokens, teacher width]`, to `[tokens, width]`: onto their first `width` right singular vectors,
/// which keeps as much of the scalar products between tokens as that width can, then scaled to the deviation of
/// random initial weights.
pub fn project_embeddings(
    rows: &WeightTensor,
    width: usize,
) -> Result<WeightTensor, EmbeddingError> {
    let (tokens, teacher_width) = match rows.shape[..] {
        [tokens, teacher_width] if tokens > 0 && (1..=teacher_width).contains(&width) => {
            (tokens, teacher_width)
        }
        _ => {
            return Err(EmbeddingError::Shape {
                shape: rows.shape.clone(),
                width,
            });
        }
    };
    let device = candle_core::Device::Cpu;
    let matrix = candle_core::Tensor::from_slice(&rows.data, (tokens, teacher_width), &device)?;
    let gram = matrix
        .t()?
        .matmul(&matrix)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    if gram.iter().any(|value| !value.is_finite()) {
        return Err(EmbeddingError::NotFinite);
    }
    let directions = leading_directions(&gram, teacher_width, width);
    let directions = candle_core::Tensor::from_vec(directions, (width, teacher_width), &device)?;
    let mut data = matrix
        .matmul(&directions.t()?)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let squares: f64 = data.iter().map(|value| f64::from(*value).powi(2)).sum();
    let deviation = (squares / data.len() as f64).sqrt() as f32;
    if deviation <= 0.0 {
        return Err(EmbeddingError::NotFinite);
    }
    for value in &mut data {
        *value *= INITIAL_DEVIATION / deviation;
    }
    Ok(WeightTensor {
        shape: vec![tokens, width],
        data,
    })
}

/// The eigenvectors of the `count` largest eigenvalues of a symmetric matrix, one a row. The sign of each is fixed
/// by its largest component, so that the result does not depend on the solver's whim.
fn leading_directions(gram: &[f32], size: usize, count: usize) -> Vec<f32> {
    let wide: Vec<f64> = gram.iter().copied().map(f64::from).collect();
    // Row-major or column-major makes no difference: the matrix is symmetric.
    let eigen = SymmetricEigen::new(DMatrix::from_vec(size, size, wide));
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut directions = Vec::with_capacity(count * size);
    for &column in &order[..count] {
        let vector = eigen.eigenvectors.column(column);
        let sign = vector[vector.icamax()].signum();
        directions.extend(vector.iter().map(|value| (value * sign) as f32));
    }
    directions
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use limbeck_model::WeightMap;

    fn rows(tokens: usize, width: usize) -> WeightTensor {
        // Two strong directions and weak noise.
        let value = |token: usize, column: usize| {
            let (t, c) = (token as f32, column as f32);
            3.0 * (t * 0.7).sin() * (c * 0.9).cos()
                + 2.0 * (t * 1.3).cos() * (c * 0.4).sin()
                + 0.01 * (t * 5.1 + c * 3.7).sin()
        };
        WeightTensor {
            shape: vec![tokens, width],
            data: (0..tokens * width)
                .map(|i| value(i / width, i % width))
                .collect(),
        }
    }

    fn product(rows: &WeightTensor, a: usize, b: usize) -> f32 {
        let width = rows.shape[1];
        let row = |i: usize| &rows.data[i * width..][..width];
        row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn scalar_products_survive_up_to_one_scale() {
        let full = rows(40, 12);
        let projected = project_embeddings(&full, 3).unwrap();
        assert_eq!(projected.shape, [40, 3]);
        let scale = product(&projected, 0, 0) / product(&full, 0, 0);
        for (a, b) in [(0, 1), (3, 17), (39, 5), (8, 8)] {
            let (found, expected) = (product(&projected, a, b), scale * product(&full, a, b));
            assert!((found - expected).abs() < 0.02 * scale * product(&full, a, a).max(1.0));
        }
        let squares: f32 = projected.data.iter().map(|value| value * value).sum();
        assert!(((squares / 120.0).sqrt() / INITIAL_DEVIATION - 1.0).abs() < 1e-4);
    }

    #[test]
    fn impossible_projections_are_refused() {
        assert!(matches!(
            project_embeddings(&rows(4, 3), 5),
            Err(EmbeddingError::Shape { .. })
        ));
        assert!(matches!(
            project_embeddings(&rows(4, 3), 0),
            Err(EmbeddingError::Shape { .. })
        ));
        let mut broken = rows(4, 3);
        broken.data[5] = f32::NAN;
        assert!(matches!(
            project_embeddings(&broken, 2),
            Err(EmbeddingError::NotFinite)
        ));
        broken.data.fill(0.0);
        assert!(matches!(
            project_embeddings(&broken, 2),
            Err(EmbeddingError::NotFinite)
        ));
    }

    #[test]
    fn rows_are_gathered_by_teacher_id() {
        let table = rows(5, 2);
        let weights = WeightMap::from([("model.embed_tokens.weight".to_owned(), table.clone())]);
        let gathered = teacher_rows(&weights, &[4, 0]).unwrap();
        assert_eq!(gathered.shape, [2, 2]);
        assert_eq!(
            gathered.data,
            [&table.data[8..10], &table.data[0..2]].concat()
        );
        assert!(matches!(
            teacher_rows(&weights, &[5]),
            Err(EmbeddingError::MissingRow { id: 5, rows: 5 })
        ));
    }
}
