//! `limbeck teachers`: whether the teachers of a recipe answer; their batches are in `batches`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use limbeck_store::{Message, Prompt, PromptBody, SamplingParameters};
use limbeck_teacher::{Ask, Asked};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::batches::BatchesArgs;
use super::stage::cache_dir;
use crate::args::GlobalArgs;
use crate::exit_status::ExitStatus;
use crate::pipeline::teacher::{Loaded, load_local, load_service};
use crate::printer::{Printer, sanitize_line};
use crate::progress::Progress;
use crate::progress::adapters::FetchBar;
use crate::recipe::{Recipe, TeacherSection};
use crate::sources::{Cache, Source};
use crate::text;

/// Arguments of `teachers`.
#[derive(Debug, Args)]
pub struct TeachersArgs {
    /// What to do with the teachers
    #[command(subcommand)]
    pub command: TeachersCommand,
}

/// The commands of `teachers`.
#[derive(Debug, Subcommand)]
pub enum TeachersCommand {
    /// Send one tiny request to each teacher and say what came back
    #[command(after_help = "Example:\n  limbeck teachers check recipe.toml")]
    Check {
        /// The recipe
        recipe: PathBuf,
        /// JSON lines instead of text
        #[arg(long)]
        json: bool,
    },
    /// List the batches that were handed over, stop them, or decide on one whose fate is unknown
    #[command(
        after_help = "Examples:\n  limbeck teachers batches --workdir runs/my-task\n  limbeck teachers batches recipe.toml --cancel all\n  limbeck teachers batches --workdir runs/my-task --send-again 3"
    )]
    Batches(BatchesArgs),
}

/// What every teacher is asked: as little as can be.
const QUESTION: &str = "Answer with the word yes.";
const MOST_TOKENS: u32 = 16;

/// Asks each teacher one tiny question; a check fails where one does not answer.
pub async fn run(
    command: &TeachersCommand,
    global: &GlobalArgs,
    printer: &Printer,
    progress: &Progress,
) -> anyhow::Result<ExitStatus> {
    let (recipe, json) = match command {
        TeachersCommand::Check { recipe, json } => (recipe, json),
        TeachersCommand::Batches(args) => return super::batches::run(args, printer).await,
    };
    let recipe = Recipe::load(recipe)?;
    let mut status = ExitStatus::Success;
    if recipe.teachers().is_empty() {
        anyhow::bail!(
            "the recipe `{}` has no `[[teacher]]`",
            recipe.path().display()
        );
    }
    for section in recipe.teachers() {
        let loaded = load(section, recipe.folder(), global, printer, progress).await;
        let said = match loaded {
            Ok(teacher) => Said::of(&teacher).await,
            Err(error) => Said::failed(section, &error),
        };
        if !said.answered {
            status = ExitStatus::CheckFailed;
        }
        if *json {
            printer.line(said.json)?;
        } else {
            printer.line(said.text)?;
        }
    }
    Ok(status)
}

async fn load(
    section: &TeacherSection,
    folder: &Path,
    global: &GlobalArgs,
    printer: &Printer,
    progress: &Progress,
) -> anyhow::Result<Loaded> {
    if !section.is_local() {
        return load_service(section, printer);
    }
    let cache = Cache::new(cache_dir(global)?, global.offline);
    let source = Source::parse(&section.model)?;
    let reporter = FetchBar::new(progress);
    let file = cache
        .fetch(&source, section.sha256.as_deref(), folder, &reporter)
        .await?;
    load_local(section.clone(), file).await
}

/// What one teacher said.
struct Said {
    answered: bool,
    text: String,
    json: serde_json::Value,
}

impl Said {
    async fn of(teacher: &Loaded) -> Self {
        let begun = Instant::now();
        let never = CancellationToken::new();
        let mut asked = teacher.asked().ask(&question(true), &never).await;
        // A local model may have no form for chats.
        if let Err(limbeck_teacher::AskError::NoChatTemplate { .. }) = asked.result {
            asked = teacher.asked().ask(&question(false), &never).await;
        }
        let name = &teacher.facts.name;
        let took = begun.elapsed();
        let Asked { tries, result } = asked;
        let call = tries.last().and_then(|last| last.call.as_deref());
        let cost = call.and_then(|call| call.cost_nano_usd);
        match result {
            Ok(answer) => {
                let trace = &answer.trace;
                let model = answer
                    .service
                    .as_ref()
                    .and_then(|s| s.answered_model.clone());
                let model = model.unwrap_or_else(|| teacher.facts.model.clone());
                let mut text = format!(
                    "{name}: `{}` answered {:?} in {}, {} tokens read and {} written",
                    sanitize_line(&model),
                    sanitize_line(&trace.text),
                    text::duration(took),
                    trace.prompt_tokens,
                    trace.completion_tokens
                );
                if let Some(cost) = cost {
                    // Writing to a string cannot fail.
                    let _ = write!(text, ", {:.6} USD", limbeck_teacher::usd(cost));
                }
                let json = json!({
                    "teacher": name, "answered": true, "model": model, "text": trace.text,
                    "seconds": took.as_secs_f64(), "prompt_tokens": trace.prompt_tokens,
                    "completion_tokens": trace.completion_tokens, "attempts": tries.len(), "call": call,
                });
                Self {
                    answered: true,
                    text,
                    json,
                }
            }
            Err(error) => {
                let hint = error.hint().map(str::to_owned);
                let kind = error.kind().to_owned();
                let why = format!("{:#}", anyhow::Error::new(error));
                let mut text = format!("{name}: {}", sanitize_line(&why));
                if let Some(hint) = &hint {
                    let _ = write!(text, "\n  hint: {hint}");
                }
                let json = json!({
                    "teacher": name, "answered": false, "kind": kind, "error": why, "hint": hint,
                    "attempts": tries.len(), "call": call,
                });
                Self {
                    answered: false,
                    text,
                    json,
                }
            }
        }
    }

    fn failed(section: &TeacherSection, error: &anyhow::Error) -> Self {
        let why = format!("{error:#}");
        Self {
            answered: false,
            text: format!("{}: {}", section.name, sanitize_line(&why)),
            json: json!({"teacher": section.name, "answered": false, "error": why}),
        }
    }
}

fn question(chat: bool) -> Ask {
    let body = if chat {
        PromptBody::Chat {
            messages: vec![Message::new("user", QUESTION)],
        }
    } else {
        PromptBody::Completion {
            text: QUESTION.to_owned(),
        }
    };
    Ask {
        prompt: Prompt::new(body, QUESTION, "main", "check", 1),
        sample: 0,
        parameters: SamplingParameters {
            max_tokens: MOST_TOKENS,
            ..SamplingParameters::choose(Vec::new())
        },
    }
}
