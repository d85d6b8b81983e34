//! Licences as SPDX expressions: `MIT OR Apache-2.0`, `GPL-2.0-only WITH Classpath-exception-2.0`.

use spdx::expression::{ExprNode, Operator};
use spdx::{Expression, ParseMode};

use super::{Collected, Registry, TermsRecord, Verdict};

/// Names that SPDX does not list, in any case and with records of their own, are licences as well.
const ANY_NAME: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: true,
};

/// The records on which something rests that is under a licence.
#[derive(Debug, Clone)]
pub struct Licensing<'a> {
    /// The records; of alternatives, those of the most permissive.
    pub records: Vec<&'a TermsRecord>,
    /// Names of licences that no record is about.
    pub missing: Vec<String>,
    verdict: Verdict,
}

/// The names in a licence expression, without exceptions and `+`; the whole text where it is no expression.
pub fn license_names(text: &str) -> Vec<String> {
    let Some(expression) = parse(text) else {
        return vec![text.trim().to_owned()];
    };
    let names = expression.requirements();
    names.map(|one| base(text, &one.span)).collect()
}

impl Registry {
    /// What binds something under `license`, a name or an SPDX expression.
    ///
    /// Both sides of an `AND` bind. Of an `OR` the side that `verdict` finds more permissive does, the first of equals.
    /// An exception after `WITH` gives permissions and takes none, so that the licence before it is what counts, if no
    /// record is about both.
    pub fn licensing<'a>(
        &'a self,
        license: &str,
        collected: Collected,
        verdict: &dyn Fn(&TermsRecord) -> Verdict,
    ) -> Licensing<'a> {
        let one = |name: &str| match self.license(name, collected) {
            Some(record) => Licensing {
                records: vec![record],
                missing: Vec::new(),
                verdict: verdict(record),
            },
            None => Licensing {
                records: Vec::new(),
                missing: vec![name.trim().to_owned()],
                verdict: Verdict::Unknown,
            },
        };
        let whole = one(license);
        let Some(expression) = parse(license).filter(|_| whole.records.is_empty()) else {
            return whole;
        };
        // In postfix order: every operator finds its two sides on top.
        let mut sides: Vec<Licensing<'a>> = Vec::new();
        for node in expression.iter() {
            let side = match node {
                ExprNode::Req(name) => {
                    let written = slice(license, &name.span);
                    let exact = one(written);
                    if exact.records.is_empty() {
                        one(&base(license, &name.span))
                    } else {
                        exact
                    }
                }
                ExprNode::Op(operator) => {
                    let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
                        return whole;
                    };
                    match operator {
                        Operator::And => left.and(right),
                        Operator::Or => left.or(right),
                    }
                }
            };
            sides.push(side);
        }
        sides.pop().unwrap_or(whole)
    }
}

impl Licensing<'_> {
    fn and(mut self, other: Self) -> Self {
        for record in other.records {
            if !self.records.iter().any(|known| known.id == record.id) {
                self.records.push(record);
            }
        }
        self.missing.extend(other.missing);
        self.verdict = self.verdict.max(other.verdict);
        self
    }

    fn or(self, other: Self) -> Self {
        if other.verdict < self.verdict {
            other
        } else {
            self
        }
    }
}

fn parse(text: &str) -> Option<Expression> {
    Expression::parse_mode(text, ANY_NAME).ok()
}

fn slice<'t>(text: &'t str, span: &std::ops::Range<u32>) -> &'t str {
    let (start, end) = (span.start as usize, span.end as usize);
    text.get(start..end).unwrap_or_default().trim()
}

