//! `[[evaluate]]` and `[export]`.

use limbeck_student::evaluate::Metric;

use super::Checker;
use crate::recipe::measuring::{EvaluateSection, ExportSection};

impl Checker<'_> {
    pub(super) fn evaluations(&mut self, sections: &[EvaluateSection], has_choices: Option<bool>) {
        let names = sections.iter().map(|section| section.name.as_str());
        self.unique("evaluate", "suite", names, &[]);
        for (index, section) in sections.iter().enumerate() {
            let at = |key: &str| format!("evaluate.{index}.{key}");
            self.source_table(&at("suite"), &section.suite);
            self.template(&at("suite.expected"), Some(&section.suite.expected));
            if let Some(problem) = section.gate.problem(section.metric) {
                self.wrong(at("gate"), problem);
            }
            let needs_choices = section.metric == Metric::Accuracy;
            match has_choices {
                Some(false) if needs_choices => self.wrong_with_help(
                    at("metric"),
                    "`accuracy` is measured on answers that are chosen, and `[harvest]` has no `choices`",
                    "add `choices`, or measure `nats-per-byte` or `ends`",
                ),
                Some(true) if !needs_choices => self.wrong_with_help(
                    at("metric"),
                    format!("`{}` is measured on free text, and `[harvest]` has `choices`", section.metric.name()),
                    "measure `accuracy`, or leave `choices` out",
                ),
                _ => {}
            }
        }
    }

    pub(super) fn export(&mut self, export: &ExportSection) {
        if export.formats.is_empty() {
            self.wrong("export.formats", "there must be at least one format");
        }
        let mut seen = Vec::new();
        for (index, format) in export.formats.iter().enumerate() {
            if seen.contains(&format) {
                self.wrong(
                    format!("export.formats.{index}"),
                    format!("the format `{format}` is there twice"),
                );
            }
            seen.push(format);
        }
        let device = &export.device;
        for (key, value) in [
            ("max_file_mb", device.max_file_mb),
            ("min_requests_per_second", device.min_requests_per_second),
        ] {
            if let Some(value) = value {
                let holds = value > 0.0 && value.is_finite();
                self.expect(holds, &format!("export.device.{key}"), value, "more than 0");
            }
        }
    }
}
