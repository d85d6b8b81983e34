//! Licence texts: those that lie beside models, with what a hub's page says of them, and the student's own.

use std::fs;
use std::path::Path;

use limbeck_store::audit::{Area, Finding, Level, LicenseText};

use crate::recipe::LicenseTextSection;
use crate::sources::{Fetched, shown};

/// Names of files that hold licence texts beside a model.
const LICENSE_FILES: [&str; 4] = ["LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"];
/// The file that hubs show as a model's page.
const PAGE: &str = "README.md";
/// A text is not longer than this; what is, is not read.
const MOST_TEXT: u64 = 1 << 20;

/// The licence texts that lie beside a model for which `tag` is declared.
pub(super) fn beside(model: &Path, teacher: &str, tag: Option<&str>) -> Vec<LicenseText> {
    let files = LICENSE_FILES.iter().filter_map(|name| {
        let path = folder(model)?.join(name);
        let text = read(&path)?;
        Some(LicenseText {
            file: path.display().to_string(),
            text,
            beside: format!("model of `{teacher}`"),
            tag: tag.map(str::to_owned),
        })
    });
    files.collect()
}

/// The licence that the page beside a model says, in the front matter of hubs.
pub(super) fn page_tag(model: &Path) -> Option<String> {
    front_matter_license(&read(&folder(model)?.join(PAGE))?)
}

/// The text that the recipe means by the student's `license`, or what there is to tell of it. `file` is what was found.
pub(super) fn own_text(
    student: &str,
    license: Option<&str>,
    meant: &LicenseTextSection,
    file: Option<Fetched>,
) -> Result<LicenseText, Box<Finding>> {
    let source = shown(&meant.source);
    let stale = |message: String, help: String| {
        let finding = Finding::new(
            Area::Licences,
            "student-license-stale",
            Level::Deny,
            message,
        );
        let finding = finding.via("[intent]").via(format!("text `{source}`"));
        Err(Box::new(finding.help(help)))
    };
    let Some(file) = file else {
        return stale(
            format!("the text `{source}` of the student's licence cannot be read"),
            "put the text where the recipe looks for it; nothing is downloaded here".to_owned(),
        );
    };
    if !file.sha256.eq_ignore_ascii_case(&meant.sha256) {
        return stale(
            format!(
                "the text `{source}` is another than the one that the recipe means by the student's licence"
            ),
            format!(
                "read the text again, and put its digest into `student_license_text`: sha256 = \"{}\"",
                file.sha256
            ),
        );
    }
    let text = read(&file.path).filter(|text| !text.trim().is_empty());
    let Some(text) = text else {
        return stale(
            format!("`{source}` holds no text that could be the student's licence"),
            "name a file of UTF-8 text of at most 1 MiB".to_owned(),
        );
    };
    Ok(LicenseText {
        file: source,
        text,
        beside: format!("student `{student}`"),
        tag: license.map(str::to_owned),
    })
}

fn folder(model: &Path) -> Option<&Path> {
    if model.is_dir() {
        Some(model)
    } else {
        model.parent()
    }
}

fn read(path: &Path) -> Option<String> {
    let is_short = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MOST_TEXT);
    is_short.then(|| fs::read_to_string(path).ok())?
}

/// `license` of a page's front matter: one name, or all of a list; of `other`, the `license_name` beside it.
fn front_matter_license(page: &str) -> Option<String> {
    let mut lines = page.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let lines: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    let value = |key: &str| {
        let mut found = lines.iter().enumerate();
        found.find_map(|(at, line)| Some((at, unquoted(line.strip_prefix(key)?))))
    };
    let (at, name) = value("license:")?;
    if !name.is_empty() {
        let own = value("license_name:")
            .map(|(_, own)| own)
            .filter(|own| !own.is_empty());
        return Some(match own {
            Some(own) if name.eq_ignore_ascii_case("other") => own,
            _ => name,
        });
    }
    let names: Vec<String> = lines[at + 1..]
        .iter()
        .map_while(|line| line.trim_start().strip_prefix("- ").map(unquoted))
        .collect();
    // Whether all bind or one can be chosen is not said, so that all do.
    (!names.is_empty()).then(|| names.join(" AND "))
}

/// A scalar of YAML without its quotes and without a comment.
fn unquoted(value: &str) -> String {
    let value = value.split(" #").next().unwrap_or_default().trim();
    value.trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_one_licence_or_several_or_none() {
        let of = |front: &str| front_matter_license(&format!("---\n{front}---\n# A model\n"));
        assert_eq!(of("license: mit\n").as_deref(), Some("mit"));
        assert_eq!(
            of("a: b\nlicense: \"apache-2.0\" # so\n").as_deref(),
            Some("apache-2.0")
        );
        assert_eq!(
            of("license: other\nlicense_name: acme-1\n").as_deref(),
            Some("acme-1")
        );
        assert_eq!(of("license: other\n").as_deref(), Some("other"));
        assert_eq!(
            of("license:\n- mit\n- 'zlib'\ntags:\n- x\n").as_deref(),
            Some("mit AND zlib")
        );
        assert_eq!(of("license:\ntags: x\n"), None);
        assert_eq!(of("tags: x\n"), None);
        assert_eq!(front_matter_license("license: mit\n"), None);
        assert_eq!(front_matter_license(""), None);
    }
}
