//! Answers that were asked for elsewhere, from files in the formats in which people pass them on.
//!
//! - [`rows`]: rows of a file, one at a time
//! - [`conversation`]: the messages format, `ShareGPT` and Alpaca, where a row holds question and answer
//! - [`batch`]: the output of a batch, where it holds the answer alone; [`batch_request`]: its input
//! - [`file`]: a whole file, a batch of records at a time
//!
//! Everything in a file is hostile. A row that cannot be used is said to be so and why, and never ends the import.

pub mod batch;
mod batch_request;
mod conversation;
mod file;
#[cfg(test)]
mod hostile_tests;
pub mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use clap::ValueEnum;
use limbeck_store::identity::content_id;
use limbeck_store::{
    Attempt, AttemptStatus, Call, FinishReason, Ground, ImportReceipt, Imported, ImportedAnswer,
    ImportedFailure, Message, Prompt, PromptBody, Receipt, SamplingParameters, ServiceReceipt,
    Trace, TraceKey, now,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use batch::{Failed, Outcome, Requests};
use conversation::Conversation;
pub use file::ImportFile;

/// The way to a teacher whose answers are brought here by file.
const ROUTE: &str = "import";
/// What stands for a provider or a model that nobody names.
const UNKNOWN: &str = "unknown";
/// Characters of a digest that tell answers apart in memory, where there may be a million of them.
const HALF_A_DIGEST: usize = 32;

/// How a file says what was asked and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Output lines of `OpenAI`'s batch API.
    #[value(help = "Output lines of OpenAI's batch API; needs `--requests`")]
    OpenaiBatch,
    /// `conversations` of `from` and `value`
    Sharegpt,
    /// `messages` of `role` and `content`, as `traces export` writes them
    Messages,
    /// `instruction`, `input` and `output`
    Alpaca,
}

impl Format {
    /// The name as it is given and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiBatch => "openai-batch",
            Self::Sharegpt => "sharegpt",
            Self::Messages => "messages",
            Self::Alpaca => "alpaca",
        }
    }
}

/// What the one who imports says of the data.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Where they come from.
    pub source: String,
    /// The licence that they are under.
    pub license: String,
    /// The model that answered, where the file does not say it or says it wrong.
    pub model: Option<String>,
    /// Who ran it.
    pub provider: Option<String>,
}

/// Turns rows of one file into records.
pub struct Importer {
    format: Format,
    declared: Declared,
    file: String,
    file_sha256: String,
    requests: Option<Requests>,
    /// How often each answer to each question was met, by half a digest of both.
    met: HashMap<String, u32>,
}

impl Importer {
    /// An importer of the file at `path` with the digest `file_sha256`. `requests` is the batch's input.
    pub fn new(
        format: Format,
        declared: Declared,
        path: &Path,
        file_sha256: String,
        requests: Option<Requests>,
    ) -> Self {
        let file = path.file_name().unwrap_or(path.as_os_str());
        Self {
            format,
            declared,
            file: file.to_string_lossy().into_owned(),
            file_sha256,
            requests,
            met: HashMap::new(),
        }
    }

    /// What a row comes to: one record, or with several choices in a line of a batch, one for each.
    pub fn row(&mut self, number: u64, row: &Map<String, Value>) -> Result<Vec<Imported>, String> {
        let conversation = match self.format {
            Format::OpenaiBatch => return self.batch_line(number, row),
            Format::Messages => conversation::messages(row),
            Format::Sharegpt => conversation::sharegpt(row),
            Format::Alpaca => conversation::alpaca(row),
        }?;
        Ok(vec![self.conversation(number, row, conversation)])
    }

