//! What goes with an exported model: where it comes from, what is owed, and what others need to check both.
//!
//! [`Facts`] are gathered once, from the recipe, the store and what earlier stages found; every document is a pure
//! function of them and of the files that were written. All times but the day of the verdict are those
//! of the store, so on one day the same store gives the same documents.

mod bom;
mod card;
mod licence;
mod rights;
mod statements;
mod training_data;

use std::collections::BTreeMap;

use jiff::civil::Date;
use limbeck_store::Clarified;
use limbeck_store::attestation::FileDigest;
use limbeck_store::audit::{LicenseText, Licensed, Waiver};
use limbeck_store::ledger::SecretKey;
use limbeck_store::review::Carried;
use limbeck_store::terms::{Intent, Use};
use limbeck_student::export::CardScore;
use serde_json::Value;

use crate::rights::CarriedWords;

pub use card::sections;
pub use licence::{license_text, notice};
pub use rights::{Rights, Way, judge, ways};

/// The bill of materials.
const BOM: &str = "bom.cdx.json";
/// The summary of what the model learned from.
const TRAINING_DATA: &str = "training-data.md";

/// Everything that is known of an exported model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    pub description: Option<String>,
    /// What is meant to be done with it, and its licence.
    pub intent: Intent,
    /// The recipe's file, by its SHA-256.
    pub recipe_sha256: String,
    /// Where the answers came from that it learned from.
    pub ways: Vec<Way>,
    /// What the records of terms say of that.
    pub rights: Rights,
    /// The models whose tokenizer or weights it takes.
    pub weights: Vec<Licensed>,
    /// The SHA-256 of their files, where they are known, in the same order.
    pub weights_sha256: Vec<Option<String>>,
    /// Where the prompts came from.
    pub prompts: Vec<Licensed>,
    /// The text of its own licence, where the recipe names one.
    pub license_text: Option<String>,
    /// Licence texts that lie beside models.
    pub texts: Vec<LicenseText>,
    /// What persons say of rights and have signed.
    pub words: CarriedWords,
    /// By which training and export went on although something was denied.
    pub waivers: Vec<Carried<Waiver>>,
    /// The id of the dataset, and how many rows it has.
    pub dataset: (String, usize),
    /// The ledger.
    pub ledger: LedgerState,
    /// How it was trained.
    pub training: Training,
    /// Its scores and those of others.
    pub scores: Vec<CardScore>,
}

/// The ledger when the model was noted in it.
#[derive(Clone, Debug)]
pub struct LedgerState {
    /// What it is called.
    pub origin: String,
    /// How many records it had, that of the model as the last.
    pub size: u64,
    /// Its root, in hex.
    pub root: String,
}

/// A training.
#[derive(Clone, Debug)]
pub struct Training {
    /// The stage's hash.
    pub hash: String,
    /// The number of its run.
    pub run: i64,
    /// When it began, in RFC 3339.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// Trainable numbers.
    pub parameters: usize,
    /// Examples that were learned from.
    pub examples: usize,
    /// Tokens seen, repetitions included.
    pub tokens: u64,
    /// `[student]` and `[train]` of the recipe.
    pub sections: Value,
}

impl Facts {
    /// How many answers it learned from.
    fn answers(&self) -> u64 {
        self.ways.iter().map(|way| way.answers).sum()
    }

    /// What persons say of licences, by what it is about, each once.
    fn clarified(&self) -> BTreeMap<&str, &Clarified> {
        let licensed = self.weights.iter().chain(&self.prompts);
        let mut clarified = BTreeMap::new();
        for one in licensed {
            if let Some(word) = &one.clarified {
                clarified.insert(one.name.as_str(), word);
            }
        }
        for way in &self.ways {
            if let Some(word) = &way.clarified {
                clarified.insert(way.model.as_str(), word);
            }
        }
        clarified
    }

    /// The names of what is meant to be done.
    pub fn uses(&self) -> Vec<&'static str> {
        self.intent.uses().into_iter().map(Use::name).collect()
    }

    /// The documents beside the model, by their names. `weights` are the files that hold it; statements are signed by
    /// `key`, and left out without one.
    pub fn documents(
        &self,
        weights: &[FileDigest],
        key: Option<&SecretKey>,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut documents = vec![
            (BOM, bom::bom(self, weights)?),
            (TRAINING_DATA, training_data::summary(self)),
        ];
        documents.extend(self.intent.student_license.as_deref().map(|license| {
            (
                "LICENSE",
                license_text(license, self.license_text.as_deref()),
            )
        }));
        documents.extend(notice(self).map(|text| ("NOTICE", text)));
        if let Some(key) = key {
            documents.extend(statements::statements(self, weights, key)?);
        }
        Ok(documents)
    }
}

/// A licence, and by whose word it is that where it is not as declared.
fn license_in_words(license: Option<&str>, clarified: Option<&Clarified>) -> String {
    match (license, clarified) {
        (None, _) => "no licence declared".to_owned(),
        (Some(license), None) => license.to_owned(),
        (Some(license), Some(clarified)) => {
            format!("{license}, as {} declares", clarified.reviewer)
        }
    }
}

/// A span of days, as one where it is one.
fn days(first: Date, last: Date) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    }
}
