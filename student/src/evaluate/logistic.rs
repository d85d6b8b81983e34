//! Multinomial logistic regression over sparse rows, for the linear floor.
//!
//! argmin's L-BFGS finds the minimum. Rows have some thirty non-zero columns out of thousands: a dense solver (linfa's)
//! took forty times as long on 3,000 messages.

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::features::SparseRow;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// Steps after which the best point so far is taken.
const MOST_STEPS: u64 = 200;

/// Length of the gradient, a document, at which the minimum is reached.
const TOLERANCE: f64 = 1e-4;

/// Weights of a softmax over classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Logistic {
    classes: usize,
    /// `[width + 1, classes]`, row-major; the last row is the intercept.
    weights: Vec<f64>,
}

impl Logistic {
    /// Minimises the sum of −ln p(labels\[i\] | rows\[i\]) plus `penalty / 2` times the squared weights, intercepts
    /// excepted. Columns are below `width`, labels below `classes`.
    pub(super) fn fit(
        rows: &[&SparseRow],
        labels: &[usize],
        width: usize,
        classes: usize,
        penalty: f64,
    ) -> Result<Self, Error> {
        let problem = Problem {
            rows,
            labels,
            width,
            classes,
            penalty,
        };
        let start = vec![0.0; (width + 1) * classes];
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
            .with_tolerance_grad(TOLERANCE * rows.len() as f64)?;
        let result = Executor::new(problem, solver)
            .configure(|state| state.param(start.clone()).max_iters(MOST_STEPS))
            .run()?;
        let weights = result.state.get_best_param().cloned().unwrap_or(start);
        Ok(Self { classes, weights })
    }

    /// Natural-log probability of each class.
    pub(super) fn log_probabilities(&self, row: &SparseRow) -> Vec<f64> {
        let mut scores = vec![0.0; self.classes];
        log_probabilities(&self.weights, row, &mut scores);
        scores
    }
}

struct Problem<'a> {
    rows: &'a [&'a SparseRow],
    labels: &'a [usize],
    width: usize,
    classes: usize,
    penalty: f64,
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, weights: &Vec<f64>) -> Result<f64, Error> {
        let squares: f64 = weights[..self.width * self.classes]
            .iter()
            .map(|w| w * w)
            .sum();
        let mut scores = vec![0.0; self.classes];
        let mut loss = 0.0;
        for (row, label) in self.rows.iter().zip(self.labels) {
            log_probabilities(weights, row, &mut scores);
            loss -= scores[*label];
        }
        Ok(loss + self.penalty / 2.0 * squares)
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, weights: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let penalised = self.width * self.classes;
        let mut gradient: Vec<f64> = weights.iter().map(|weight| self.penalty * weight).collect();
        gradient[penalised..].fill(0.0);
        let mut errors = vec![0.0; self.classes];
        for (row, label) in self.rows.iter().zip(self.labels) {
            log_probabilities(weights, row, &mut errors);
            for error in &mut errors {
                *error = error.exp();
            }
            errors[*label] -= 1.0;
            for (column, value) in with_intercept(row, self.width) {
                let at = column * self.classes;
                for (slope, error) in gradient[at..].iter_mut().zip(&errors) {
                    *slope += value * error;
                }
            }
        }
        Ok(gradient)
    }
}

/// Fills `scores`, one place a class.
fn log_probabilities(weights: &[f64], row: &SparseRow, scores: &mut [f64]) {
    let classes = scores.len();
    scores.fill(0.0);
    for (column, value) in with_intercept(row, weights.len() / classes - 1) {
        for (score, weight) in scores.iter_mut().zip(&weights[column * classes..]) {
            *score += value * weight;
        }
    }
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = most
        + scores
            .iter()
            .map(|score| (score - most).exp())
            .sum::<f64>()
            .ln();
    for score in scores {
        *score -= total;
    }
}

fn with_intercept(row: &SparseRow, width: usize) -> impl Iterator<Item = (usize, f64)> {
    row.iter().copied().chain([(width, 1.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of three columns with noisy labels of three classes.
    fn data() -> (Vec<SparseRow>, Vec<usize>) {
        (0..60)
            .map(|at: usize| {
                let value = (at * 7 % 11) as f64 / 11.0;
                let row = vec![(at % 3, 1.0 - value), (2 - at % 2, value)];
                (row, (at % 3 + usize::from(at.is_multiple_of(7))) % 3)
            })
            .unzip()
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (rows, labels) = data();
        let rows: Vec<&SparseRow> = rows.iter().collect();
        let problem = Problem {
            rows: &rows,
            labels: &labels,
            width: 3,
            classes: 3,
            penalty: 0.7,
        };
        let point: Vec<f64> = (0..12).map(|at| f64::from(at % 5) / 3.0 - 0.6).collect();
        let gradient = problem.gradient(&point).expect("finite");
        for at in 0..point.len() {
            let shifted = |by: f64| {
                let mut point = point.clone();
                point[at] += by;
                problem.cost(&point).expect("finite")
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!(
                (slope - gradient[at]).abs() < 1e-6,
                "{at}: {slope} {}",
                gradient[at]
            );
        }
    }

    #[test]
    fn the_minimum_is_reached() {
        let (rows, labels) = data();
        let rows: Vec<&SparseRow> = rows.iter().collect();
        for penalty in [0.1, 10.0] {
            let model = Logistic::fit(&rows, &labels, 3, 3, penalty).expect("solves");
            let problem = Problem {
                rows: &rows,
                labels: &labels,
                width: 3,
                classes: 3,
                penalty,
            };
            let gradient = problem.gradient(&model.weights).expect("finite");
            let length = gradient
                .iter()
                .map(|slope| slope * slope)
                .sum::<f64>()
                .sqrt();
            assert!(
                length < TOLERANCE * 60.0 * 1.001,
                "penalty {penalty}: {length}"
            );
        }
    }

    #[test]
    fn probabilities_sum_to_one_and_large_scores_do_not_overflow() {
        let model = Logistic {
            classes: 2,
            weights: vec![1e4, -1e4, 0.0, 0.0],
        };
        let scores = model.log_probabilities(&vec![(0, 1.0)]);
        assert!(scores[0].abs() < 1e-12 && (scores[1] + 2e4).abs() < 1e-6);
    }
}
