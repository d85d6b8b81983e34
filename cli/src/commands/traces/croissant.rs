//! What a file of traces is, for programs that load data sets: Croissant 1.1, as JSON-LD.

use std::path::Path;

use limbeck_store::Store;
use limbeck_store::terms::{Collected, Origin};
use serde_json::{Value, json};

use crate::sources::{digest_of_file, shown};
use crate::trace_file::TraceFormat;

/// The record set, and what its fields' names begin with.
const TRACES: &str = "traces";
/// So many digits of the file's SHA-256 are in its version.
const VERSION_DIGITS: usize = 12;

/// A column, or a part of one: name, type and what it holds.
type Column = (&'static str, &'static str, &'static str);

/// Columns that are one value each.
const COLUMNS: [Column; 6] = [
    ("prompt_id", TEXT, "The prompt, by what was asked"),
    ("sample", INTEGER, "Which answer to the prompt"),
    ("teacher", TEXT, "Who answered"),
    ("reasoning", TEXT, "What the teacher thought aloud"),
    ("finish_reason", TEXT, "Why the answer ended"),
    ("kept", BOOLEAN, "Whether every check kept it"),
];
/// Columns with parts.
const PARTS: [Parts; 3] = [
    Parts {
        name: "messages",
        description: "What was asked, and the answer as the last one",
        is_list: true,
        fields: &[
            ("role", TEXT, "Who speaks"),
            ("content", TEXT, "What is said"),
        ],
    },
    Parts {
        name: "usage",
        description: "Tokens of the answer; 0 where they are not known",
        is_list: false,
        fields: &[
            ("prompt_tokens", INTEGER, "Tokens read"),
            ("completion_tokens", INTEGER, "Tokens written"),
        ],
    },
    Parts {
        name: "verdicts",
        description: "What the checks of the newest curation found",
        is_list: true,
        fields: &[
            ("check", TEXT, "The check"),
            ("keep", BOOLEAN, "Whether it keeps the answer"),
            ("value", "sc:Float", "What it measured, where it measures"),
            ("reason", TEXT, "Why"),
        ],
    },
];
/// The parts of a receipt that every one has; others differ from one way of asking to the next.
const RECEIPT: Parts = Parts {
    name: "receipt",
    description: "Where the answer came from",
    is_list: false,
    fields: &[
        ("provider", TEXT, "`local`, or the name of a service"),
        ("route", TEXT, "The way to the model"),
        ("model", TEXT, "The model as the recipe names it"),
        (
            "license",
            TEXT,
            "The licence that the model, or what was imported, declares",
        ),
        ("request_sha256", TEXT, "The SHA-256 of the request"),
        ("response_sha256", TEXT, "The SHA-256 of the response"),
        (
            "limbeck_version",
            TEXT,
            "The version of Limbeck that kept it",
        ),
    ],
};
const TEXT: &str = "sc:Text";
const INTEGER: &str = "sc:Integer";
const BOOLEAN: &str = "sc:Boolean";

/// A column of objects, or of lists of them.
struct Parts {
    name: &'static str,
    description: &'static str,
    is_list: bool,
    fields: &'static [Column],
}

/// What the file is called and by what it is known, as others are told.
pub(super) struct Described<'a> {
    /// The name of the data set.
    pub(super) name: &'a str,
    /// Its licence, as an SPDX identifier.
    pub(super) license: Option<&'a str>,
    /// Its version; by default the first one of a file with this content.
    pub(super) version: Option<&'a str>,
}

