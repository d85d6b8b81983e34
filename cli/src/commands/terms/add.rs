//! `limbeck terms add`: a record of a text that somebody saved.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::civil::Date;
use limbeck_store::identity::sha256_hex;
use limbeck_store::terms::{
    Basis, Class, Clause, Kind, Registry, Source, TermsRecord, Use, holds, normalise_clause,
};
use serde::Serialize;

use super::find;
use crate::printer::{Printer, WithHint};
use crate::rights::today;

/// Arguments of `terms add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The text, as it was saved: plain text or Markdown
    pub file: PathBuf,
    /// From when on it is in force, as it says itself
    #[arg(long, value_name = "DATE")]
    pub effective: Date,
    /// What declarations are going to call the record
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The record that says the same; fails unless every clause of it stands in the text
    #[arg(long, value_name = "ID", conflicts_with_all = ["class", "provider", "license"])]
    pub like: Option<String>,
    /// What receipts call the provider, for a record of a route
    #[arg(long, value_name = "NAME", conflicts_with = "license")]
    pub provider: Vec<String>,
    /// The plan that the route is for
    #[arg(long, value_name = "NAME", default_value = "api")]
    pub plan: String,
    /// A name of the licence in model files, for a record of a licence
    #[arg(long, value_name = "NAME")]
    pub license: Vec<String>,
    /// What the text says of learning from answers
    #[arg(long, value_parser = classes())]
    pub class: Option<Class>,
    /// A sentence that matters, copied from the text; only its digest is kept
    #[arg(long, value_name = "TEXT")]
    pub clause: Vec<String>,
    /// What the text says, in your words
    #[arg(long, value_name = "TEXT")]
    pub summary: Option<String>,
    /// Where the text is published
    #[arg(long)]
    pub url: Option<String>,
}

fn classes() -> impl TypedValueParser<Value = Class> {
    let names = PossibleValuesParser::new(Class::ALL.map(Class::name));
    names.try_map(|name| serde_json::from_value::<Class>(name.into()))
}

/// What is printed: a `[[terms]]` of a recipe.
#[derive(Serialize)]
struct Printed {
    terms: [TermsRecord; 1],
}

/// Reads the text and prints a record of it.
pub(super) fn run(args: &AddArgs, printer: &Printer) -> anyhow::Result<()> {
    let file = args.file.display();
    let bytes = fs::read(&args.file).with_context(|| format!("cannot read `{file}`"))?;
    let text = String::from_utf8(bytes.clone())
        .with_context(|| format!("`{file}` is not UTF-8 text"))
        .hint("save the page as plain text")?;
    if text.trim_start().starts_with('<') {
        return Err(anyhow::anyhow!(
            "`{file}` is HTML, whose tags would stand between the words"
        ))
        .hint("save the page as plain text");
    }
    let plain = normalise_clause(&text);
    let registry = Registry::embedded()?;
    let mut record = match &args.like {
        Some(like) => like_record(find(&registry, like)?, &plain, &file.to_string())?,
        None => new_record(args)?,
    };
    let mut clauses: Vec<Clause> = record.clauses().cloned().collect();
    for sentence in &args.clause {
        clauses.push(clause(sentence, &plain, &file.to_string())?);
    }
    if clauses.is_empty() {
        return Err(anyhow::anyhow!("a record of a text needs a clause"))
            .hint("copy the sentence that matters into `--clause`");
    }
    record.id.clone_from(&args.id);
    record.effective = Some(args.effective);
    record.basis = Basis::Primary;
    if let Some(summary) = &args.summary {
        record.summary.clone_from(summary);
    }
    record.sources = vec![Source {
        name: args
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        url: args.url.clone(),
        repository: None,
        path: None,
        commit: None,
        sha256: Some(sha256_hex(&bytes)),
        retrieved: today(),
        clauses,
    }];
    let mut all = registry;
    all.add(&file.to_string(), record.clone())?;
    let digest = record.digest();
    printer.line(toml::to_string(&Printed { terms: [record] })?.trim_end())?;
    printer.status(format_args!("terms_sha256 of `{}`: {digest}", args.id));
    printer.status("it counts once it is signed: `limbeck sign RECIPE`");
    Ok(())
}

/// A copy of `known`, whose every clause must stand in the text.
fn like_record(known: &TermsRecord, plain: &str, file: &str) -> anyhow::Result<TermsRecord> {
    let gone: Vec<String> = known
        .clauses()
        .filter(|clause| !holds(plain, clause))
        .map(|clause| format!("{} ({})", clause.at, clause.about))
        .collect();
    if gone.is_empty() {
        return Ok(known.clone());
    }
    Err(anyhow::anyhow!(
        "`{file}` does not hold these clauses of `{}` as they were: {}",
        known.id,
        gone.join(", ")
    ))
    .hint("read what it says now, and make a record with `--class` and `--clause`")
}

fn new_record(args: &AddArgs) -> anyhow::Result<TermsRecord> {
    let Some(class) = args.class else {
        return Err(anyhow::anyhow!("what the text says is not given"))
            .hint("give `--class` and `--clause`, or `--like` with a record that says the same");
    };
    let is_route = !args.provider.is_empty();
    if !is_route && args.license.is_empty() {
        bail!("a record is for a route or a licence: give `--provider` or `--license`");
    }
    let Some(summary) = args.summary.clone() else {
        bail!("`--summary` is missing: what the text says, in your words");
    };
    Ok(TermsRecord {
        kind: if is_route { Kind::Route } else { Kind::License },
        id: args.id.clone(),
        title: args.id.clone(),
        providers: args.provider.clone(),
        plan: is_route.then(|| args.plan.clone()),
        plan_aliases: Vec::new(),
        regions: Vec::new(),
        names: args.license.clone(),
        family: None,
        class,
        applies_to: Use::ALL.to_vec(),
        lifted_by_authorisation: false,
        classifiers_excepted: false,
        passes_through: false,
        commercial: limbeck_store::terms::Commercial::default(),
        release: limbeck_store::terms::Release::default(),
        flow_down: limbeck_store::terms::FlowDowns::default(),
        effective: Some(args.effective),
        basis: Basis::Primary,
        summary,
        signature: None,
        duties: Vec::new(),
        sources: Vec::new(),
    })
}

fn clause(sentence: &str, plain: &str, file: &str) -> anyhow::Result<Clause> {
    let spelled = normalise_clause(sentence);
    if spelled.is_empty() {
        bail!("`--clause` is empty");
    }
    let clause = Clause {
        at: "as given".to_owned(),
        about: "a sentence that was picked".to_owned(),
        bytes: spelled.len(),
        sha256: sha256_hex(spelled.as_bytes()),
    };
    if !holds(plain, &clause) {
        return Err(anyhow::anyhow!(
            "`{file}` does not hold the clause `{spelled}`"
        ))
        .hint("copy it from the text as it stands there, from the beginning of a word");
    }
    Ok(clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_must_stand_in_the_text() {
        let plain = normalise_clause("You may not train. You may ask.");
        assert!(clause("You may *not* train.", &plain, "t").is_ok());
        assert!(clause("You may train.", &plain, "t").is_err());
        assert!(clause("* ", &plain, "t").is_err());
    }
}