    fn conversation(
        &mut self,
        number: u64,
        row: &Map<String, Value>,
        told: Conversation,
    ) -> Imported {
        let body = PromptBody::Chat {
            messages: told.asked,
        };
        let prompt = self.prompt(body, number);
        let asked = Asked {
            model: None,
            sampling: Ground::Unknown,
            request_sha256: content_id(&json!(prompt.body)),
            parameters: SamplingParameters::choose(Vec::new()),
            prompt,
        };
        let (prompt_tokens, completion_tokens) = told.usage.unwrap_or_default();
        let said = Said {
            row: number,
            row_id: told.row_id,
            response_sha256: content_id(&Value::Object(row.clone())),
            finish_reason: stated(told.finish_reason.is_some()),
            usage: stated(told.usage.is_some()),
            service: None,
        };
        let trace = Trace {
            text: told.answer,
            reasoning: told.reasoning,
            choice_log_probabilities: None,
            finish_reason: told.finish_reason.unwrap_or(FinishReason::Stop),
            prompt_tokens,
            completion_tokens,
            tokens: Vec::new(),
            vocabulary: Vec::new(),
            retracted: None,
        };
        self.answer(&asked, said, trace)
    }

    fn batch_line(
        &mut self,
        number: u64,
        row: &Map<String, Value>,
    ) -> Result<Vec<Imported>, String> {
        let custom_id = conversation::row_id(row, "custom_id").ok_or("it has no `custom_id`")?;
        let requests = self
            .requests
            .as_mut()
            .ok_or("what it was asked is not known without the batch's input")?;
        let request = requests.find(&custom_id)?;
        let outcomes = batch::outcomes(row, &request.endpoint)?;
        let asked = Asked {
            prompt: self.prompt(request.body, number),
            model: request.model,
            sampling: Ground::Stated,
            request_sha256: content_id(&request.line),
            parameters: request.parameters,
        };
        let response_sha256 = content_id(&Value::Object(row.clone()));
        let record = |outcome| match outcome {
            Outcome::Answer(answer) => {
                let said = Said {
                    row: number,
                    row_id: Some(custom_id.clone()),
                    response_sha256: response_sha256.clone(),
                    finish_reason: Ground::Stated,
                    usage: stated(answer.trace.completion_tokens > 0),
                    service: Some(answer.service),
                };
                self.answer(&asked, said, answer.trace)
            }
            Outcome::Failure(failed) => {
                Imported::Failure(Box::new(self.failure(&asked, &request.endpoint, *failed)))
            }
        };
        Ok(outcomes.into_iter().map(record).collect())
    }

    fn prompt(&self, body: PromptBody, row: u64) -> Prompt {
        let (input, source) = (input_of(&body), &self.declared.source);
        let mut prompt = Prompt::new(body, input, "main", source, row);
        prompt.license = Some(self.declared.license.clone());
        prompt
    }

    /// Who answered, and what that rests on.
    fn teacher(&self, asked: &Asked) -> Teacher {
        let declared = &self.declared;
        let (model, model_ground) = match (&declared.model, &asked.model) {
            (Some(model), _) => (model.clone(), Ground::Declared),
            (None, Some(model)) => (model.clone(), Ground::Stated),
            (None, None) => (UNKNOWN.to_owned(), Ground::Unknown),
        };
        let (provider, provider_ground) = match &declared.provider {
            Some(provider) => (provider.clone(), Ground::Declared),
            None => (UNKNOWN.to_owned(), Ground::Unknown),
        };
        Teacher {
            key: format!("{provider}|{model}|{ROUTE}"),
            model,
            model_ground,
            provider,
            provider_ground,
        }
    }

    fn answer(&mut self, asked: &Asked, said: Said, trace: Trace) -> Imported {
        let teacher = self.teacher(asked);
        let same = content_id(&json!([
            asked.prompt.id,
            teacher.key,
            asked.parameters,
            trace.text,
            trace.reasoning
        ]));
        let met = self
            .met
            .entry(same[..HALF_A_DIGEST].to_owned())
            .or_default();
        let repeats = *met;
        *met += 1;
        Imported::Answer(Box::new(ImportedAnswer {
            receipt: self.receipt(asked, &teacher, said),
            prompt: asked.prompt.clone(),
            teacher: teacher.key,
            parameters: asked.parameters.clone(),
            trace,
            repeats,
        }))
    }