/// The licence itself: without `WITH …` and `+`.
fn base(text: &str, span: &std::ops::Range<u32>) -> String {
    let written = slice(text, span);
    let name = written.split_whitespace().next().unwrap_or_default();
    name.trim_end_matches('+').to_owned()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::terms::{Class, Intent, Through, decide};

    const TODAY: Collected = Collected::On(date(2026, 11, 24));

    /// The records and names without one that count for a commercial model that is given away.
    fn counts(license: &str) -> (Vec<String>, Vec<String>) {
        let registry = Registry::embedded().unwrap();
        let intent = Intent {
            commercial: Some(true),
            ..Intent::default()
        };
        let verdict = |record: &TermsRecord| {
            decide(
                record,
                Through::Answers,
                &intent,
                &std::collections::BTreeSet::new(),
            )
            .verdict
        };
        let licensing = registry.licensing(license, TODAY, &verdict);
        let ids = licensing
            .records
            .iter()
            .map(|record| record.id.to_lowercase());
        (ids.collect(), licensing.missing)
    }

    fn check(license: &str, records: &[&str], missing: &[&str]) {
        let (found, not_found) = counts(license);
        assert_eq!(found, records, "{license}");
        assert_eq!(not_found, missing, "{license}");
    }

    #[test]
    fn names_alone_are_what_they_were() {
        check("mit", &["mit"], &[]);
        check(" Apache-2.0 ", &["apache-2.0"], &[]);
        check("no such licence", &[], &["no such licence"]);
        check("", &[], &[""]);
    }

    #[test]
    fn an_alternative_is_the_more_permissive_and_both_is_both() {
        check("CC-BY-NC-4.0 OR MIT", &["mit"], &[]);
        check("MIT OR CC-BY-NC-4.0", &["mit"], &[]);
        check("mit or apache-2.0", &["mit"], &[]);
        check("MIT AND CC-BY-NC-4.0", &["mit", "cc-by-nc-4.0"], &[]);
        check("MIT AND MIT", &["mit"], &[]);
        check(
            "(CC-BY-NC-4.0 OR Apache-2.0) AND CC0-1.0",
            &["apache-2.0", "cc0-1.0"],
            &[],
        );
        // What nobody knows is worse than what is permitted and better than what is forbidden.
        check("Zlib OR MIT", &["mit"], &[]);
        check("MIT AND Zlib", &["mit"], &["Zlib"]);
        check("CC-BY-NC-4.0 OR Zlib", &[], &["Zlib"]);
    }

    #[test]
    fn an_exception_gives_and_a_later_version_is_a_version() {
        check("Apache-2.0 WITH LLVM-exception", &["apache-2.0"], &[]);
        check("Apache-2.0+ OR Zlib", &["apache-2.0"], &[]);
        assert_eq!(
            license_names("MIT OR (Apache-2.0 WITH LLVM-exception AND gemma)"),
            ["MIT", "Apache-2.0", "gemma"]
        );
        assert_eq!(license_names("MIT OR"), ["MIT OR"]);
    }

    proptest! {
        #[test]
        fn the_strictest_of_both_and_the_most_permissive_of_either(
            first in 0_usize..1000, second in 0_usize..1000
        ) {
            let registry = Registry::embedded().unwrap();
            let licences: Vec<&TermsRecord> = registry
                .records()
                .filter(|record| record.kind == crate::terms::Kind::License)
                .collect();
            let one = &licences[first % licences.len()].id;
            let other = &licences[second % licences.len()].id;
            let verdict = |record: &TermsRecord| match record.class {
                Class::Any => Verdict::Allow,
                Class::ResearchOnly => Verdict::Deny,
                _ => Verdict::NeedsDeclaration,
            };
            let of = |text: &str| registry.licensing(text, TODAY, &verdict).verdict;
            prop_assert_eq!(of(&format!("{one} AND {other}")), of(one).max(of(other)));
            prop_assert_eq!(of(&format!("{one} OR {other}")), of(one).min(of(other)));
        }

        #[test]
        fn any_text_is_a_licence_or_is_not(text in "[A-Za-z0-9 ()+./-]{0,40}") {
            counts(&text);
            license_names(&text);
        }
    }
}
