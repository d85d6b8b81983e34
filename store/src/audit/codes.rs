//! All codes that a finding can have. They never change; recipes and other programs name them.

use super::{Area, Level};

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// As it is written: `terms::denied`.
    pub name: &'static str,
    /// How grave a finding of it is, if nothing is said; the gravest where it differs.
    pub level: Level,
    /// When it is found.
    pub about: &'static str,
}

impl Code {
    /// The code called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        CODES.iter().find(|code| code.name == name)
    }

    /// The area that it belongs to.
    pub fn area(&self) -> Area {
        let (area, _) = self.name.split_once("::").unwrap_or((self.name, ""));
        let known = Area::ALL.into_iter().find(|known| known.name() == area);
        // A test holds that there is one.
        known.unwrap_or(Area::Integrity)
    }

    /// Whether it says that something could not be looked at, or is not known.
    pub fn is_open(&self) -> bool {
        OPEN.contains(&self.name)
    }

    /// Whether a recipe may make findings of it less grave: not where they are about whether the store, or the recipe
    /// itself, was tampered with, and not where they are about the recipe's own exceptions.
    pub fn can_be_lowered(&self) -> bool {
        let is_tampering = self.area() == Area::Integrity && self.level == Level::Deny;
        let is_of_recipe = ["::recipe-changed", "::exception-", "::waiver-"]
            .iter()
            .any(|part| self.name.contains(part));
        !is_tampering && !is_of_recipe
    }
}

/// The codes about what could not be looked at.
const OPEN: [&str; 6] = [
    "terms::day-unknown",
    "licences::declared",
    "licences::text-unknown",
    "provenance::folder-gone",
    "integrity::cannot-tell",
    "conduct::not-seen",
];

const fn deny(name: &'static str, about: &'static str) -> Code {
    Code {
        name,
        level: Level::Deny,
        about,
    }
}

const fn warning(name: &'static str, about: &'static str) -> Code {
    Code {
        name,
        level: Level::Warning,
        about,
    }
}

const fn note(name: &'static str, about: &'static str) -> Code {
    Code {
        name,
        level: Level::Note,
        about,
    }
}

