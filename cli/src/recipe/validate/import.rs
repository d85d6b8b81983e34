//! `[[import]]`.

use super::{Checker, Document};
use crate::import::Format;
use crate::recipe::ImportSection;
use crate::recipe::learning::TrainSection;
use crate::sources::Source;

impl Checker<'_> {
    pub(super) fn imports(&mut self, imports: &[ImportSection]) {
        for (index, import) in imports.iter().enumerate() {
            let at = |key: &str| format!("import.{index}.{key}");
            for (key, source) in [
                ("source", Some(&import.source)),
                ("requests", import.requests.as_ref()),
            ] {
                match source.map(|source| Source::parse(source)) {
                    Some(Ok(Source::Path(path))) => self.file(&at(key), &path.to_string_lossy()),
                    Some(Err(error)) => self.wrong(at(key), error.to_string()),
                    Some(Ok(_)) | None => {}
                }
            }
            self.sha256(&at("sha256"), import.sha256.as_deref());
            for (key, text) in [("from", &import.from), ("license", &import.license)] {
                if text.trim().is_empty() {
                    self.wrong(
                        at(key),
                        format!("`{key}` is empty, and a receipt is due for every answer"),
                    );
                }
            }
            let is_batch = import.format == Format::OpenaiBatch;
            if is_batch && import.requests.is_none() {
                self.wrong_with_help(
                    at("format"),
                    "the output of a batch does not hold what was asked",
                    "add `requests` with the batch's input",
                );
            }
            if !is_batch && import.requests.is_some() {
                self.wrong(
                    at("requests"),
                    "`requests` goes with the format `openai-batch` only",
                );
            }
        }
    }

    /// What was asked for elsewhere came without the teacher's candidates; a label is a distribution all the same.
    pub(super) fn learn_from_imports(&mut self, train: &TrainSection, document: &Document) {
        let objective = train.objective.clone().unwrap_or_default();
        let has_choices = document
            .harvest
            .as_ref()
            .is_some_and(|harvest| harvest.choices.is_some());
        if !document.import.is_empty() && !has_choices && objective.forward_kl > 0.0 {
            self.wrong_with_help(
                "train.objective",
                "`forward_kl` needs the teacher's candidates, and imported answers have none",
                "use `cross_entropy` alone",
            );
        }
    }
}
