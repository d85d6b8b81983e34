//! A recipe in a folder of its own, small enough to be run in a second.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command::Limbeck;
use super::teacher::tiny_teacher;

const CHOICES: &str = include_str!("choices.toml");
const CHAT: &str = include_str!("chat.toml");
/// Answers of `OpenAI`'s by file.
const OPENAI_IMPORT: &str = include_str!("openai_import.toml");
const SERVICE: &str = include_str!("service.toml");

/// The beginning of the section that names the prompts of these recipes.
const PROMPTS: &str = "[harvest]\nprompts = { source = \"prompts.jsonl\", license = \"cc0-1.0\", exclude_near = false }\n";

/// A folder with `recipe.toml`, `prompts.jsonl` and `suite.jsonl`; runs go to `work`. It goes away with the value.
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// The teacher chooses one of two labels for each of `prompts` messages.
    pub fn choices(prompts: usize) -> Self {
        Self::new(CHOICES, prompts)
    }

    /// The teacher writes a few tokens about each of `prompts` messages.
    pub fn chat(prompts: usize) -> Self {
        Self::new(CHAT, prompts)
    }

    /// A service at `base_url` is asked `question 0` and so on, `prompts` of them; its key is in
    /// `LIMBECK_TEST_KEY`.
    pub fn service(base_url: &str, prompts: usize) -> Self {
        let project = Self::new(&SERVICE.replace("BASE_URL", base_url), 0);
        let rows: Vec<Value> = (0..prompts)
            .map(|number| json!({"text": format!("question {number}")}))
            .collect();
        project.rows("prompts.jsonl", &rows);
        project
    }

    /// Imports what `section` says, and asks about no prompts.
    pub fn import(&self, section: &str) {
        self.edit(PROMPTS, section);
    }

    /// A recipe that learns from twenty labels of `OpenAI`'s.
    pub fn twenty_openai_labels() -> Self {
        let texts: Vec<String> = (0..20).map(|i| format!("the {i}th thing was so")).collect();
        let labels = texts.iter().map(String::as_str);
        let labels: Vec<(&str, &str)> = labels
            .zip(["positive", "negative"].into_iter().cycle())
            .collect();
        Self::openai_labels(&labels)
    }

    /// Labels that `OpenAI` gave are imported, each a message and its label; nobody is asked.
    pub fn openai_labels(labels: &[(&str, &str)]) -> Self {
        let project = Self::choices(0);
        let rows: Vec<Value> = labels
            .iter()
            .map(|(message, label)| {
                json!({"messages": [
                    {"role": "user", "content": message},
                    {"role": "assistant", "content": label},
                ]})
            })
            .collect();
        project.rows("answers.jsonl", &rows);
        project.import(OPENAI_IMPORT);
        project
    }

    fn new(recipe: &str, prompts: usize) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let project = Self { folder };
        let teacher = tiny_teacher().display().to_string();
        project.file("recipe.toml", &recipe.replace("TEACHER", &teacher));
        let prompts: Vec<Value> = (0..prompts).map(|i| json!({"text": message(i)})).collect();
        project.rows("prompts.jsonl", &prompts);
        let label = |i: usize| {
            if i.is_multiple_of(2) {
                "positive"
            } else {
                "negative"
            }
        };
        let suite: Vec<Value> = (0..12)
            .map(|i| json!({"text": format!("{} {}", question(i), message(1000 + 7 * i)), "expected": label(i)}))
            .collect();
        project.rows("suite.jsonl", &suite);
        project
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the work folder of the run.
    pub fn work(&self, name: &str) -> PathBuf {
        self.path().join("work").join(name)
    }

    /// Writes a file of the folder.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("a file of the project");
        path
    }

    /// Writes a file of JSON lines.
    pub fn rows(&self, name: &str, rows: &[Value]) -> PathBuf {
        let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
        self.file(name, &lines.concat())
    }

    /// Changes the recipe, which must hold `from`.
    pub fn edit(&self, from: &str, to: &str) -> &Self {
        let path = self.path().join("recipe.toml");
        let recipe = fs::read_to_string(&path).expect("the recipe");
        assert!(
            recipe.contains(from),
            "the recipe has no `{from}`:\n{recipe}"
        );
        self.file("recipe.toml", &recipe.replacen(from, to, 1));
        self
    }

    /// Has a person declare and sign something about a record of terms as it is today.
    pub fn declare(&self, terms: &str, says: &str) -> &Self {
        let show = self.limbeck().args(["terms", "show", terms, "--json"]);
        let digest = &show.run().succeeds().json()["terms_sha256"];
        let declaration = format!(
            "[[declaration]]\nterms = \"{terms}\"\nsays = [\"{says}\"]\nreviewer = \"R. Viewer\"\nreason = \"it sorts our own mail\"\nexpires = \"9999-01-01\"\nterms_sha256 = {digest}\n\n[harvest]\n"
        );
        self.edit("[harvest]\n", &declaration).sign()
    }

    /// Lets another model teach.
    pub fn teacher(&self, model: &Path) -> &Self {
        let from = tiny_teacher().display().to_string();
        self.edit(&from, &model.display().to_string())
    }

    /// Asks no faster than so many questions a second, which gives time to interrupt a harvest.
    pub fn pace(&self, questions_a_second: u32) -> &Self {
        let limit = format!(
            "concurrent = 8, requests_per_minute = {} }}",
            questions_a_second * 60
        );
        self.edit("concurrent = 8 }", &limit)
    }

    /// `limbeck` in this folder, with a cache of its own.
    pub fn limbeck(&self) -> Limbeck {
        Limbeck::new(self.path())
    }

    /// A command that takes a recipe and a work folder.
    pub fn stage(&self, command: &str) -> Limbeck {
        self.limbeck()
            .args([command, "recipe.toml", "--workdir", "work"])
    }

    /// The names of the stages' folders, sorted: `harvest-0123456789abcdef`. Empty without a work folder.
    pub fn stages(&self) -> Vec<String> {
        let stages = self.work("stages");
        if stages.is_dir() {
            names(&stages)
        } else {
            Vec::new()
        }
    }

    /// The report of the last run.
    pub fn report(&self) -> Value {
        let text = fs::read_to_string(self.work("report.json")).expect("a report");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// What is in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The `number`-th message: no two are alike, and no two share most of their words in a row.
fn message(number: usize) -> String {
    const THINGS: [&str; 11] = [
        "phone", "flight", "soup", "driver", "battery", "garden", "ticket", "jacket", "parcel",
        "lesson", "hotel",
    ];
    const WAYS: [&str; 13] = [
        "late", "lovely", "broken", "quiet", "cheap", "rude", "perfect", "cold", "easy", "noisy",
        "kind", "slow", "new",
    ];
    let (thing, way) = (THINGS[number % THINGS.len()], WAYS[number % WAYS.len()]);
    let other = THINGS[(number / 7 + 3) % THINGS.len()];
    let last = WAYS[(number / 11 + 5) % WAYS.len()];
    format!("{thing} {way} number {number}, {other} {last}!")
}

fn question(number: usize) -> &'static str {
    ["Why is it so?", "Who would have thought?", "And now?"][number % 3]
}
