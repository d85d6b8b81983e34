//! Tables that name a source of rows. A string where one is allowed means `{ source = … }`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::table::Format;

/// What every source table has.
pub trait SourceTable {
    /// The source, as written.
    fn source(&self) -> &str;
    /// The SHA-256 of its content in hex.
    fn sha256(&self) -> Option<&str>;
    /// How its rows are written, where the name does not tell.
    fn format(&self) -> Option<Format>;
    /// The condition on its columns.
    fn filter(&self) -> Option<&str>;
    /// Which rows are drawn.
    fn draw(&self) -> crate::table::Draw;
    /// The licence of the texts.
    fn license(&self) -> Option<&str>;
}

/// `prompts` of `[harvest]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTable {
    /// A path, `hf:…`, `https://…` or `pypi:…`.
    pub source: String,
    /// Of the content, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `jsonl`, `csv`, `tsv` or `parquet`; told by the name if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// An expression over the columns; rows for which it does not hold are left out.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How many rows are drawn; all if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// Which rows are drawn.
    #[serde(default)]
    pub seed: u64,
    /// A column of whose values each gets an equal share of the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// The licence of the texts, as an SPDX identifier in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Ask in the order of the draw instead of that of the file.
    #[serde(default)]
    pub shuffle: bool,
    /// Leave out rows that are, or nearly are, in a suite of `[[evaluate]]`.
    #[serde(default = "yes")]
    pub exclude_near: bool,
}

/// `suite` of `[[evaluate]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteTable {
    /// A path, `hf:…`, `https://…` or `pypi:…`.
    pub source: String,
    /// Of the content, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `jsonl`, `csv`, `tsv` or `parquet`; told by the name if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// An expression over the columns; rows for which it does not hold are left out.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How many rows are drawn; all if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// Which rows are drawn.
    #[serde(default)]
    pub seed: u64,
    /// A column of whose values each gets an equal share of the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// A template of the right answer; the column `expected` if it is not given.
    #[serde(default = "expected_column")]
    pub expected: String,
    /// The licence of the texts, as an SPDX identifier in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

fn yes() -> bool {
    true
}

fn expected_column() -> String {
    "{{ expected }}".to_owned()
}

/// Both tables draw alike; only prompts have an order worth changing.
macro_rules! source_table {
    ($table:ty, $shuffle:expr) => {
        impl SourceTable for $table {
            fn source(&self) -> &str {
                &self.source
            }
            fn sha256(&self) -> Option<&str> {
                self.sha256.as_deref()
            }
            fn format(&self) -> Option<Format> {
                self.format
            }
            fn filter(&self) -> Option<&str> {
                self.filter.as_deref()
            }
            fn draw(&self) -> crate::table::Draw {
                let shuffle: fn(&$table) -> bool = $shuffle;
                crate::table::Draw {
                    sample: self.sample.map(|sample| sample as usize),
                    seed: self.seed,
                    balance: self.balance.clone(),
                    shuffle: shuffle(self),
                }
            }
            fn license(&self) -> Option<&str> {
                self.license.as_deref()
            }
        }
    };
}

source_table!(PromptTable, |table| table.shuffle);
source_table!(SuiteTable, |_| false);

/// The same for one that may be left out.
pub(super) fn optional_string_or_table<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    string_or_table(deserializer).map(Some)
}

/// Reads a table, or a string as the table `{ source = … }`.
pub(super) fn string_or_table<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct StringOrTable<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for StringOrTable<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a source as a string, or a table with `source`")
        }

        fn visit_str<E: de::Error>(self, source: &str) -> Result<T, E> {
            let pairs = std::iter::once(("source", source));
            T::deserialize(de::value::MapDeserializer::new(pairs))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(StringOrTable(PhantomData))
}
