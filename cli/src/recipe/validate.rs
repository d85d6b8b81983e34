//! What the types of a recipe cannot say: names that must exist, numbers that must fit, files that must be there.

mod audit;
mod batch;
mod import;
mod learning;
mod measuring;
mod redact;
mod teacher;
mod terms;

use std::collections::HashSet;
use std::path::Path;

use limbeck_store::review::Signature;
use limbeck_store::{Check, nearest};

use super::harvest::{HarvestSection, MAIN_PHRASING, SamplingSection};
use super::locate::Problem;
use super::source_table::SourceTable;
use super::{Document, TeacherSection};
use crate::sources::Source;
use crate::table::{Expression, Format, Template};

/// A byte-level vocabulary has a token for every byte, and the end tokens.
const LEAST_VOCABULARY: u32 = 260;
const MOST_VOCABULARY: u32 = 1 << 20;
const MOST_SAMPLES: u32 = 10_000;
const MOST_TOP_LOGPROBS: u32 = 256;
const MOST_TOKENS: u32 = 1 << 20;

/// Every mistake in `document`; `folder` is what its paths are relative to, if they are looked at.
pub(super) fn problems(document: &Document, folder: Option<&Path>) -> Vec<Problem> {
    let mut checker = Checker {
        folder,
        sections: &document.teacher,
        teachers: document
            .teacher
            .iter()
            .map(|teacher| teacher.name.as_str())
            .collect(),
        problems: Vec::new(),
    };
    checker.file_name("recipe.name", &document.recipe.name);
    checker.intent(&document.intent);
    checker.terms(&document.terms);
    checker.declarations(&document.declaration);
    checker.clarifications(document);
    if let Some(redact) = &document.redact {
        checker.redact(redact);
    }
    checker.audit(&document.audit);
    checker.waivers(&document.waiver);
    checker.teachers(&document.teacher, document.harvest.as_ref());
    checker.imports(&document.import);
    if let Some(harvest) = &document.harvest {
        checker.harvest(harvest, !document.import.is_empty());
    }
    if let Some(curate) = &document.curate {
        checker.checks(&curate.check);
    }
    if let Some(student) = &document.student {
        checker.student(student);
    }
    if let Some(train) = &document.train {
        checker.train(train, document.harvest.as_ref());
        checker.learn_from_imports(train, document);
        if let Some(student) = &document.student {
            checker.freeze(train, student);
        }
    }
    let has_choices = document
        .harvest
        .as_ref()
        .map(|harvest| harvest.choices.is_some());
    checker.evaluations(&document.evaluate, has_choices);
    if let Some(export) = &document.export {
        checker.export(export);
    }
    checker.problems
}

