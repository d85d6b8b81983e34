//! How a row becomes a question: instructions, worked examples and the template, in either form.

use std::fs;
use std::path::{Path, PathBuf};

use limbeck_store::{Message, PromptBody};
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::RecipeError;
use super::harvest::{Form, HarvestSection, MAIN_PHRASING, PhrasingSection};
use crate::table::{Template, TemplateError};

type Columns = Map<String, Value>;

/// Every way in which a row is asked about, with the files read in. It serialises to all that decides the questions.
#[derive(Clone, Debug, Serialize)]
pub struct Asking {
    input: Option<Template>,
    /// The ways of asking; the first is `[harvest]` itself.
    pub phrasings: Vec<Phrasing>,
}

/// One way of asking.
#[derive(Clone, Debug, Serialize)]
pub struct Phrasing {
    /// What reports and verdicts call it.
    pub name: String,
    /// How many of the prompts are asked in this way; all if `None`.
    pub sample: Option<u64>,
    /// How much its answers count beside those of the other ways.
    pub weight: f64,
    form: Form,
    template: Option<Template>,
    system: Option<String>,
    examples: Vec<Example>,
}

/// A worked turn: what is asked, and the right answer.
#[derive(Clone, Debug, Serialize)]
struct Example {
    asked: String,
    answer: String,
}

impl Asking {
    pub(super) fn load(harvest: &HarvestSection, folder: &Path) -> Result<Self, RecipeError> {
        let main = PhrasingSection {
            name: MAIN_PHRASING.to_owned(),
            form: harvest.form,
            template: harvest.template.clone(),
            system: harvest.system.clone(),
            examples: harvest.examples.clone(),
            sample: None,
            weight: 1.0,
        };
        let mut phrasings = vec![Phrasing::load(&main, folder, "harvest")?];
        for (index, section) in harvest.phrasing.iter().enumerate() {
            let key = format!("harvest.phrasing.{index}");
            phrasings.push(Phrasing::load(section, folder, &key)?);
        }
        let input = match &harvest.input {
            Some(source) => Some(compiled(source)?),
            None => None,
        };
        Ok(Self { input, phrasings })
    }

    /// Fails if a template needs a column that is not among `columns`.
    pub fn require(&self, columns: &[String]) -> Result<(), TemplateError> {
        let templates = self.phrasings.iter().map(|phrasing| &phrasing.template);
        for template in templates.chain([&self.input]).flatten() {
            template.require(columns)?;
        }
        Ok(())
    }

    /// Whether what is asked about a row, or what the student sees of it, may hold something of this column.
    pub fn uses(&self, column: &str) -> bool {
        let bare = |phrasing: &Phrasing| phrasing.template.is_none();
        let templates = self.phrasings.iter().map(|phrasing| &phrasing.template);
        let mut templates = templates.chain([&self.input]).flatten();
        templates.any(|template| template.uses(column))
            || (["prompt", "messages"].contains(&column) && self.phrasings.iter().any(bare))
    }

    /// What the student sees of a row.
    pub fn input(&self, columns: &Columns) -> Result<String, TemplateError> {
        match (&self.input, self.phrasings.first()) {
            (Some(template), _) => template.render(columns),
            (None, Some(main)) => main.bare(columns),
            (None, None) => declared_text(columns),
        }
    }
}

impl Phrasing {
    fn load(section: &PhrasingSection, folder: &Path, key: &str) -> Result<Self, RecipeError> {
        let template = match &section.template {
            Some(source) => Some(compiled(source)?),
            None => None,
        };
        let system = match &section.system {
            Some(path) => Some(read(&folder.join(path), &format!("{key}.system"))?),
            None => None,
        };
        let examples = match &section.examples {
            Some(path) => {
                let path = folder.join(path);
                let text = read(&path, &format!("{key}.examples"))?;
                read_examples(&path, &text, template.as_ref())?
            }
            None => Vec::new(),
        };
        Ok(Self {
            name: section.name.clone(),
            sample: section.sample,
            weight: section.weight,
            form: section.form,
            template,
            system: system.map(|text| text.trim_end().to_owned()),
            examples,
        })
    }

