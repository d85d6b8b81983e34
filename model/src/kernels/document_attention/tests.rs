//! Attention both ways against the formulas in f64, on every path.

use proptest::prelude::*;

use super::*;
use crate::kernels::matrix::test_values;
use crate::kernels::simd::on_every_path;

/// One head of one document in f64, a row a token.
type Rows = Vec<Vec<f64>>;

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter()
        .zip(right)
        .map(|(left, right)| left * right)
        .sum()
}

fn add_scaled(to: &mut [f64], factor: f64, row: &[f64]) {
    for (to, x) in to.iter_mut().zip(row) {
        *to += factor * x;
    }
}

/// Rows turned to their positions, or back where `direction` is -1.
fn turned(rows: &Rows, rotary: &Rotary, direction: f64) -> Rows {
    let turn = |(position, row): (usize, &Vec<f64>)| {
        let (cosines, sines) = rotary.row(position);
        let (low, high) = row.split_at(row.len() / 2);
        let mut out = row.clone();
        for i in 0..low.len() {
            let (cosine, sine) = (f64::from(cosines[i]), direction * f64::from(sines[i]));
            out[i] = low[i] * cosine - high[i] * sine;
            out[i + low.len()] = high[i] * cosine + low[i] * sine;
        }
        out
    };
    rows.iter().enumerate().map(turn).collect()
}

/// A matrix of f32 rows whose heads are read and added to in f64.
struct Heads {
    values: Vec<f64>,
    columns: usize,
    head_dim: usize,
}

impl Heads {
    fn new(values: Vec<f64>, columns: usize, head_dim: usize) -> Self {
        Self {
            values,
            columns,
            head_dim,
        }
    }

    fn read(&self, rows: std::ops::Range<usize>, head: usize) -> Rows {
        let row = |row| {
            self.values[row * self.columns + head * self.head_dim..][..self.head_dim].to_vec()
        };
        rows.map(row).collect()
    }

    fn add(&mut self, first: usize, head: usize, rows: &Rows) {
        for (row, values) in rows.iter().enumerate() {
            let place = (first + row) * self.columns + head * self.head_dim;
            add_scaled(&mut self.values[place..][..self.head_dim], 1.0, values);
        }
    }
}

/// The result and the gradient of the input.
fn reference(attention: &DocumentAttention<'_>, input: &[f32], dout: &[f32]) -> [Vec<f64>; 2] {
    let AttentionShape {
        heads,
        key_value_heads,
        head_dim,
    } = attention.shape;
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let (columns, query_width) = (attention.shape.columns(), attention.shape.query_width());
    let dout = Heads::new(wide(dout), query_width, head_dim);
    let mut out = Heads::new(vec![0.0; dout.values.len()], query_width, head_dim);
    let mut dinput = Heads::new(vec![0.0; input.len()], columns, head_dim);
    let input = Heads::new(wide(input), columns, head_dim);
    let scale = 1.0 / (head_dim as f64).sqrt();
    for document in attention.offsets.windows(2) {
        let (first, rows) = (document[0], document[0]..document[1]);
        for head in 0..heads {
            let key_head = heads + head / (heads / key_value_heads);
            let value_head = key_head + key_value_heads;
            let queries = turned(&input.read(rows.clone(), head), attention.rotary, 1.0);
            let keys = turned(&input.read(rows.clone(), key_head), attention.rotary, 1.0);
            let (values, dout) = (
                input.read(rows.clone(), value_head),
                dout.read(rows.clone(), head),
            );
            let zeros = vec![vec![0.0; head_dim]; rows.len()];
            let [mut result, mut dqueries, mut dkeys, mut dvalues] =
                [(); 4].map(|()| zeros.clone());
            for (query, row) in queries.iter().enumerate() {
                let weights: Vec<f64> = keys[..=query]
                    .iter()
                    .map(|key| (scale * dot(row, key)).exp())
                    .collect();
                let total: f64 = weights.iter().sum();
                for (key, weight) in weights.iter().enumerate() {
                    add_scaled(&mut result[query], weight / total, &values[key]);
                }
                let mean = dot(&result[query], &dout[query]);
                for (key, weight) in weights.iter().enumerate() {
                    let probability = weight / total;
                    let dscore = scale * probability * (dot(&dout[query], &values[key]) - mean);
                    add_scaled(&mut dvalues[key], probability, &dout[query]);
                    add_scaled(&mut dqueries[query], dscore, &keys[key]);
                    add_scaled(&mut dkeys[key], dscore, row);
                }
            }
            out.add(first, head, &result);
            dinput.add(first, head, &turned(&dqueries, attention.rotary, -1.0));
            dinput.add(first, key_head, &turned(&dkeys, attention.rotary, -1.0));
            dinput.add(first, value_head, &dvalues);
        }
    }
    [out.values, dinput.values]
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], what: impl std::fmt::Debug) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*found) - expected).abs() < 2e-5 * (1.0 + expected.abs()),
            "{what:?}, place {place}: {found} instead of {expected}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Documents of less than a block, of several and at the edges of one; heads narrower and wider than a tile's columns.
    #[test]
    fn both_ways_equal_the_formulas(
        lengths in prop::collection::vec(prop_oneof![0..9_usize, 62..67_usize, 125..135_usize], 1..4),
        group in 1..3_usize,
        key_value_heads in 1..3_usize,
        half in prop_oneof![1..9_usize, 15..19_usize],
        seed: u64,
    ) {
        let shape = AttentionShape { heads: group * key_value_heads, key_value_heads, head_dim: 2 * half };
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        let rotary = Rotary::new(shape.head_dim, 135, 100.0);
        let attention = DocumentAttention { shape, rotary: &rotary, offsets: &offsets };
        let tokens = attention.tokens();
        let input: Vec<f32> = test_values(tokens * shape.columns(), seed).iter().map(|x| x * 2.0).collect();
        let dout = test_values(tokens * shape.query_width(), seed ^ 1);
        let [expected, gradient] = reference(&attention, &input, &dout);
        on_every_path(|instructions| {
            let (out, log_sum_exps) = attention.forward(&input);
            assert_near(&out, &expected, instructions);
            let attended = Attended { out: &out, log_sum_exps: &log_sum_exps };
            assert_near(&attention.backward(&input, &attended, &dout), &gradient, instructions);
        });
    }
}
