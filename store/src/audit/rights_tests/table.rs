//! The table of licences, and that nothing that is added makes an audit more permissive.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// A row of `licences.csv`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    case: String,
    of: String,
    licence: Option<String>,
    student: Option<String>,
    text: Option<String>,
    uses: String,
    commercial: Option<String>,
    finds: String,
}

impl Row {
    /// The case with what this row brings.
    fn brought_to(&self, case: &mut Case) {
        let licence = licensed(&self.case, self.licence.as_deref());
        match self.of.as_str() {
            "student" => {}
            "weights" => case.weights.push(licence),
            "prompts" => case.prompts.push(licence),
            other => panic!("`{other}` is under no licence"),
        }
    }

    fn case(&self) -> Case {
        let mut case = Case::new();
        let uses = self.uses.split_whitespace();
        case.intent = Intent {
            uses: uses
                .map(|word| serde_json::from_value(word.into()).unwrap())
                .collect(),
            student_license: self.student.clone(),
            commercial: self.commercial.as_ref().map(|said| said == "yes"),
            ..case.intent
        };
        case.student = "Llama-tiny".to_owned();
        case.student_text = self.text.as_ref().map(|_| LicenseText {
            file: "own.txt".to_owned(),
            text: "You may run it.".to_owned(),
            beside: "student".to_owned(),
            tag: self.student.clone(),
        });
        self.brought_to(&mut case);
        case
    }

    /// What distinguishes intents.
    fn intent(&self) -> [Option<&str>; 4] {
        [
            self.student.as_deref(),
            self.text.as_deref(),
            Some(&self.uses),
            self.commercial.as_deref(),
        ]
    }
}

fn rows() -> Vec<Row> {
    let table = include_bytes!("../licences.csv").as_slice();
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.comment(Some(b'#')).from_reader(table);
    reader.deserialize().map(Result::unwrap).collect()
}

fn gravest(case: &Case) -> Level {
    let found = licences(&case.input());
    let levels = found.iter().map(|finding| finding.level);
    levels.max().unwrap_or(Level::Note)
}

#[test]
fn every_licence_of_the_table_is_found_as_it_says() {
    let rows = rows();
    assert!(rows.len() >= 30, "{}", rows.len());
    for row in &rows {
        let found = row.case().licences();
        let gravest = found.first().map_or_else(
            || "nothing".to_owned(),
            |found| found.replace("licences::", ""),
        );
        assert_eq!(gravest, row.finds, "{}: {found:?}", row.case);
    }
}

proptest! {
    #[test]
    fn another_source_never_makes_an_audit_of_licences_more_permissive(
        first in any::<prop::sample::Index>(),
        others in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let rows = rows();
        let row = first.get(&rows);
        let alike: Vec<&Row> = rows.iter().filter(|other| other.intent() == row.intent()).collect();
        let mut case = row.case();
        let mut before = gravest(&case);
        for other in &others {
            other.get(&alike).brought_to(&mut case);
            let after = gravest(&case);
            prop_assert!(after >= before, "{}: {after:?} after {before:?}", row.case);
            before = after;
        }
    }

    #[test]
    fn to_say_less_of_a_licence_is_never_more_permissive(index in any::<prop::sample::Index>()) {
        let rows = rows();
        let row = index.get(&rows);
        let said = gravest(&row.case());
        let mut silent = row.clone();
        silent.licence = None;
        prop_assert!(row.licence.is_none() || gravest(&silent.case()) >= said, "{}", row.case);
    }
}
