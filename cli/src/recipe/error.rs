//! What is wrong with a recipe.

use std::io;
use std::path::PathBuf;

use super::diagnostic::Diagnostic;

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe `{}`", path.display())]
    Read {
        /// The recipe.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Mistakes in it, each with its place.
    #[error("{}", joined(diagnostics))]
    Invalid {
        /// In the order of the file; at least one.
        diagnostics: Vec<Diagnostic>,
    },
    /// A stage was asked for whose section is not there.
    #[error(
        "the recipe `{}` has no section `{section}`, which the stage `{stage}` needs",
        path.display()
    )]
    MissingSection {
        /// The recipe.
        path: PathBuf,
        /// The section, as it is written.
        section: &'static str,
        /// The stage.
        stage: &'static str,
    },
    /// A file that the recipe names cannot be read.
    #[error("cannot read `{}`, which `{key}` of the recipe names", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The key, such as `harvest.examples`.
        key: String,
        /// Why.
        source: io::Error,
    },
    /// A template that does not compile.
    #[error("a template of the recipe cannot be used")]
    Template {
        /// Why.
        source: Box<crate::table::TemplateError>,
    },
    /// A file of worked examples with a row that cannot be used.
    #[error("`{}`, line {line}: {message}", path.display())]
    Examples {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

fn joined(diagnostics: &[Diagnostic]) -> String {
    let texts: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    texts.join("\n\n")
}
