//! What a file of traces is, for programs that load data sets: Croissant 1.1, as JSON-LD.

use std::path::Path;

use limbeck_store::Store;
use limbeck_store::terms::{Collected, Origin};
use serde_json::{Value, json};

use crate::sources::{digest_of_file, shown};
use crate::trace_file::TraceFormat;

/// The record set, and what its fields' names begin with.
const TRACES: &str = "traces";

/// Columns that are one value each: name, type and what it holds.
const COLUMNS: [(&str, &str, &str); 6] = [
    ("prompt_id", "sc:Text", "The prompt, by what was asked"),
    ("sample", "sc:Integer", "Which answer to the prompt"),
    ("teacher", "sc:Text", "Who answered"),
    ("reasoning", "sc:Text", "What the teacher thought aloud"),
    ("finish_reason", "sc:Text", "Why the answer ended"),
    ("kept", "sc:Boolean", "Whether every check kept it"),
];

/// Describes `file`, which holds traces of `store` in `format`, as a data set called `name`.
pub(super) async fn describe(
    store: &Store,
    name: &str,
    license: Option<&str>,
    file: &Path,
    format: TraceFormat,
) -> anyhow::Result<String> {
    let (sha256, bytes) = digest_of_file(file)?;
    let id = file.file_name().unwrap_or_default().to_string_lossy();
    let origins = store.terms_origins().await?;
    let last = origins.iter().map(|origin| origin.collected.day()).max();
    let mut dataset = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
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
            "field": fields(&id),
        }],
    });
    if let Some(license) = license {
        dataset["license"] = license.into();
    }
    if let Some(last) = last {
        dataset["dateCreated"] = last.to_string().into();
    }
    Ok(format!("{dataset:#}\n"))
}

fn encoding(format: TraceFormat) -> &'static str {
    match format {
        TraceFormat::Jsonl => "application/jsonlines",
        TraceFormat::Parquet => "application/x-parquet",
    }
}

fn fields(file: &str) -> Vec<Value> {
    let fields = COLUMNS.iter().map(|(column, kind, description)| {
        json!({
            "@type": "cr:Field",
            "@id": format!("{TRACES}/{column}"),
            "name": format!("{TRACES}/{column}"),
            "description": description,
            "dataType": kind,
            "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
        })
    });
    fields.collect()
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
