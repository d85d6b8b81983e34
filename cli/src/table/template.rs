//! Templates and filters over the columns of a row, in minijinja.
//!
//! A column that is not there is an error, never an empty text, and so is a null that would be printed: a teacher
//! that is asked about `none` answers. Beside the language's own filters there are `without_links`,
//! `without_handles` and `squeeze`. Columns whose names are no identifiers are reached as `row["Customer text"]`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, Serde};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, escape_formatter};
use serde::{Serialize, Serializer};
use serde_json::Map;

/// Steps that one evaluation may take: far more than any template over a row needs, far less than a hang.
const FUEL: u64 = 200_000;
const NAME: &str = "template";

/// A template or expression that cannot be used, or a row that it cannot be used on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not valid.
    #[error("not a valid {what}: {message}")]
    Syntax {
        /// `template` or `expression`.
        what: &'static str,
        /// What is wrong.
        message: String,
    },
    /// No row has such a column.
    #[error("there is no column `{column}`{suggestion}; the columns are {known}")]
    MissingColumn {
        /// The column.
        column: String,
        /// `, did you mean …` or nothing.
        suggestion: String,
        /// The names that there are.
        known: String,
    },
    /// It failed on one row.
    #[error("{0}")]
    Row(String),
}

/// Text with places that the columns of a row fill.
#[derive(Clone, Debug)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    source: String,
    columns: BTreeSet<String>,
    whole_row: bool,
}

impl Template {
    /// Reads a template.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let mut environment = environment();
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| syntax("template", &error))?;
        let (columns, whole_row) = environment
            .get_template(NAME)
            .and_then(|template| {
                unknown_names(template.render(Value::from_object(AnyColumn)))?;
                let variables = template.undeclared_variables(false);
                let whole_row = variables.contains("row");
                Ok((columns_of(&environment, variables), whole_row))
            })
            .map_err(|error| syntax("template", &error))?;
        Ok(Self {
            environment: Arc::new(environment),
            source: source.to_owned(),
            columns,
            whole_row,
        })
    }

    /// Whether it may take something from this column; with `row` it may from any.
    pub fn uses(&self, column: &str) -> bool {
        self.whole_row || self.columns.contains(column)
    }

    /// Fails if it uses a column that is not among `columns`.
    pub fn require(&self, columns: &[String]) -> Result<(), TemplateError> {
        require(&self.columns, columns)
    }

    /// Fills in one row.
    pub fn render(
        &self,
        columns: &Map<String, serde_json::Value>,
    ) -> Result<String, TemplateError> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(context(columns)))
            .map_err(|error| row_error(&error, &self.columns, columns))
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

/// A condition on the columns of a row, such as `confidence|float >= 0.9`.
#[derive(Clone, Debug)]
pub struct Expression {
    environment: Arc<Environment<'static>>,
    source: String,
    columns: BTreeSet<String>,
}

impl Expression {
    /// Reads an expression.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let environment = environment();
        let columns = environment
            .compile_expression(source)
            .and_then(|expression| {
                unknown_names(expression.eval(Value::from_object(AnyColumn)))?;
                Ok(columns_of(
                    &environment,
                    expression.undeclared_variables(false),
                ))
            })
            .map_err(|error| syntax("expression", &error))?;
        Ok(Self {
            environment: Arc::new(environment),
            source: source.to_owned(),
            columns,
        })
    }

    /// Fails if it uses a column that is not among `columns`.
    pub fn require(&self, columns: &[String]) -> Result<(), TemplateError> {
        require(&self.columns, columns)
    }

    /// The expression ready to be put to rows.
    pub fn condition(&self) -> Result<Condition<'_>, TemplateError> {
        let expression = self
            .environment
            .compile_expression(&self.source)
            .map_err(|error| syntax("expression", &error))?;
        Ok(Condition {
            expression,
            columns: &self.columns,
        })
    }
}

/// An [`Expression`] that is put to one row after another.
pub struct Condition<'a> {
    expression: minijinja::Expression<'a, 'a>,
    columns: &'a BTreeSet<String>,
}