/// Describes `file`, which holds traces of `store` in `format`, as a data set. The same store and file give the same
/// description: its date is that of the newest answer.
pub(super) async fn describe(
    store: &Store,
    described: &Described<'_>,
    file: &Path,
    format: TraceFormat,
) -> anyhow::Result<String> {
    let Described {
        name,
        license,
        version,
    } = *described;
    let (sha256, bytes) = digest_of_file(file)?;
    let id = file.file_name().unwrap_or_default().to_string_lossy();
    let origins = store.terms_origins().await?;
    let last = origins.iter().map(|origin| origin.collected.day()).max();
    // Semantic versioning: what follows the plus is the build, and two of them are told apart by it alone.
    let version = match version {
        Some(version) => version.to_owned(),
        None => format!("1.0.0+sha256.{}", &sha256[..VERSION_DIGITS]),
    };
    let mut dataset = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
        "version": version,
        "description": "Answers of models to prompts, each with its messages, what checks found and a receipt of where it came from.",
        "rai:dataCollection": collection(&origins),
        "distribution": [{
            "@type": "cr:FileObject",
            "@id": id,
            "name": id,
            "contentUrl": id,
            "contentSize": format!("{bytes} B"),
            "encodingFormat": encoding(format),
            "sha256": sha256,
        }],
        "recordSet": [{
            "@type": "cr:RecordSet",
            "@id": TRACES,
            "name": TRACES,
            "field": fields(&id, format),
        }],
    });
    if let Some(license) = license {
        dataset["license"] = license.into();
    }
    if let Some(last) = last {
        dataset["dateCreated"] = last.to_string().into();
        dataset["datePublished"] = last.to_string().into();
        dataset["citeAs"] = format!(
            "@misc{{{}, title = {{{}}}, year = {{{}}}, version = {{{version}}}, note = {{{id}, SHA-256 {sha256}}}}}",
            cite_key(name),
            without_braces(name),
            last.year(),
        )
        .into();
    }
    Ok(format!("{dataset:#}\n"))
}

fn encoding(format: TraceFormat) -> &'static str {
    match format {
        TraceFormat::Jsonl => "application/jsonlines",
        TraceFormat::Parquet => "application/x-parquet",
    }
}

/// A key of BibTeX.
fn cite_key(name: &str) -> String {
    let key: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    if key.is_empty() {
        TRACES.to_owned()
    } else {
        key
    }
}

/// A text that opens and closes nothing in BibTeX.
fn without_braces(text: &str) -> String {
    text.replace(['{', '}', '\\'], "")
}

fn fields(file: &str, format: TraceFormat) -> Vec<Value> {
    let mut fields: Vec<Value> = COLUMNS
        .iter()
        .map(|column| field(file, TRACES, column, column.0, None))
        .collect();
    fields.extend(PARTS.iter().map(|parts| parts.field(file)));
    fields.push(match format {
        TraceFormat::Jsonl => RECEIPT.field(file),
        TraceFormat::Parquet => {
            let column = (RECEIPT.name, TEXT, "Where the answer came from, as JSON");
            field(file, TRACES, &column, RECEIPT.name, None)
        }
    });
    fields
}

/// What is in a column of the file, or under a name in the objects that a column holds.
fn field(
    file: &str,
    within: &str,
    (name, kind, description): &Column,
    column: &str,
    under: Option<&str>,
) -> Value {
    let mut source = json!({"fileObject": {"@id": file}, "extract": {"column": column}});
    if let Some(under) = under {
        source["transform"] = json!({"jsonPath": under});
    }
    json!({
        "@type": "cr:Field",
        "@id": format!("{within}/{name}"),
        "name": format!("{within}/{name}"),
        "description": description,
        "dataType": kind,
        "source": source,
    })
}

impl Parts {
    fn field(&self, file: &str) -> Value {
        let id = format!("{TRACES}/{}", self.name);
        let parts = self.fields.iter();
        let parts = parts.map(|part| field(file, &id, part, self.name, Some(part.0)));
        let parts: Vec<Value> = parts.collect();
        let mut field = json!({
            "@type": "cr:Field",
            "@id": id,
            "name": id,
            "description": self.description,
            "subField": parts,
        });
        if self.is_list {
            field["repeated"] = true.into();
        }
        field
    }
}

/// Where the answers came from, in words.
fn collection(origins: &[Origin]) -> String {
    let each = origins.iter().map(|origin| {
        let day = match origin.collected {
            Collected::On(day) => format!("on {day}"),
            Collected::Until(day) => format!("by {day}"),
        };
        let Origin {
            answers,
            provider,
            route,
            ..
        } = origin;
        let model = shown(&origin.model);
        format!("{answers} answers of {model} by way of {provider} ({route}), {day}")
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The terms of the vocabulary, as the specification lists them.
fn context() -> Value {
    let mut context = json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "description": {"@container": "@language"},
        "name": {"@container": "@language"},
    });
    for term in [
        "arrayShape",
        "citeAs",
        "column",
        "containedIn",
        "equivalentProperty",
        "extract",
        "field",
        "fileObject",
        "fileProperty",
        "fileSet",
        "format",
        "includes",
        "isArray",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "samplingRate",
        "separator",
        "source",
        "subField",
        "transform",
    ] {
        context[term] = format!("cr:{term}").into();
    }
    context
}
