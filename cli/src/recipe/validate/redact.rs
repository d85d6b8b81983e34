//! `[redact]`.

use std::collections::{BTreeMap, HashSet};

use limbeck_store::redact::{RedactError, Redactor};

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
            match Redactor::new(std::slice::from_ref(name)) {
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
        for (name, placeholder) in &redact.placeholders {
            self.placeholder(&redact.replace, name, placeholder);
        }
    }

    fn placeholder(&mut self, replace: &[String], name: &String, placeholder: &str) {
        let at = format!("redact.placeholders.{name}");
        // Those that nothing detects are mistakes of the list.
        let known = replace.iter().filter(|name| detected(name));
        let Ok(redactor) = Redactor::new(&known.cloned().collect::<Vec<_>>()) else {
            return;
        };
        let one = BTreeMap::from([(name.clone(), placeholder.to_owned())]);
        match redactor.with_placeholders(&one) {
            Ok(_) => {}
            Err(error) => {
                let message = error.to_string();
                let RedactError::NotReplaced { name, replaced } = error else {
                    self.wrong(at, message);
                    return;
                };
                let help = match nearest(&name, replaced) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name it in `replace` as well".to_owned(),
                };
                self.wrong_with_help(at, message, help);
            }
        }
    }
}

fn detected(name: &String) -> bool {
    Redactor::new(std::slice::from_ref(name)).is_ok()
}
