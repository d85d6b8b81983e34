#![expect(clippy::unwrap_used, reason = "tests")]

use half::bf16;
use proptest::prelude::*;

use super::*;
use crate::kernels::matrix::test_values;
use crate::kernels::simd::{has_bf16_dot_products, on_every_path};

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
    let whole = Product::new(method, left.view(), right.view());
    let product = whole.values(None);
    let added = whole.values(Some(&before));
    whole.write(&mut accumulated, true);
    let mut overwritten = vec![f32::NAN; rows * columns];
    whole.write(&mut overwritten, false);
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
        // More than one slice: of the columns, of the depth, of both.
        (9, 40, 30_000),
        (13, 30_000, 41),
        (7, 1500, 1000),
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
        let addend = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let of = |rows, depth, columns| {
            let (left, right) = (vec![1.0; rows * depth], vec![1.0; depth * columns]);
            let (left, right) = (
                View::new(&left, rows, depth),
                View::new(&right, depth, columns),
            );
            let addend = (rows * columns == addend.len()).then_some(&addend[..]);
            Product::new(method, left, right).values(addend)
        };
        assert_eq!(of(2, 0, 3), addend);
        assert!(of(0, 4, 3).is_empty());
        assert!(of(2, 3, 0).is_empty());
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
                    .install(|| Product::new(method, left.view(), right.view()).values(None))
            };
            let one = with_threads(1);
            assert_eq!(one, with_threads(2));
            assert_eq!(one, with_threads(13));
            let row: Vec<f32> = (0..depth).map(|k| left.at(170, k)).collect();
            let alone = Product::new(method, View::new(&row, 1, depth), right.view()).values(None);
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
        let product = Product::new(method, left.view(), right.view()).values(None);
        for (place, value) in product.iter().enumerate() {
            assert_eq!(value.is_nan(), place / 70 == 3, "{method:?} at {place}");
        }
    }
}

#[test]
#[should_panic(expected = "the inner sizes differ")]
fn sides_that_do_not_fit_are_refused() {
    let side = View::new(&[0.0; 6], 2, 3);
    multiply(Arithmetic::F32, side, side, None);
}

#[test]
fn parts_of_a_matrix_are_what_lies_there() {
    let sample = Sample::new(7, 5, false, 3);
    for (matrix, at) in [
        (
            sample.view(),
            &(|i, j| sample.at(i, j)) as &dyn Fn(usize, usize) -> f32,
        ),
        (sample.view().transpose(), &|i, j| sample.at(j, i)),
    ] {
        let (rows, columns) = (1..matrix.rows() - 1, 2..matrix.columns());
        let part = matrix.part(rows.clone(), columns.clone());
        assert_eq!((part.rows(), part.columns()), (rows.len(), columns.len()));
        for i in 0..part.rows() {
            for j in 0..part.columns() {
                let (line, place) = if part.is_transposed() { (j, i) } else { (i, j) };
                let expected = at(rows.start + i, columns.start + j);
                assert_eq!(part.line(line)[place].to_bits(), expected.to_bits());
            }
        }
        let none = matrix.part(0..0, matrix.columns()..matrix.columns());
        assert_eq!((none.rows(), none.columns()), (0, 0));
    }
}

#[test]
fn work_is_cut_into_parts_that_cover_it() {
    for (rows, panels) in [(1, 1), (6, 40), (256, 16), (1000, 3), (97, 200)] {
        let (blocks, groups) = division(rows, panels, SERIAL);
        let blocks: Vec<_> = (0..blocks).map(|i| tiles(i, blocks, rows)).collect();
        let groups: Vec<_> = (0..groups).map(|i| share(i, groups, panels)).collect();
        for (parts, whole) in [(blocks, rows), (groups, panels)] {
            assert!(parts.iter().all(|part| !part.is_empty()));
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, whole));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
