//! The report in the terminal: the few lines that a person waits for.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::chart::scores_of;
use super::view::verdict;
use super::{Gate, Report, Suite};
use crate::printer::{Printer, sanitize_line};
use crate::text;

impl Report {
    /// Every gate with the place that it belongs to: a suite, or `device`.
    pub(super) fn gates(&self) -> impl Iterator<Item = (&str, &Gate)> {
        let suites = self
            .suites()
            .iter()
            .filter_map(|suite| Some((suite.name.as_str(), suite.gate.as_ref()?)));
        suites.chain(self.device.iter().map(|gate| ("device", gate)))
    }

    /// Whether everything that the recipe demands was reached.
    pub fn gates_passed(&self) -> bool {
        self.gates().all(|(_, gate)| gate.passed) && self.suites().iter().all(|suite| suite.passed)
    }

    pub(super) fn suites(&self) -> &[Suite] {
        self.evaluate
            .as_ref()
            .map_or(&[], |evaluate| &evaluate.suites)
    }
}

/// Prints the scores, the files, the verdict and where the page is.
pub fn print(report: &Report, workdir: &Path, printer: &Printer) -> anyhow::Result<()> {
    printer.line(summary(report))?;
    printer.done("Wrote", workdir.join("report.html").display());
    Ok(())
}

fn summary(report: &Report) -> String {
    let mut blocks = Vec::new();
    for suite in report.suites() {
        let title = format!(
            "{}: {}, {} rows, {}",
            sanitize_line(&suite.name),
            suite.metric.title(),
            text::grouped(suite.n),
            suite.metric.direction()
        );
        blocks.push(format!("{title}\n{}", scores(suite)));
    }
    if !report.export.is_empty() {
        blocks.push(files(report));
    }
    let mut verdict = vec![verdict(report)];
    for (place, gate) in report.gates() {
        let missed = gate.conditions.iter().filter(|condition| !condition.passed);
        verdict.extend(missed.map(|condition| {
            format!(
                "  missed: {} ({})",
                sanitize_line(&condition.text),
                sanitize_line(place)
            )
        }));
    }
    blocks.push(verdict.join("\n"));
    blocks.join("\n\n")
}

fn scores(suite: &Suite) -> String {
    let mut table = columns(["", "score", "95 % interval", "requests/s", "memory"]);
    for (_, score) in scores_of(suite) {
        table.add_row([
            sanitize_line(&score.name),
            suite.metric.show(score.score),
            suite.metric.show_interval(score.low, score.high),
            score
                .requests_per_second
                .map(text::number)
                .unwrap_or_default(),
            score.peak_rss_bytes.map(text::size).unwrap_or_default(),
        ]);
    }
    finished(&table)
}

fn files(report: &Report) -> String {
    let mut table = columns(["file", "size", "tokens/s", "logit difference", ""]);
    for file in &report.export {
        table.add_row([
            sanitize_line(&file.format),
            text::size(file.bytes),
            file.tokens_per_second.map(text::number).unwrap_or_default(),
            file.max_logit_difference
                .map(super::view::small)
                .unwrap_or_default(),
            sanitize_line(&file.path),
        ]);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    finished(&table)
}

/// A table without lines, its first column to the left and the others to the right.
fn columns(header: [&str; 5]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for index in 1..header.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn finished(table: &Table) -> String {
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::fixture;
    use super::*;

    #[test]
    fn the_summary_of_a_run() {
        expect![[r"
            human-labels: Accuracy, 1,000 rows, higher is better
                                            score  95 % interval  requests/s  memory
             smollm2                       81.2 %    78.7–83.6 %        9.84  742 MB
             student                       79.7 %    77.2–82.1 %       1,893   38 MB
             TF-IDF + logistic regression  76.8 %    74.3–79.2 %      52,000
             majority class                50.0 %    47.5–52.4 %
             untrained student             49.3 %    46.8–51.7 %

             file           size  tokens/s  logit difference
             safetensors  5.6 MB    14,210                 0  export/safetensors
             gguf:f16     2.9 MB    15,020            4.1e-4  export/support-sentiment-f16.gguf
             gguf:q8_0    1.6 MB    15,400             0.018  export/support-sentiment-q8_0.gguf

            All 4 gates passed"]]
        .assert_eq(&summary(&fixture::full()));
    }

    #[test]
    fn the_summary_names_what_was_missed() {
        let report = fixture::generative();
        assert!(!report.gates_passed() && fixture::full().gates_passed());
        expect![[r"
            held-out-stories: Nats per byte of the answers, 1,000 rows, lower is better
                                 score  95 % interval  requests/s  memory
             student             0.424    0.410–0.440
             Kneser-Ney trigram  0.445    0.430–0.460
             untrained student   2.196    2.180–2.210

             file           size  tokens/s  logit difference
             safetensors  5.6 MB    14,210                 0  export/safetensors
             gguf:f16     2.9 MB    15,020            4.1e-4  export/support-sentiment-f16.gguf
             gguf:q8_0    1.6 MB    15,400             0.018  export/support-sentiment-q8_0.gguf

            1 of 3 gates missed
              missed: 0.424 nats a byte is more than 0.9 of the best floor (0.400) (held-out-stories)"]].assert_eq(&summary(&report));
    }

    #[test]
    fn a_suite_can_fail_without_a_gate_of_its_own() {
        let mut report = fixture::full();
        if let Some(suite) = report.evaluate.as_mut().and_then(|e| e.suites.first_mut()) {
            suite.passed = false;
        }
        assert!(!report.gates_passed());
    }
}
