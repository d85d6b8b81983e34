//! Renders the page. Whatever reaches it from teachers and data is hostile and passes one gate: the formatter below
//! makes control and bidirectional characters visible, then escapes for HTML. Templates contain no `safe` filter.

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Output, State, UndefinedBehavior, Value};

use super::Report;
use super::view::Page;
use crate::text;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let environment = environment().context("the report's templates are broken")?;
    let template = environment.get_template("report.html")?;
    template
        .render(minijinja::context! {
            page => Value::from(Serde(Page::of(report))),
            // Our own file, and the only text on the page that is not escaped.
            style => Value::from_safe_string(STYLE.to_owned()),
        })
        .context("cannot render `report.html`")
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_formatter(reveal_and_escape);
    for (name, source) in [
        ("report.html", include_str!("report.html")),
        ("charts.html", include_str!("charts.html")),
        ("sections.html", include_str!("sections.html")),
    ] {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

fn reveal_and_escape(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.kind() == ValueKind::String && !value.is_safe() {
        let shown = text::reveal(value.as_str().unwrap_or_default());
        minijinja::escape_formatter(out, state, &Value::from(shown))
    } else {
        minijinja::escape_formatter(out, state, value)
    }
}