impl Condition<'_> {
    /// Whether it holds for a row.
    pub fn holds(&self, columns: &Map<String, serde_json::Value>) -> Result<bool, TemplateError> {
        let value = self.expression.eval(context(columns));
        value
            .map(|value| value.is_true())
            .map_err(|error| row_error(&error, self.columns, columns))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // Where a prompt ends matters to a model.
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .unwrap_or_default();
    environment.set_syntax(syntax);
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            return Err(null_error());
        }
        escape_formatter(out, state, value)
    });
    environment.add_filter("without_links", |value: &Value| {
        Ok::<_, minijinja::Error>(without_links(&text_of(value)?))
    });
    environment.add_filter("without_handles", |value: &Value| {
        Ok::<_, minijinja::Error>(without_handles(&text_of(value)?))
    });
    environment.add_filter("squeeze", |value: &Value| {
        Ok::<_, minijinja::Error>(squeeze(&text_of(value)?))
    });
    environment
}

fn null_error() -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, "a value is null")
}

fn text_of(value: &Value) -> Result<Cow<'_, str>, minijinja::Error> {
    if value.is_undefined() {
        return Err(minijinja::Error::from(ErrorKind::UndefinedError));
    }
    if value.is_none() {
        return Err(null_error());
    }
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => Ok(Cow::Owned(value.to_string())),
    }
}

/// Web addresses taken out: from `http://`, `https://` or `www.` to the next white space.
fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let body = word.trim_end_matches(char::is_whitespace);
        // ASCII lower case keeps every byte where it was.
        let lower = body.to_ascii_lowercase();
        let link = ["http://", "https://"]
            .iter()
            .filter_map(|scheme| lower.find(scheme))
            .min();
        let link = link.or_else(|| lower.starts_with("www.").then_some(0));
        match link {
            Some(start) => {
                out.push_str(&body[..start]);
                out.push_str(&word[body.len()..]);
            }
            None => out.push_str(word),
        }
    }
    out
}

/// `@names` taken out; addresses of e-mail, where a letter stands before the sign, stay.
fn without_handles(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        let name_length = after.find(|c| !is_word(c)).unwrap_or(after.len());
        let follows_word = before.chars().next_back().is_some_and(is_word);
        if name_length == 0 || follows_word {
            out.push('@');
            rest = after;
        } else {
            rest = &after[name_length..];
        }
    }
    out.push_str(rest);
    out
}

/// Every run of white space turned into one space, none at the ends.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A row as templates see it: its columns, and all of them as `row`.
#[derive(Debug)]
struct Columns(Map<String, serde_json::Value>);

impl Object for Columns {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        match self.0.get(key) {
            Some(value) => Some(Value::from(Serde(value))),
            None if key == "row" => Some(Value::from(Serde(&self.0))),
            None => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| Value::from(key.as_str())).collect())
    }
}

/// A row that has every column. It stands in for real rows before there are any.
#[derive(Debug)]
struct AnyColumn;

impl Object for AnyColumn {
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from("1"))
    }
}

/// The library looks up filters when it gets to them. Misspelt ones are to be found when a recipe is read, so each
/// template is tried once; nothing else that goes wrong in the trial means anything.
fn unknown_names<T>(trial: Result<T, minijinja::Error>) -> Result<(), minijinja::Error> {
    match trial {
        Err(error) if is_unknown_name(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_unknown_name(error: &minijinja::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
    )
}

fn context(columns: &Map<String, serde_json::Value>) -> Value {
    Value::from_object(Columns(columns.clone()))
}

fn columns_of(
    environment: &Environment<'_>,
    variables: impl IntoIterator<Item = String>,
) -> BTreeSet<String> {
    let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
    variables
        .into_iter()
        .filter(|name| name != "row" && !globals.contains(name.as_str()))
        .collect()
}

fn require(used: &BTreeSet<String>, known: &[String]) -> Result<(), TemplateError> {
    let Some(column) = used.iter().find(|column| !known.contains(column)) else {
        return Ok(());
    };
    let suggestion = limbeck_store::nearest(column, known.iter().map(String::as_str));
    let listed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    Err(TemplateError::MissingColumn {
        column: column.clone(),
        suggestion: suggestion.map_or_else(String::new, |name| format!(", did you mean `{name}`?")),
        known: listed.join(", "),
    })
}

fn syntax(what: &'static str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Syntax {
        what,
        message: describe(error),
    }
}

fn row_error(
    error: &minijinja::Error,
    used: &BTreeSet<String>,
    columns: &Map<String, serde_json::Value>,
) -> TemplateError {
    if is_unknown_name(error) {
        return syntax("template", error);
    }
    if error.kind() == ErrorKind::UndefinedError
        && let Some(missing) = used.iter().find(|name| !columns.contains_key(*name))
    {
        return TemplateError::Row(format!("it has no column `{missing}`"));
    }
    TemplateError::Row(describe(error))
}

/// What went wrong, without the made-up file name that the library adds.
fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