    fn receipt(&self, asked: &Asked, teacher: &Teacher, said: Said) -> Receipt {
        let mut grounds = BTreeMap::from(
            [
                ("source", Ground::Declared),
                ("license", Ground::Declared),
                ("provider", teacher.provider_ground),
                ("model", teacher.model_ground),
                ("model_sha256", Ground::Unknown),
                ("limits", Ground::Unknown),
                ("sampling", asked.sampling),
                ("request_sha256", Ground::Computed),
                ("response_sha256", Ground::Computed),
                ("finish_reason", said.finish_reason),
                ("usage", said.usage),
            ]
            .map(|(field, ground)| (field.to_owned(), ground)),
        );
        if said.service.is_some() {
            grounds.insert("service".to_owned(), Ground::Stated);
        }
        Receipt {
            provider: teacher.provider.clone(),
            model: teacher.model.clone(),
            model_sha256: None,
            route: ROUTE.to_owned(),
            license: Some(self.declared.license.clone()),
            limits: Value::Null,
            limbeck_version: env!("CARGO_PKG_VERSION").to_owned(),
            request_sha256: asked.request_sha256.clone(),
            response_sha256: said.response_sha256,
            service: said.service.map(Box::new),
            import: Some(Box::new(ImportReceipt {
                source: self.declared.source.clone(),
                format: self.format.name().to_owned(),
                file: self.file.clone(),
                file_sha256: self.file_sha256.clone(),
                row: said.row,
                row_id: said.row_id,
                grounds,
            })),
            terms: None,
            clarification: None,
        }
    }

    fn failure(&self, asked: &Asked, endpoint: &str, failed: Failed) -> ImportedFailure {
        let key = TraceKey {
            prompt_id: asked.prompt.id.clone(),
            sample: 0,
            teacher: self.teacher(asked).key,
            parameters: asked.parameters.clone(),
        };
        let attempt = Attempt {
            trace_id: key.id(),
            prompt_id: key.prompt_id,
            teacher: Some(key.teacher),
            // When it was tried is not in the file; this is when it became known here.
            started_at: now(),
            waited_ms: 0,
            latency_ms: 0,
            status: AttemptStatus::Failed {
                kind: failed.kind,
                message: failed.message,
            },
            call: Some(Box::new(Call {
                endpoint: endpoint.to_owned(),
                http_status: failed.status,
                request_id: failed.request_id,
                ..Call::default()
            })),
        };
        ImportedFailure {
            prompt: asked.prompt.clone(),
            attempt,
        }
    }
}

/// What was asked, and how.
struct Asked {
    prompt: Prompt,
    parameters: SamplingParameters,
    /// What `parameters` rest on.
    sampling: Ground,
    model: Option<String>,
    request_sha256: String,
}

/// What a row says of its answer.
struct Said {
    row: u64,
    row_id: Option<String>,
    response_sha256: String,
    finish_reason: Ground,
    usage: Ground,
    service: Option<ServiceReceipt>,
}

struct Teacher {
    key: String,
    model: String,
    model_ground: Ground,
    provider: String,
    provider_ground: Ground,
}

fn stated(is_stated: bool) -> Ground {
    if is_stated {
        Ground::Stated
    } else {
        Ground::Unknown
    }
}

/// What a student would see: the text of a single question; of several turns, all but those of the system.
pub fn input_of(body: &PromptBody) -> String {
    let messages = match body {
        PromptBody::Completion { text } => return text.clone(),
        PromptBody::Chat { messages } => messages,
    };
    let turns = messages.iter().filter(|turn| turn.role != "system");
    let turns: Vec<&Message> = turns.collect();
    if let [only] = turns[..] {
        return only.content.clone();
    }
    let turns = turns
        .iter()
        .map(|turn| format!("{}: {}", turn.role, turn.content));
    turns.collect::<Vec<_>>().join("\n\n")
}
