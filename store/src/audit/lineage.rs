//! What went into one model: where one is looked at, the rest of the store is not held against it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::provenance::{FileDigest, Noted};

/// The way that one model came: what it learned from, what chose that, the model itself and its files for devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// The id of the dataset that it learned from, or is to learn from.
    pub dataset: String,
    /// The hash of the curation that chose it.
    pub curation: String,
    /// The hash of its training; `None` before there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The hash of its export; `None` before there is one, or where the model itself is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
}

impl Lineage {
    /// Whether the stage `stage` with this hash is part of the way.
    pub fn holds_stage(&self, stage: &str, hash: &str) -> bool {
        match stage {
            "curate" => self.curation == hash,
            "train" => self.model.as_deref() == Some(hash),
            "export" => self.export.as_deref() == Some(hash),
            _ => false,
        }
    }

    /// The lineage of a folder with these files, by the records of models and exports; `None` where they tell of none of
    /// the files, or not of what the model learned from.
    pub(crate) fn of_files(
        files: &[FileDigest],
        models: &BTreeMap<String, Noted>,
        exports: &BTreeMap<String, Noted>,
    ) -> Option<Self> {
        let (made, noted) = nearest(files, models, exports)?;
        let (model, export) = match made {
            Made::Model => (noted, None),
            Made::Export => (models.get(noted.text("model")?)?, Some(noted.hash.clone())),
        };
        Some(Self {
            dataset: model.text("dataset")?.to_owned(),
            curation: model.text("curation")?.to_owned(),
            model: Some(model.hash.clone()),
            export,
        })
    }
}

/// What a record with files is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Model,
    Export,
}

/// The record that tells of most of `files`. A student and its export share some; the one that is meant has the fewest
/// others.
pub(crate) fn nearest<'a>(
    files: &[FileDigest],
    models: &'a BTreeMap<String, Noted>,
    exports: &'a BTreeMap<String, Noted>,
) -> Option<(Made, &'a Noted)> {
    let models = models.values().map(|noted| (Made::Model, noted));
    let noted = models.chain(exports.values().map(|noted| (Made::Export, noted)));
    let likeness = |noted: &Noted| {
        let recorded = noted.files();
        let shared = recorded.iter().filter(|file| files.contains(file)).count();
        1000 * shared / (recorded.len() + files.len() - shared).max(1)
    };
    let (likeness, made, noted) = noted
        .map(|(made, noted)| (likeness(noted), made, noted))
        .max_by_key(|(likeness, _, _)| *likeness)?;
    (likeness > 0).then_some((made, noted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(path: &str, sha256: &str) -> FileDigest {
        FileDigest {
            path: path.to_owned(),
            bytes: 1,
            sha256: sha256.to_owned(),
        }
    }

    fn noted(hash: &str, record: serde_json::Value, files: &[FileDigest]) -> (String, Noted) {
        let mut record = record;
        record["files"] = json!(files);
        let noted = Noted {
            hash: hash.to_owned(),
            record,
        };
        (hash.to_owned(), noted)
    }

    #[test]
    fn a_folder_is_that_of_the_record_with_the_fewest_other_files() {
        let (weights, tokenizer) = (
            file("model.safetensors", "aa"),
            file("tokenizer.json", "bb"),
        );
        let card = file("README.md", "cc");
        let student = [weights.clone(), tokenizer.clone()];
        let export = [weights.clone(), tokenizer, card.clone()];
        let models = BTreeMap::from([
            noted("m1", json!({"dataset": "d1", "curation": "c1"}), &student),
            noted(
                "m2",
                json!({"dataset": "d2", "curation": "c2"}),
                &[file("model.safetensors", "dd")],
            ),
        ]);
        let exports = BTreeMap::from([
            noted("e1", json!({"model": "m1"}), &export),
            noted("e9", json!({"model": "gone"}), &[file("lost.gguf", "ee")]),
        ]);
        let of = |files: &[FileDigest]| Lineage::of_files(files, &models, &exports);
        let expected = |export: Option<&str>| Lineage {
            dataset: "d1".to_owned(),
            curation: "c1".to_owned(),
            model: Some("m1".to_owned()),
            export: export.map(str::to_owned),
        };
        assert_eq!(of(&student), Some(expected(None)));
        assert_eq!(of(&export), Some(expected(Some("e1"))));
        // One file of it is enough, and what else lies there changes nothing.
        assert_eq!(
            of(&[card, file("notes.txt", "ff")]),
            Some(expected(Some("e1")))
        );
        assert_eq!(of(&[file("other.gguf", "00")]), None);
        assert_eq!(of(&[file("lost.gguf", "ee")]), None, "its model is unknown");
        assert!(expected(None).holds_stage("train", "m1"));
        assert!(!expected(None).holds_stage("export", "e1"));
    }
}
