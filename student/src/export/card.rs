//! The model card: a README that Hugging Face reads as well.

use std::fmt::Write;

use limbeck_model::ModelConfig;
use serde::{Deserialize, Serialize};

use super::{ExportFormat, Exported};

/// What the caller knows of the model's origin; the card says nothing that is not here or measured by the export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CardFacts {
    /// One sentence on what the model does.
    pub summary: Option<String>,
    /// Names of the teachers.
    pub teachers: Vec<String>,
    /// The Hugging Face ids of the models that weights were taken from, where there are any.
    pub base_models: Vec<String>,
    /// The Hugging Face ids of the data sets that prompts or answers were taken from, where there are any.
    pub datasets: Vec<String>,
    /// Where the prompts came from, with their licences.
    pub prompt_sources: Vec<String>,
    /// Measured scores.
    pub scores: Vec<CardScore>,
    /// Further sections in Markdown, which come last; what is from elsewhere in them is [`markdown_words`].
    pub sections: String,
}

/// One row of the card's table of scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardScore {
    /// The suite.
    pub suite: String,
    /// The metric.
    pub metric: String,
    /// Whose score: `student`, `teacher`, a floor.
    pub name: String,
    /// The score.
    pub score: f64,
    /// Lower end of its 95 % confidence interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Documents scored.
    pub n: usize,
}

/// The text of `README.md`.
pub(super) fn model_card(
    name: &str,
    license: Option<&str>,
    config: &ModelConfig,
    facts: &CardFacts,
    exported: &[Exported],
) -> String {
    let mut card = front_matter(license, facts, exported);
    let mut line = |text: String| {
        card.push_str(&text);
        card.push('\n');
    };
    line(format!("# {}\n", markdown_words(name)));
    if let Some(summary) = &facts.summary {
        line(format!("{}\n", markdown_words(summary)));
    }
    line(format!(
        "A dense Llama-shaped decoder of {} parameters: {} layers, width {}, {} heads, vocabulary {}, context {}. \
         It sees a bare text and answers it; the chat template in every file does the framing.\n",
        config.parameter_count(),
        config.layers,
        config.width,
        config.heads,
        config.vocab_size,
        config.context_length
    ));
    if !facts.teachers.is_empty() {
        let teachers = list(&facts.teachers);
        line(format!(
            "Distilled with Limbeck from the answers of {teachers}.\n"
        ));
    }
    if !facts.prompt_sources.is_empty() {
        line(format!("Prompts: {}.\n", list(&facts.prompt_sources)));
    }
    if !facts.scores.is_empty() {
        line(score_table(&facts.scores));
    }
    line(file_table(exported));
    if !facts.sections.is_empty() {
        line(format!("\n{}", facts.sections.trim_end()));
    }
    card
}

fn score_table(scores: &[CardScore]) -> String {
    let mut table = String::from(
        "## Scores\n\n| suite | metric | who | score | 95 % interval | n |\n|---|---|---|---|---|---|\n",
    );
    for score in scores {
        let (suite, metric, name) = (&score.suite, &score.metric, &score.name);
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            table,
            "| {} | {} | {} | {:.4} | {:.4} to {:.4} | {} |",
            markdown_words(suite),
            markdown_words(metric),
            markdown_words(name),
            score.score,
            score.low,
            score.high,
            score.n
        );
    }
    table
}

fn file_table(exported: &[Exported]) -> String {
    let mut table = String::from(
        "## Files\n\nLogit differences are to the trained weights, the largest over every position of the probes.\n\n\
         | file | format | bytes | largest logit difference | sha256 |\n|---|---|---|---|---|",
    );
    for file in exported {
        let path = file.path.file_name().unwrap_or_default().to_string_lossy();
        let _ = write!(
            table,
            "\n| `{path}` | {} | {} | {:.2e} | `{}` |",
            file.format, file.bytes, file.max_logit_difference, file.sha256
        );
    }
    table
}

fn front_matter(license: Option<&str>, facts: &CardFacts, exported: &[Exported]) -> String {
    let is_safetensors = |file: &Exported| file.format == ExportFormat::Safetensors;
    let mut yaml = String::from("---\n");
    // JSON strings are YAML strings, whatever is in them. Writing to a `String` cannot fail.
    match license {
        // Hubs know what is on their list, and are told of anything else in this way.
        Some(license) if license.starts_with("LicenseRef-") => {
            let name = serde_json::Value::from(license);
            let _ = writeln!(
                yaml,
                "license: other\nlicense_name: {name}\nlicense_link: LICENSE"
            );
        }
        Some(license) => {
            let license = serde_json::Value::from(license.to_lowercase());
            let _ = writeln!(yaml, "license: {license}");
        }
        None => {}
    }
    for (key, ids) in [
        ("base_model", &facts.base_models),
        ("datasets", &facts.datasets),
    ] {
        if !ids.is_empty() {
            let _ = writeln!(yaml, "{key}:");
        }
        for id in ids {
            let _ = writeln!(yaml, "- {}", serde_json::Value::from(id.as_str()));
        }
    }
    if exported.iter().any(is_safetensors) {
        yaml.push_str("library_name: transformers\n");
    }
    yaml.push_str("pipeline_tag: text-generation\ntags:\n- limbeck\n- distillation\n");
    if !exported.iter().all(is_safetensors) {
        yaml.push_str("- gguf\n");
    }
    yaml.push_str("---\n\n");
    yaml
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| markdown_words(item)).collect();
    items.join(", ")
}

/// Text from outside as plain words of one Markdown line: no markup, no HTML, no table cell of its own.
pub fn markdown_words(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if character.is_control() => plain.push(' '),
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '>' | '!' | '~' | '$' => {
                plain.push('\\');
                plain.push(character);
            }
            character => plain.push(character),
        }
    }
    plain
}
