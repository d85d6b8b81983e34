//! Writes a report's two files so that a reader sees either the old ones or the new ones.

use std::path::Path;

use anyhow::Context;

use super::{Report, html};
use crate::whole_file;

impl Report {
    /// The report as `report.json` holds it, with a final line break.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let mut text =
            serde_json::to_string_pretty(self).context("cannot write the report as JSON")?;
        text.push('\n');
        Ok(text)
    }

    /// The report as one self-contained page.
    pub fn to_html(&self) -> anyhow::Result<String> {
        html::render(self)
    }

    /// Writes `report.json` and `report.html` into `dir`, each beside the old one first.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        // Both are made before either is written: a page that cannot be rendered leaves the old pair in place.
        let (json, html) = (self.to_json()?, self.to_html()?);
        replace(&dir.join("report.json"), json.as_bytes())?;
        replace(&dir.join("report.html"), html.as_bytes())
    }
}

fn replace(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    whole_file::write(path, contents).with_context(|| format!("cannot write `{}`", path.display()))
}