struct Checker<'a> {
    folder: Option<&'a Path>,
    sections: &'a [TeacherSection],
    teachers: Vec<&'a str>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn wrong(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(at, message));
    }

    fn wrong_with_help(
        &mut self,
        at: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::new(at, message).help(help));
    }

    /// Numbers that are not finite fail every comparison, and with it this.
    fn expect(&mut self, holds: bool, at: &str, found: impl std::fmt::Display, expected: &str) {
        // Whoever found something wrong there before knows better what is expected.
        if !holds && self.problems.iter().all(|problem| problem.at != at) {
            let key = at.rsplit('.').next().unwrap_or(at);
            self.wrong(at, format!("`{key}` is {found}, expected {expected}"));
        }
    }

    fn file_name(&mut self, at: &str, name: &str) {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || !name.chars().all(safe) {
            let message = format!(
                "`{name}` cannot name a folder, expected letters, digits, `.`, `_` and `-`, a letter or digit first"
            );
            self.wrong(at, message);
        }
    }

    /// Names of a list must differ from each other and from `taken`.
    fn unique<'n>(
        &mut self,
        list: &str,
        what: &str,
        names: impl Iterator<Item = &'n str>,
        taken: &[&'n str],
    ) {
        let mut seen: HashSet<&str> = taken.iter().copied().collect();
        for (index, name) in names.enumerate() {
            let at = format!("{list}.{index}.name");
            if name.trim().is_empty() {
                self.wrong(at, format!("a {what} needs a name"));
            } else if !seen.insert(name) {
                self.wrong(at, format!("another {what} is called `{name}` too"));
            }
        }
    }

    fn teacher_name(&mut self, at: &str, name: &str) {
        if self.teachers.contains(&name) {
            return;
        }
        let message = format!("there is no teacher `{name}`");
        let help = match nearest(name, self.teachers.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.teachers.is_empty() => "add a `[[teacher]]` of this name".to_owned(),
            None => format!("there is `{}`", self.teachers.join("`, `")),
        };
        self.wrong_with_help(at, message, help);
    }

    fn source(&mut self, at: &str, source: &str) {
        if let Err(error) = Source::parse(source) {
            self.wrong(at, error.to_string());
        }
    }

    fn sha256(&mut self, at: &str, sha256: Option<&str>) {
        let is_digest =
            |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        if let Some(text) = sha256
            && !is_digest(text)
        {
            self.wrong(at, "not a SHA-256, expected 64 hexadecimal digits");
        }
    }

    /// Whether it holds is for the audit to say: that depends on who is trusted.
    fn signature(&mut self, at: &str, signature: Option<&Signature>) {
        if let Some(Err(error)) = signature.map(Signature::check) {
            self.wrong_with_help(
                format!("{at}.signature"),
                format!("this is no signature: {error}"),
                "`limbeck sign RECIPE` writes it; take the line out and sign again",
            );
        }
    }

    fn file(&mut self, at: &str, path: &str) {
        if self
            .folder
            .is_some_and(|folder| !folder.join(path).is_file())
        {
            let message = format!("there is no file `{path}`");
            self.wrong_with_help(at, message, "paths are relative to the recipe's folder");
        }
    }

    fn template(&mut self, at: &str, source: Option<&str>) {
        if let Some(source) = source
            && let Err(error) = Template::compile(source)
        {
            self.wrong(at, error.to_string());
        }
    }

    fn source_table(&mut self, at: &str, table: &dyn SourceTable) {
        // A string where a table is allowed is its own `source`; the place is found either way.
        let key = |key: &str| format!("{at}.{key}");
        match Source::parse(table.source()) {
            Ok(Source::Path(path)) => self.file(&key("source"), &path.to_string_lossy()),
            Ok(_) => {}
            Err(error) => self.wrong(key("source"), error.to_string()),
        }
        let name = Source::parse(table.source()).map(|source| source.file_name());
        if let (Ok(name), None) = (name, table.format())
            && Format::of(Path::new(&name)).is_none()
        {
            let message = format!("the name `{name}` does not tell the format of the rows");
            let help = "add `format` with `jsonl`, `csv`, `tsv` or `parquet`";
            self.wrong_with_help(key("source"), message, help);
        }
        self.sha256(&key("sha256"), table.sha256());
        if let Some(filter) = table.filter()
            && let Err(error) = Expression::compile(filter)
        {
            self.wrong(key("where"), error.to_string());
        }
        if table.draw().sample == Some(0) {
            self.expect(false, &key("sample"), 0, "1 or more");
        }
    }

    fn harvest(&mut self, harvest: &HarvestSection, has_imports: bool) {
        match &harvest.teacher {
            Some(names) => self.harvest_teachers(names.as_slice()),
            None if self.teachers.len() > 1 && harvest.prompts.is_some() => self.wrong_with_help(
                "harvest",
                "there are several teachers, and `[harvest]` does not say which one is asked",
                format!("add `teacher = \"{}\"`", self.teachers[0]),
            ),
            None => {}
        }
        match &harvest.prompts {
            Some(prompts) => self.source_table("harvest.prompts", prompts),
            None if has_imports => {}
            None => self.wrong_with_help(
                "harvest",
                "missing key `prompts`",
                "it names the rows that the teacher is asked about; a recipe that learns from answers given elsewhere has an `[[import]]` instead",
            ),
        }
        self.template("harvest.input", harvest.input.as_deref());
        self.asking(
            "harvest",
            harvest.template.as_deref(),
            harvest.system.as_deref(),
            harvest.examples.as_deref(),
        );
        if let Some(choices) = &harvest.choices {
            self.choices(choices);
        }
        let samples = harvest.samples;
        let holds = (1..=MOST_SAMPLES).contains(&samples);
        self.expect(holds, "harvest.samples", samples, "1 to 10000");
        if harvest.choices.is_some() && samples > 1 {
            self.wrong_with_help(
                "harvest.samples",
                "with `choices` nothing is drawn, so every sample would be the same",
                "leave `samples` out, or add a `[[harvest.phrasing]]`",
            );
        }
        self.sampling(&harvest.sampling);
        if harvest.choices.is_some() {
            self.void_beside_choices(&harvest.sampling);
        }
        let names = harvest
            .phrasing
            .iter()
            .map(|phrasing| phrasing.name.as_str());
        self.unique("harvest.phrasing", "phrasing", names, &[MAIN_PHRASING]);
        for (index, phrasing) in harvest.phrasing.iter().enumerate() {
            let at = format!("harvest.phrasing.{index}");
            self.asking(
                &at,
                phrasing.template.as_deref(),
                phrasing.system.as_deref(),
                phrasing.examples.as_deref(),
            );
            if phrasing.sample == Some(0) {
                self.expect(false, &format!("{at}.sample"), 0, "1 or more");
            }
            let weight = phrasing.weight;
            let holds = weight > 0.0 && weight.is_finite();
            self.expect(holds, &format!("{at}.weight"), weight, "more than 0");
        }
    }

    fn asking(
        &mut self,
        at: &str,
        template: Option<&str>,
        system: Option<&str>,
        examples: Option<&str>,
    ) {
        self.template(&format!("{at}.template"), template);
        for (key, path) in [("system", system), ("examples", examples)] {
            if let Some(path) = path {
                self.file(&format!("{at}.{key}"), path);
            }
        }
    }

    fn choices(&mut self, choices: &[String]) {
        if choices.len() < 2 {
            self.wrong("harvest.choices", "there must be at least two choices");
        }
        let mut seen = HashSet::new();
        for (index, choice) in choices.iter().enumerate() {
            let at = format!("harvest.choices.{index}");
            if choice.trim().is_empty() {
                self.wrong(at, "a choice must not be empty");
            } else if choice.trim() != choice {
                self.wrong(at, "a choice must not begin or end with white space");
            } else if !seen.insert(choice) {
                self.wrong(at, format!("the choice `{choice}` is there twice"));
            }
        }
    }

    fn sampling(&mut self, sampling: &SamplingSection) {
        let at = |key: &str| format!("harvest.sampling.{key}");
        let SamplingSection {
            temperature,
            top_p,
            max_tokens,
            top_logprobs,
            ..
        } = *sampling;
        let holds = (0.0..=100.0).contains(&temperature);
        self.expect(holds, &at("temperature"), temperature, "0 to 100");
        let holds = top_p > 0.0 && top_p <= 1.0;
        self.expect(holds, &at("top_p"), top_p, "more than 0 and at most 1");
        let holds = (1..=MOST_TOKENS).contains(&max_tokens);
        self.expect(holds, &at("max_tokens"), max_tokens, "1 to 1048576");
        let holds = top_logprobs <= MOST_TOP_LOGPROBS;
        self.expect(holds, &at("top_logprobs"), top_logprobs, "at most 256");
    }

    /// How a text is drawn means nothing where one of several answers is chosen, and what a recipe says is not dropped.
    fn void_beside_choices(&mut self, sampling: &SamplingSection) {
        let unset = SamplingSection::default();
        let differs = |one: f32, other: f32| one.to_bits() != other.to_bits();
        for (key, given) in [
            (
                "temperature",
                differs(sampling.temperature, unset.temperature),
            ),
            ("top_p", differs(sampling.top_p, unset.top_p)),
            ("max_tokens", sampling.max_tokens != unset.max_tokens),
            ("top_logprobs", sampling.top_logprobs != unset.top_logprobs),
            ("seed", sampling.seed != unset.seed),
            ("stop", sampling.stop != unset.stop),
            ("json_schema", sampling.json_schema != unset.json_schema),
        ] {
            let at = format!("harvest.sampling.{key}");
            if given && self.problems.iter().all(|problem| problem.at != at) {
                let message = format!(
                    "`{key}` has no effect beside `choices`: the most likely of them is taken"
                );
                let help = "leave it out, or leave `choices` out to have a text written";
                self.wrong_with_help(at, message, help);
            }
        }
    }

    fn checks(&mut self, checks: &[Check]) {
        for (index, check) in checks.iter().enumerate() {
            if let Err(error) = check.validate() {
                self.wrong(format!("curate.check.{index}.at_least"), error.to_string());
            }
        }
    }
}