/// All of them, by their areas.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    deny("terms::denied", "terms in force when answers were given stand against the intent"),
    deny("terms::unknown", "no record says anything about a route or licence"),
    deny("terms::declaration-missing", "a person has to answer for something first"),
    deny("terms::declaration-expired", "a declaration has ended"),
    deny("terms::declaration-unsigned", "the reviewer has not signed a declaration, or it gives no reason"),
    deny("terms::declaration-changed", "a declaration, or what it was signed for, was changed after it was signed"),
    deny("terms::declaration-signer-unknown", "a declaration is signed by a key that nobody trusts"),
    deny("terms::declaration-stale", "a declaration is about another state of a record"),
    deny("terms::clock", "answers are dated after today"),
    deny("terms::recipe-changed", "the copy of the recipe is not the one that the ledger tells of"),
    deny("terms::record-unsigned", "nobody has signed a record of terms of the recipe"),
    deny("terms::record-changed", "a record of terms of the recipe was changed after it was signed"),
    deny("terms::record-signer-unknown", "a record of terms of the recipe is signed by a key that nobody trusts"),
    warning("terms::declaration-unused", "a declaration is about nothing that is here"),
    warning("terms::tightened", "today's terms are stricter than those of the day"),
    note("terms::day-unknown", "when answers were given is not known"),
    note("terms::duty", "something is owed under the terms of answers"),
    deny("terms::exception-expired", "an exception of the recipe has ended"),
    deny("terms::exception-unsigned", "nobody has signed an exception for what is denied"),
    deny("terms::exception-changed", "an exception, or what it was signed for, was changed after it was signed"),
    deny("terms::exception-signer-unknown", "an exception is signed by a key that nobody trusts"),
    warning("terms::exception-unused", "an exception of the recipe is about nothing that is here"),
    deny("terms::waiver-expired", "a waiver has ended"),
    deny("terms::waiver-unsigned", "the reviewer has not signed a waiver, or it gives no reason"),
    deny("terms::waiver-changed", "a waiver, or what it was signed for, was changed after it was signed"),
    deny("terms::waiver-signer-unknown", "a waiver is signed by a key that nobody trusts"),
    warning("terms::waiver-unused", "a waiver is about nothing that is here"),

    deny("licences::naming", "the student's name does not begin as terms ask"),
    deny("licences::flow-down", "the student's licence has no room for what has to go on with it"),
    deny("licences::tag-disagrees", "a licence text is not that of the licence declared beside it"),
    deny("licences::student-license-unknown", "nobody knows the student's licence: no record, no list and no text of it"),
    deny("licences::student-license-stale", "the text of the student's licence is another than the recipe says, or is not there"),
    deny("licences::student-unlicensed", "the student is given to others without a licence"),
    deny("licences::denied", "the licence of weights or prompts stands against the intent"),
    deny("licences::undeclared", "nobody says the licence of weights or prompts"),
    deny("licences::unknown", "no record says anything about the licence of weights or prompts"),
    deny("licences::recipe-changed", "the copy of the recipe is not the one that the ledger tells of"),
    deny("licences::record-unsigned", "nobody has signed a record of terms of the recipe"),
    deny("licences::record-changed", "a record of terms of the recipe was changed after it was signed"),
    deny("licences::record-signer-unknown", "a record of terms of the recipe is signed by a key that nobody trusts"),
    deny("licences::clarification-unsigned", "nobody has signed a clarification"),
    deny("licences::clarification-changed", "a clarification, or what it is about, was changed after it was signed"),
    deny("licences::clarification-signer-unknown", "a clarification is signed by a key that nobody trusts"),
    warning("licences::student-license-unrecorded", "SPDX lists the student's licence, and no record says anything about it"),
    warning("licences::tags-disagree", "recipe, model file and the page beside it say different licences of a model"),
    warning("licences::text-unknown", "a licence text is of no licence that is known"),
    note("licences::declared", "the licence of prompts is declared and was not observed"),
    note("licences::tag-missing", "a licence text has no declaration beside it"),
    note("licences::duty", "something is owed under a licence"),
    deny("licences::clarification-stale", "the text of a clarification is another, or is not there"),
    deny("licences::exception-expired", "an exception of the recipe has ended"),
    deny("licences::exception-unsigned", "nobody has signed an exception for what is denied"),
    deny("licences::exception-changed", "an exception, or what it was signed for, was changed after it was signed"),
    deny("licences::exception-signer-unknown", "an exception is signed by a key that nobody trusts"),
    warning("licences::exception-unused", "an exception of the recipe is about nothing that is here"),
    deny("licences::waiver-expired", "a waiver has ended"),
    deny("licences::waiver-unsigned", "the reviewer has not signed a waiver, or it gives no reason"),
    deny("licences::waiver-changed", "a waiver, or what it was signed for, was changed after it was signed"),
    deny("licences::waiver-signer-unknown", "a waiver is signed by a key that nobody trusts"),
    warning("licences::waiver-unused", "a waiver is about nothing that is here"),

    deny("provenance::trace-unrecorded", "the ledger does not tell of an answer"),
    deny("provenance::trace-unreceipted", "there is no receipt of an answer"),
    deny("provenance::trace-unasked", "there is no answered request behind an answer"),
    deny("provenance::dataset-unrecorded", "the ledger does not tell of a dataset"),
    deny("provenance::dataset-trace-missing", "a dataset is made of traces that the store does not hold"),
    deny("provenance::dataset-row-unsourced", "a row of a dataset is made of no trace"),
    deny("provenance::dataset-row-foreign", "a row of a dataset is about something that its traces were not asked"),
    deny("provenance::dataset-row-dropped", "a row of a dataset has a trace that its curation dropped"),
    deny("provenance::dataset-file-changed", "the file that training reads has other rows than the store"),
    deny("provenance::trained-on-else", "a model was trained on something else than its record says"),
    deny("provenance::model-unrecorded", "the ledger does not tell of a model"),
    deny("provenance::export-unrecorded", "the ledger does not tell of an export"),
    deny("provenance::stage-unrecorded", "the store tells of no run of a stage that says it is done"),
    deny("provenance::model-dataset-unknown", "a model's record names a dataset or curation that is not here"),
    deny("provenance::export-model-unknown", "an export's record names a model that the ledger does not tell of"),
    deny("provenance::outcome-changed", "the outcome of a stage is not what its run ended with"),
    deny("provenance::file-changed", "a file of a model or an export is not the one that was recorded"),
    deny("provenance::file-missing", "a file of a model or an export is gone"),
    deny("provenance::file-added", "a file lies in a model or an export that was not recorded"),
    deny("provenance::model-unknown", "the ledger tells of no file in a folder"),
    deny("provenance::recipe-changed", "the copy of the recipe is not the one that the ledger tells of"),
    warning("provenance::learned-from-erased", "a model learned from answers that were erased since"),
    note("provenance::folder-gone", "a folder that the ledger tells of is gone"),
    note("provenance::empty", "the store holds no answers"),
    deny("provenance::exception-expired", "an exception of the recipe has ended"),
    deny("provenance::exception-unsigned", "nobody has signed an exception for what is denied"),
    deny("provenance::exception-changed", "an exception, or what it was signed for, was changed after it was signed"),
    deny("provenance::exception-signer-unknown", "an exception is signed by a key that nobody trusts"),
    warning("provenance::exception-unused", "an exception of the recipe is about nothing that is here"),
    deny("provenance::waiver-expired", "a waiver has ended"),
    deny("provenance::waiver-unsigned", "nobody answers for a waiver, or it gives no reason"),
    warning("provenance::waiver-unused", "a waiver is about nothing that is here"),

    deny("integrity::trace-changed", "a trace or its receipt is not what was recorded"),
    deny("integrity::trace-missing", "a recorded trace is gone"),
    deny("integrity::trace-added", "a trace was put in without the ledger"),
    deny("integrity::prompt-changed", "a prompt is not what was recorded"),
    deny("integrity::prompt-missing", "a recorded prompt is gone"),
    deny("integrity::prompt-added", "a prompt was put in without the ledger"),
    deny("integrity::attempt-changed", "attempts are not what was recorded"),
    deny("integrity::attempt-missing", "recorded attempts are gone"),
    deny("integrity::attempt-added", "attempts were put in without the ledger"),
    deny("integrity::verdict-changed", "a verdict is not what was recorded"),
    deny("integrity::curation-missing", "a recorded curation is gone"),
    deny("integrity::curation-added", "a curation was put in without the ledger"),
    deny("integrity::dataset-changed", "a dataset is not what was recorded"),
    deny("integrity::dataset-missing", "a recorded dataset is gone"),
    deny("integrity::dataset-added", "a dataset was put in without the ledger"),
    deny("integrity::run-changed", "a run is not what was recorded"),
    deny("integrity::run-missing", "a recorded run is gone"),
    deny("integrity::run-added", "a run was put in without the ledger"),
    deny("integrity::order", "rows stand in another order"),
    deny("integrity::record-changed", "a record of the ledger is not what was hashed"),
    deny("integrity::record-missing", "records of the ledger are gone"),
    deny("integrity::tree", "the ledger's tree does not fit its records"),
    deny("integrity::checkpoint", "a checkpoint does not fit the ledger"),
    deny("integrity::checkpoint-signature", "a checkpoint is signed by none of the keys"),
    deny("integrity::not-an-ancestor", "the ledger does not go on from the checkpoint that was kept"),
    deny("integrity::no-ledger", "there is no ledger"),
    deny("integrity::schema", "the file is not what Limbeck makes"),
    deny("integrity::file", "SQLite finds the file damaged"),
    deny("integrity::orphan", "rows belong to nothing"),
    warning("integrity::clock", "times go back, by less than a day"),
    deny("integrity::clock-days", "times go back by a day or more, so that the days by which terms are chosen are not known"),
    note("integrity::adopted", "records were made of rows that were there before the ledger"),
    note("integrity::cannot-tell", "something cannot be proven with what was given"),
    deny("integrity::exception-expired", "an exception of the recipe has ended"),
    deny("integrity::exception-unsigned", "nobody has signed an exception for what is denied"),
    deny("integrity::exception-changed", "an exception, or what it was signed for, was changed after it was signed"),
    deny("integrity::exception-signer-unknown", "an exception is signed by a key that nobody trusts"),
    warning("integrity::exception-unused", "an exception of the recipe is about nothing that is here"),
    deny("integrity::waiver-expired", "a waiver has ended"),
    deny("integrity::waiver-unsigned", "the reviewer has not signed a waiver, or it gives no reason"),
    deny("integrity::waiver-changed", "a waiver, or what it was signed for, was changed after it was signed"),
    deny("integrity::waiver-signer-unknown", "a waiver is signed by a key that nobody trusts"),
    warning("integrity::waiver-unused", "a waiver is about nothing that is here"),

    deny("conduct::retry-after-ignored", "requests were begun inside a wait that a service had asked for"),
    deny("conduct::keys-rotated", "other keys went on during a wait that a service had asked for"),
    deny("conduct::over-requests-per-minute", "more requests were sent in a minute than were declared"),
    deny("conduct::over-requests-per-day", "more requests were sent in a day than were declared"),
    warning("conduct::over-tokens-per-minute", "more tokens were used in a minute than were declared"),
    warning("conduct::over-tokens-per-day", "more tokens were used in a day than were declared"),
    warning("conduct::over-input-tokens-per-minute", "more input tokens were used in a minute than were declared"),
    warning("conduct::over-output-tokens-per-minute", "more output tokens were used in a minute than were declared"),
    deny("conduct::banned-provider", "answers came from a provider that the recipe bans"),
    deny("conduct::banned-region", "answers came from a region that the recipe bans"),
    deny("conduct::banned-model", "answers came from a model that the recipe bans"),
    note("conduct::not-seen", "requests for imported answers were made elsewhere"),
    warning("conduct::unknown-region", "no region is declared, and the recipe bans some"),
    deny("conduct::exception-expired", "an exception of the recipe has ended"),
    deny("conduct::exception-unsigned", "nobody has signed an exception for what is denied"),
    deny("conduct::exception-changed", "an exception, or what it was signed for, was changed after it was signed"),
    deny("conduct::exception-signer-unknown", "an exception is signed by a key that nobody trusts"),
    warning("conduct::exception-unused", "an exception of the recipe is about nothing that is here"),
    deny("conduct::waiver-expired", "a waiver has ended"),
    deny("conduct::waiver-unsigned", "nobody answers for a waiver, or it gives no reason"),
    warning("conduct::waiver-unused", "a waiver is about nothing that is here"),

    warning("privacy::email", "e-mail addresses"),
    warning("privacy::handle", "handles"),
    warning("privacy::link", "links"),
    warning("privacy::phone", "phone numbers"),
    warning("privacy::iban", "international bank account numbers"),
    warning("privacy::card", "payment card numbers"),
    warning("privacy::ipv4", "IPv4 addresses"),
    warning("privacy::ipv6", "IPv6 addresses"),
    deny("privacy::secret-by-prefix", "secrets in the form of a known service"),
    deny("privacy::secret-by-entropy", "values that are called a secret and look like one"),
    deny("privacy::exception-expired", "an exception of the recipe has ended"),
    deny("privacy::exception-unsigned", "nobody has signed an exception for what is denied"),
    deny("privacy::exception-changed", "an exception, or what it was signed for, was changed after it was signed"),
    deny("privacy::exception-signer-unknown", "an exception is signed by a key that nobody trusts"),
    warning("privacy::exception-unused", "an exception of the recipe is about nothing that is here"),
    deny("privacy::waiver-expired", "a waiver has ended"),
    deny("privacy::waiver-unsigned", "nobody answers for a waiver, or it gives no reason"),
    warning("privacy::waiver-unused", "a waiver is about nothing that is here"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_code_is_there_once_in_an_area_and_in_the_pages() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let read = |name: &str| fs::read_to_string(docs.join(name)).unwrap();
        let pages = read("audit.md") + &read("terms.md");
        let mut seen = BTreeSet::new();
        for code in CODES {
            assert!(seen.insert(code.name), "{} is there twice", code.name);
            let (area, name) = code.name.split_once("::").unwrap();
            assert_eq!(code.area().name(), area);
            // A table names the area of a row once, and then only the rest of each code.
            let told = pages.contains(&format!("`{area}::{name}`"))
                || pages.contains(&format!("`{name}`"))
                || pages.contains(&format!("`-{}`", name.rsplit('-').next().unwrap()));
            assert!(told, "{} is in no page", code.name);
        }
    }

    #[test]
    fn every_detector_of_personal_data_has_a_code_of_its_level() {
        for detector in crate::audit::privacy::detectors().unwrap() {
            let name = format!("privacy::{}", detector.name());
            let code = Code::named(&name).unwrap();
            assert_eq!(code.level, detector.level(), "{name}");
        }
    }

    #[test]
    fn what_says_that_something_is_open_denies_nothing() {
        for name in OPEN {
            assert!(Code::named(name).unwrap().level < Level::Deny, "{name}");
        }
        assert!(Code::named("conduct::not-seen").unwrap().is_open());
        assert!(!Code::named("privacy::email").unwrap().is_open());
    }

    #[test]
    fn what_is_about_tampering_cannot_be_lowered() {
        for fixed in [
            "integrity::trace-changed",
            "terms::recipe-changed",
            "provenance::recipe-changed",
            "privacy::exception-unused",
            "terms::waiver-expired",
            "privacy::exception-unsigned",
        ] {
            assert!(!Code::named(fixed).unwrap().can_be_lowered(), "{fixed}");
        }
        for open in ["integrity::clock", "terms::denied", "privacy::email"] {
            assert!(Code::named(open).unwrap().can_be_lowered(), "{open}");
        }
    }
}
