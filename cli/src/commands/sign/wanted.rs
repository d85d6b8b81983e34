//! What of a recipe wants a signature, and whether the holder of a key can give it.

use jiff::civil::Date;
use limbeck_store::ledger::SecretKey;
use limbeck_store::review::{Reviewers, Signable, Signature, Signed, key_name, sign};
use limbeck_store::terms::{Declaration, Registry, Standing};
use serde::Serialize;

use crate::recipe::Recipe;

/// A list of a recipe that holds what wants signatures, by the keys that lead to it.
pub(super) type List = &'static [&'static str];

/// Something that wants a signature.
pub(super) struct Wanted {
    /// Where it stands.
    pub(super) list: List,
    /// Which one of that list.
    pub(super) index: usize,
    /// What it says, in words that a person reads before answering for it.
    pub(super) what: String,
    pub(super) now: Now,
}

/// What becomes of it.
pub(super) enum Now {
    /// It is signed by somebody who is trusted.
    Holds,
    /// This is its signature.
    Signed(Signature),
    /// It is not signed, for this reason.
    Left(String),
}

/// Everything that wants a signature, signed with `key` where its holder can answer for it on the day `today`.
pub(super) fn wanted(
    recipe: &Recipe,
    key: &SecretKey,
    reviewers: &Reviewers,
    today: Date,
) -> anyhow::Result<Vec<Wanted>> {
    let mut signing = Signing {
        key,
        reviewers,
        wanted: Vec::new(),
    };
    let purpose = recipe.purpose(&[]);
    let registry = recipe.registry()?;
    for (index, record) in recipe.own_records().iter().enumerate() {
        let what = format!("the record of terms `{}`: {}", record.id, record.summary);
        signing.want((&["terms"], index), what, record, &(), None);
    }
    for (index, declaration) in recipe.declarations().iter().enumerate() {
        let says: Vec<&str> = declaration.says.iter().map(|says| says.name()).collect();
        let what = format!(
            "the declaration about `{}`, {} until {}: {} ({})",
            declaration.terms,
            says.join(", "),
            declaration.expires,
            declaration.reason,
            declaration.reviewer
        );
        let why_not = why_not(declaration, &registry, today);
        signing.want(
            (&["declaration"], index),
            what,
            declaration,
            &purpose,
            why_not,
        );
    }
    for (index, clarification) in recipe.clarifications().iter().enumerate() {
        let what = format!(
            "the clarification that `{}` is under `{}`, by the text `{}`",
            clarification.of, clarification.license, clarification.text
        );
        let (signed, thing) = recipe.clarified(clarification);
        signing.want((&["clarification"], index), what, &signed, &thing, None);
    }
    for (index, rule) in recipe.rules().iter().enumerate() {
        // A rule that only warns or denies takes nobody's word; one that was signed is held to it.
        if !rule.lowers_a_denial() && rule.signature.is_none() {
            continue;
        }
        let what = format!("the exception for `{}`: {}", rule.code, rule.reason);
        let why_not = rule.expires.and_then(|expires| ended(expires, today));
        signing.want((&["audit", "rule"], index), what, rule, &purpose, why_not);
    }
    for (index, waiver) in recipe.waivers().iter().enumerate() {
        let about = match &waiver.about {
            Some(about) => format!(" about `{about}`"),
            None => String::new(),
        };
        let what = format!(
            "the waiver of `{}`{about} until {}: {} ({})",
            waiver.code, waiver.expires, waiver.reason, waiver.reviewer
        );
        let no_reason = waiver.reason.trim().is_empty();
        let why_not = no_reason.then(without_reason);
        let why_not = why_not.or_else(|| ended(waiver.expires, today));
        signing.want((&["waiver"], index), what, waiver, &purpose, why_not);
    }
    Ok(signing.wanted)
}

struct Signing<'a> {
    key: &'a SecretKey,
    reviewers: &'a Reviewers,
    wanted: Vec<Wanted>,
}

impl Signing<'_> {
    fn want<T: Signable>(
        &mut self,
        (list, index): (List, usize),
        what: String,
        said: &T,
        purpose: &impl Serialize,
        why_not: Option<String>,
    ) {
        self.wanted.push(Wanted {
            list,
            index,
            what,
            now: self.now(said, purpose, why_not),
        });
    }

    fn now<T: Signable>(&self, said: &T, purpose: &impl Serialize, why_not: Option<String>) -> Now {
        let signed = self.reviewers.look_at(said, purpose);
        if signed == Signed::Holds {
            return Now::Holds;
        }
        let own = self.key.public();
        match said.reviewer() {
            Some(reviewer) if reviewer.trim().is_empty() => {
                return Now::Left("`reviewer` names nobody who answers for it".to_owned());
            }
            Some(reviewer) if key_name(reviewer) != own.name() => {
                return Now::Left(format!(
                    "`{reviewer}` answers for it, and the key is that of `{}`",
                    own.name()
                ));
            }
            Some(_) => {}
            // Somebody else's word is not taken for one's own without being looked at.
            None => {
                if let Signed::Unknown(key) = &signed {
                    return Now::Left(format!(
                        "it is signed by `{}`, whom nobody trusts here; trust that key, or take the signature out to sign it yourself",
                        key.short()
                    ));
                }
            }
        }
        match why_not {
            Some(why) => Now::Left(why),
            None => Now::Signed(sign(said, purpose, self.key)),
        }
    }
}

fn why_not(declaration: &Declaration, registry: &Registry, today: Date) -> Option<String> {
    let terms = &declaration.terms;
    match declaration.standing(registry, today) {
        // That nobody is named is told by itself.
        Standing::Valid | Standing::Unsigned => None,
        Standing::WithoutReason => Some(without_reason()),
        Standing::Expired => ended(declaration.expires, today),
        Standing::Stale => Some(format!(
            "`terms_sha256` is that of another state of the record; `limbeck terms show {terms}` prints what it says now"
        )),
        Standing::UnknownTerms => Some(format!("there is no record of terms `{terms}`")),
    }
}

fn without_reason() -> String {
    "`reason` is empty".to_owned()
}

fn ended(expires: Date, today: Date) -> Option<String> {
    (expires < today).then(|| format!("it ended on {expires}"))
}
