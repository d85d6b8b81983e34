//! Names of licences that no record is about: those that SPDX lists, and those that somebody gives to a text of their own.

use spdx::identifiers::LICENSES;

use super::Registry;
use crate::nearest;

/// What begins the name of a licence that is on no list.
const OWN_TEXT: &str = "LicenseRef-";
/// What the list has for something that nobody says.
const NOT_SAID: &str = "NOASSERTION";

/// Whether SPDX lists a licence of this name, in whatever case.
pub fn is_listed(name: &str) -> bool {
    let mut listed = LICENSES.iter().map(|license| license.name);
    listed.any(|listed| listed != NOT_SAID && listed.eq_ignore_ascii_case(name))
}

/// Whether `name` is what SPDX has a licence called that is on no list.
pub fn names_own_text(name: &str) -> bool {
    let is_id = |id: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        !id.is_empty() && id.chars().all(is_allowed)
    };
    name.strip_prefix(OWN_TEXT).is_some_and(is_id)
}

impl Registry {
    /// The licence that is known or listed and that `name` was probably meant to be.
    pub fn nearest_license(&self, name: &str) -> Option<String> {
        let listed = LICENSES.iter().map(|license| license.name);
        let listed = listed.filter(|listed| *listed != NOT_SAID);
        let own = self.records().filter(|record| record.providers.is_empty());
        let own = own.flat_map(|record| std::iter::once(&record.id).chain(&record.names));
        let known: Vec<&str> = own.map(String::as_str).chain(listed).collect();
        let lower: Vec<String> = known.iter().map(|name| name.to_lowercase()).collect();
        let near = nearest(&name.to_lowercase(), lower.iter().map(String::as_str))?;
        let at = lower.iter().position(|name| name == near)?;
        Some(known[at].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_listed_or_of_ones_own_or_neither() {
        for listed in ["Zlib", "zlib", "apache-2.0", "GPL-2.0"] {
            assert!(is_listed(listed), "{listed}");
        }
        for other in [
            "whatever-1.0",
            "NOASSERTION",
            "noassertion",
            "LicenseRef-a",
            "",
        ] {
            assert!(!is_listed(other), "{other}");
        }
        assert!(names_own_text("LicenseRef-Acme-1.0"));
        for other in ["LicenseRef-", "LicenseRef-a b", "licenseref-a", "Acme-1.0"] {
            assert!(!names_own_text(other), "{other}");
        }
    }

    #[test]
    fn the_nearest_licence_is_a_known_or_a_listed_one() {
        let registry = Registry::embedded().unwrap();
        let near = |name: &str| registry.nearest_license(name);
        assert_eq!(near("apach-2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(near("zlibb").as_deref(), Some("Zlib"));
        assert_eq!(near("lama3.1").as_deref(), Some("llama3.1"));
        assert_eq!(near("%%%%%%%%%%%%"), None);
    }
}
