#![expect(clippy::unwrap_used, reason = "tests")]

use half::bf16;
use proptest::prelude::*;

use super::*;
use crate::kernels::matrix::test_values;
use crate::kernels::simd::on_every_path;

/// Every method that this processor has.
fn methods() -> Vec<Method> {
    let sets = InstructionSet::available();
    let plain = sets.iter().copied().map(Method::Plain);
    let rounded = sets.iter().copied().map(Method::Rounded);
    #[cfg(target_arch = "x86_64")]
    let pairs = has_bf16_dot_products().then_some(Method::Pairs);
    #[cfg(not(target_arch = "x86_64"))]
    let pairs = None;
    plain.chain(rounded).chain(pairs).collect()
}

/// What a method makes of a factor.
fn rounded(method: Method, value: f32) -> f64 {
    match method {
        Method::Plain(_) => value.into(),
        Method::Rounded(_) => bf16::from_f32(value).to_f64(),
        #[cfg(target_arch = "x86_64")]
        Method::Pairs => bf16::from_f32(value).to_f64(),
    }
}

/// A matrix of `rows x columns` that lies in memory one way or the other, and its elements by row and column.
struct Sample {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl Sample {
    fn new(rows: usize, columns: usize, transposed: bool, seed: u64) -> Self {
        Self {
            values: test_values(rows * columns, seed),
            rows,
            columns,
            transposed,
        }
    }

    fn view(&self) -> View<'_> {
        if self.transposed {
            View::new(&self.values, self.columns, self.rows).transpose()
        } else {
            View::new(&self.values, self.rows, self.columns)
        }
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        if self.transposed {
            self.values[column * self.rows + row]
        } else {
            self.values[row * self.columns + column]
        }
    }
}

#[track_caller]
fn check(method: Method, left: &Sample, right: &Sample) {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    let before = test_values(rows * columns, 9);
    let mut accumulated = before.clone();
    let packed = Right::pack_for(method, right.view());
    let product = packed.multiply(left.view(), None);
    let added = packed.multiply(left.view(), Some(&before));
    packed.multiply_into(left.view(), &mut accumulated, true);
    let mut overwritten = vec![f32::NAN; rows * columns];
    packed.multiply_into(left.view(), &mut overwritten, false);
    assert_eq!(product, overwritten);
    assert_eq!(added, accumulated);
    for row in 0..rows {
        for column in 0..columns {
            let place = row * columns + column;
            let expected: f64 = (0..depth)
                .map(|k| rounded(method, left.at(row, k)) * rounded(method, right.at(k, column)))
                .sum();
            let tolerance = 1e-6 * (depth as f64 + 10.0);
            let error = (f64::from(product[place]) - expected).abs();
            assert!(
                error < tolerance,
                "{method:?}, {rows}x{depth}x{columns}, row {row}, column {column}: {} instead of {expected}",
                product[place]
            );
            let error = (f64::from(added[place] - before[place]) - expected).abs();
            assert!(error < tolerance, "with an addend: off by {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_method_equals_the_written_out_product(
        rows in 1..140_usize,
        depth in 0..300_usize,
        columns in 1..200_usize,
        left_transposed: bool,
        right_transposed: bool,
        seed: u64,
    ) {
        let left = Sample::new(rows, depth, left_transposed, seed);
        let right = Sample::new(depth, columns, right_transposed, seed ^ 1);
        for method in methods() {
            check(method, &left, &right);
        }
    }
}

#[test]
fn bfloat16_takes_the_instructions_where_they_are_in_use() {
    on_every_path(|instructions| {
        assert_eq!(Method::choose(Arithmetic::F32), Method::Plain(instructions));
        let method = Method::choose(Arithmetic::Bf16);
        let emulated = method == Method::Rounded(instructions);
        assert_ne!(emulated, has_bf16_dot_products(), "{method:?}");
    });
}

#[test]
fn depths_beyond_one_chunk_and_rows_beyond_one_block_are_covered() {
    for (rows, depth, columns) in [
        (1, 700, 1),
        (7, 513, 65),
        (210, 257, 64),
        (97, 1030, 130),
        (5, 2100, 3),
    ] {
        for transposed in [false, true] {
            let left = Sample::new(rows, depth, transposed, 1);
            let right = Sample::new(depth, columns, !transposed, 2);
            for method in methods() {
                check(method, &left, &right);
            }
        }
    }
}

#[test]
fn nothing_times_nothing_is_nothing() {
    for method in methods() {
        let right = Right::pack_for(method, View::new(&[], 0, 3));
        assert_eq!(
            right.multiply(View::new(&[], 2, 0), Some(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
        assert!(right.multiply(View::new(&[], 0, 0), None).is_empty());
        let right = Right::pack_for(method, View::new(&[], 3, 0));
        assert!(right.multiply(View::new(&[1.0; 6], 2, 3), None).is_empty());
    }
}

#[test]
fn the_number_of_threads_and_the_company_of_other_rows_change_no_bit() {
    let (rows, depth, columns) = (230, 390, 200);
    for method in methods() {
        for transposed in [false, true] {
            let left = Sample::new(rows, depth, transposed, 1);
            let right = Sample::new(depth, columns, transposed, 2);
            let with_threads = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                pool.build()
                    .unwrap()
                    .install(|| Right::pack_for(method, right.view()).multiply(left.view(), None))
            };
            let one = with_threads(1);
            assert_eq!(one, with_threads(2));
            assert_eq!(one, with_threads(13));
            let row: Vec<f32> = (0..depth).map(|k| left.at(170, k)).collect();
            let alone =
                Right::pack_for(method, right.view()).multiply(View::new(&row, 1, depth), None);
            assert_eq!(alone, one[170 * columns..][..columns]);
        }
    }
}

#[test]
fn what_is_not_a_number_stays_visible() {
    for method in methods() {
        let mut left = Sample::new(8, 40, false, 1);
        left.values[3 * 40 + 39] = f32::NAN;
        let right = Sample::new(40, 70, true, 2);
        let product = Right::pack_for(method, right.view()).multiply(left.view(), None);
        for (place, value) in product.iter().enumerate() {
            assert_eq!(value.is_nan(), place / 70 == 3, "{method:?} at {place}");
        }
    }
}

#[test]
#[should_panic(expected = "the inner sizes differ")]
fn sides_that_do_not_fit_are_refused() {
    let right = Right::pack(Arithmetic::F32, View::new(&[0.0; 6], 2, 3));
    right.multiply(View::new(&[0.0; 6], 2, 3), None);
}
