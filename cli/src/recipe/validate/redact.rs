//! `[redact]`.

use std::collections::HashSet;

use limbeck_store::redact::RedactError;

use super::{Checker, nearest};
use crate::recipe::redact::RedactSection;

impl Checker<'_> {
    pub(super) fn redact(&mut self, redact: &RedactSection) {
        if redact.replace.is_empty() {
            self.wrong_with_help(
                "redact.replace",
                "nothing is to be replaced",
                "name one or more detectors, or leave `[redact]` out",
            );
        }
        let mut seen = HashSet::new();
        for (index, name) in redact.replace.iter().enumerate() {
            let at = format!("redact.replace.{index}");
            if !seen.insert(name) {
                self.wrong(at, format!("the detector `{name}` is there twice"));
                continue;
            }
            let one = RedactSection {
                replace: vec![name.clone()],
            };
            match one.redactor() {
                Ok(_) => {}
                Err(error @ RedactError::Detector(_)) => self.wrong(at, error.to_string()),
                Err(error) => {
                    let message = error.to_string();
                    let RedactError::Unknown { known, .. } = error else {
                        continue;
                    };
                    let help = match nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("there are `{}`", known.join("`, `")),
                    };
                    self.wrong_with_help(at, message, help);
                }
            }
        }
    }
}
