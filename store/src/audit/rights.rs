//! What the audits of terms and of licences read.

use jiff::civil::Date;

use crate::record::Clarified;
use crate::terms::{Collected, Declaration, Intent, Origin, Registry, Rules, TermsRecord, Through};

/// What is meant to be done, with what, and what is known of it.
#[derive(Debug, Clone)]
pub struct RightsInput<'a> {
    /// All records of terms, those of the recipe among them.
    pub registry: &'a Registry,
    /// What is meant to be done.
    pub intent: &'a Intent,
    /// What persons answer for.
    pub declarations: &'a [Declaration],
    /// The student's name.
    pub student: &'a str,
    /// Where the answers came from that it learns from.
    pub origins: &'a [Origin],
    /// The models whose weights, or parts of them, it takes.
    pub weights: &'a [Licensed],
    /// Where the prompts came from.
    pub prompts: &'a [Licensed],
    /// Licence texts that lie beside models and data.
    pub texts: &'a [LicenseText],
    /// The text of the student's own licence, where the recipe names one and it is the one that was meant.
    pub student_text: Option<&'a LicenseText>,
    /// What recipe and model files say of one licence.
    pub tags: &'a [LicenseTags],
    /// The day of the audit.
    pub today: Date,
}

impl<'a> RightsInput<'a> {
    /// The records of a licence, a name or an expression, that reaches the student `through` something: of alternatives
    /// those of the most permissive.
    pub fn records_of(&self, license: &str, through: Through) -> Vec<&'a TermsRecord> {
        let rules = Rules {
            registry: self.registry,
            intent: self.intent,
            declarations: self.declarations,
            today: self.today,
        };
        let licensing = rules.licensing(license, through, Collected::On(self.today));
        licensing.records
    }
}

/// Something that is under a licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licensed {
    /// What it is called.
    pub name: String,
    /// The licence that it declares, if it declares one; or that a person says it really is.
    pub license: Option<String>,
    /// That person's word, where it stands for what is declared.
    pub clarified: Option<Clarified>,
}

/// A licence text beside something that declares a licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseText {
    /// The file that holds it.
    pub file: String,
    /// The text.
    pub text: String,
    /// What it lies beside.
    pub beside: String,
    /// What that declares: the tag of a hub, the metadata of a GGUF file, or the key of a recipe.
    pub tag: Option<String>,
}

/// The licence of one model, said twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseTags {
    /// What it is the licence of.
    pub model: String,
    /// Who says the one that counts, in words, and what it is.
    pub declared: (&'static str, String),
    /// Who says another, in words, and what it is.
    pub own: (&'static str, String),
}