    /// The question about a row.
    ///
    /// As a completion: the instructions, the examples with their answers and the row, with a blank line between
    /// them. As a chat: a system turn, a turn of the user and one of the assistant for each example, and the row.
    pub fn ask(&self, columns: &Columns) -> Result<PromptBody, TemplateError> {
        match self.form {
            Form::Completion => Ok(PromptBody::Completion {
                text: self.completion(&self.bare(columns)?),
            }),
            Form::Chat => Ok(PromptBody::Chat {
                messages: self.chat(columns)?,
            }),
        }
    }

    fn completion(&self, asked: &str) -> String {
        let mut parts: Vec<String> = self.system.iter().cloned().collect();
        for Example { asked, answer } in &self.examples {
            let space = if asked.ends_with(char::is_whitespace) {
                ""
            } else {
                " "
            };
            parts.push(format!("{asked}{space}{answer}"));
        }
        parts.push(asked.to_owned());
        parts.join("\n\n")
    }

    fn chat(&self, columns: &Columns) -> Result<Vec<Message>, TemplateError> {
        let mut messages = Vec::with_capacity(2 + 2 * self.examples.len());
        if let Some(system) = &self.system {
            messages.push(Message::new("system", system));
        }
        for Example { asked, answer } in &self.examples {
            messages.push(Message::new("user", asked));
            messages.push(Message::new("assistant", answer));
        }
        match (&self.template, columns.get("messages")) {
            (None, Some(turns)) => messages.extend(declared_messages(turns)?),
            _ => messages.push(Message::new("user", self.bare(columns)?)),
        }
        Ok(messages)
    }

    /// The row in the template, without instructions and examples.
    fn bare(&self, columns: &Columns) -> Result<String, TemplateError> {
        match &self.template {
            Some(template) => template.render(columns),
            None => declared_text(columns),
        }
    }
}

/// Recipes are checked when they are loaded, so that this fails only for one that was not.
fn compiled(source: &str) -> Result<Template, RecipeError> {
    Template::compile(source).map_err(|error| RecipeError::Template {
        source: Box::new(error),
    })
}

fn read(path: &Path, key: &str) -> Result<String, RecipeError> {
    fs::read_to_string(path).map_err(|source| RecipeError::File {
        path: path.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn read_examples(
    path: &Path,
    text: &str,
    template: Option<&Template>,
) -> Result<Vec<Example>, RecipeError> {
    let mut examples = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let example = read_example(line, template).map_err(|message| RecipeError::Examples {
            path: PathBuf::from(path),
            line: index + 1,
            message,
        })?;
        examples.push(example);
    }
    Ok(examples)
}

fn read_example(line: &str, template: Option<&Template>) -> Result<Example, String> {
    let columns: Columns =
        serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let Some(Value::String(answer)) = columns.get("answer") else {
        return Err("it has no text `answer`".to_owned());
    };
    let asked = match template {
        Some(template) => template.render(&columns),
        None => declared_text(&columns),
    };
    Ok(Example {
        asked: asked.map_err(|error| error.to_string())?,
        answer: answer.clone(),
    })
}

/// What a row asks by itself: its `prompt`, or the last turn of its `messages`.
fn declared_text(columns: &Columns) -> Result<String, TemplateError> {
    if let Some(Value::String(prompt)) = columns.get("prompt") {
        return Ok(prompt.clone());
    }
    if let Some(turns) = columns.get("messages")
        && let Some(last) = declared_messages(turns)?.pop()
    {
        return Ok(last.content);
    }
    let message = "without a `template` a row needs a text `prompt` or a list of `messages`";
    Err(TemplateError::Row(message.to_owned()))
}

fn declared_messages(turns: &Value) -> Result<Vec<Message>, TemplateError> {
    let error = |message: &str| TemplateError::Row(message.to_owned());
    let messages: Vec<Message> = serde_json::from_value(turns.clone())
        .map_err(|_| error("`messages` is not a list of turns with `role` and `content`"))?;
    match messages.last() {
        Some(last) if last.role == "user" => Ok(messages),
        _ => Err(error("the last of `messages` is not a turn of the `user`")),
    }
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
