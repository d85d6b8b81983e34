//! A teacher that runs in this process, on a thread of its own.
//!
//! - [`encoding`]: prompts and choices to tokens, tokens to answers
//! - [`shared_prefix`]: what many prompts begin with
//! - [`worker`]: the thread that owns the batch

mod encoding;
mod shared_prefix;
#[cfg(test)]
mod tests;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use limbeck_model::{Decoder, ModelFiles, Precision};
use limbeck_store::identity::{content_id, sha256_hex};
use limbeck_store::now;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::encoding::Encoding;
use self::worker::{Job, Worker};
use crate::error::{LimitError, TeacherError};
use crate::{Answer, Ask, AskError, Asked, Teacher, TeacherIdentity};

/// Stack of the decoding thread. A forward pass keeps its buffers on the heap; this is room for deep call chains in
/// debug builds.
const STACK_BYTES: usize = 32 << 20;

/// How a local teacher is to be run, and what its receipts say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOptions {
    /// Questions that are decoded together.
    pub concurrent: usize,
    /// The recipe's name for the teacher.
    pub name: String,
    /// The model as the recipe names it.
    pub model: String,
    /// The hex SHA-256 of the model's file.
    pub sha256: Option<String>,
    /// The licence, where the recipe knows better than the model's file.
    pub license: Option<String>,
    /// In what numbers it computes.
    pub precision: Precision,
}

/// A model in this process. Dropping it ends its thread after the pass in progress.
pub struct LocalTeacher {
    identity: TeacherIdentity,
    encoding: Encoding,
    jobs: mpsc::Sender<Job>,
    queue_ahead: usize,
}

impl LocalTeacher {
    /// Loads a model from a GGUF file or a folder. Takes seconds and blocks: async code calls [`LocalTeacher::open`].
    pub fn load(path: &Path, options: LocalOptions) -> Result<Self, TeacherError> {
        let files = ModelFiles::open(path).map_err(|source| TeacherError::Load {
            name: options.name.clone(),
            source: Box::new(source),
        })?;
        Self::new(files, options)
    }

    /// [`LocalTeacher::load`] on a thread for blocking work.
    pub async fn open(path: &Path, options: LocalOptions) -> Result<Self, TeacherError> {
        let path = path.to_owned();
        match tokio::task::spawn_blocking(move || Self::load(&path, options)).await {
            Ok(loaded) => loaded,
            // The task is never aborted, so what is left is a panic, which goes on where it was waited for.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Makes a teacher of a model whose files are open. Reads all weights; blocks.
    pub fn new(files: ModelFiles, options: LocalOptions) -> Result<Self, TeacherError> {
        let LocalOptions {
            concurrent,
            name,
            model,
            sha256,
            license,
            precision,
        } = options;
        if concurrent == 0 {
            return Err(LimitError {
                field: "concurrent",
            }
            .into());
        }
        let decoder =
            Decoder::load(&files.config, files.weights.as_ref(), precision).map_err(|source| {
                TeacherError::Load {
                    name: name.clone(),
                    source: Box::new(source),
                }
            })?;
        // A full second batch is ready when the first is done, and enough wait together that what they share shows.
        let queue_ahead = concurrent.max(2 * shared_prefix::MIN_QUESTIONS);
        let (jobs, receiver) = mpsc::channel(queue_ahead);
        let thread_failed = |source| TeacherError::Thread {
            name: name.clone(),
            source,
        };
        let tokenizer = Some(files.tokenizer.clone());
        let worker = Worker::new(
            Arc::new(decoder),
            tokenizer,
            concurrent,
            queue_ahead,
            receiver,
        )
        .map_err(thread_failed)?;
        std::thread::Builder::new()
            .name("limbeck-teacher".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || worker.run())
            .map_err(thread_failed)?;
        Ok(Self {
            encoding: Encoding {
                teacher: name.clone(),
                tokenizer: files.tokenizer,
                chat_template: files.chat_template,
                context: files.config.context_length,
            },
            identity: TeacherIdentity {
                name,
                provider: "local".to_owned(),
                model,
                model_sha256: sha256,
                route: "in-process".to_owned(),
                license: license.or(files.license),
            },
            jobs,
            queue_ahead,
        })
    }

    fn stopped(&self) -> AskError {
        AskError::Stopped {
            teacher: self.identity.name.clone(),
        }
    }

    async fn answer(&self, ask: &Ask, cancel: &CancellationToken) -> Result<Answer, AskError> {
        let encoded = self.encoding.encode(ask)?;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            tokens: encoded.tokens,
            task: encoded.task,
            cancel: cancel.clone(),
            reply,
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(AskError::Cancelled),
            sent = self.jobs.send(job) => sent.map_err(|_| self.stopped())?,
        }
        // The worker looks at `cancel` itself, because it alone knows whether the question was begun.
        let done = answer.await.map_err(|_| self.stopped())??;
        let trace = self.encoding.trace(ask, done.prompt_tokens, done.result)?;
        Ok(Answer {
            latency: done.latency,
            limits: None,
            request_sha256: request_digest(ask),
            response_sha256: sha256_hex(trace.text.as_bytes()),
            trace,
            service: None,
        })
    }
}

#[async_trait]
impl Teacher for LocalTeacher {
    fn identity(&self) -> &TeacherIdentity {
        &self.identity
    }

    async fn ask(&self, ask: &Ask, cancel: &CancellationToken) -> Asked {
        let (started_at, begun) = (now(), Instant::now());
        Asked::once(started_at, begun, self.answer(ask, cancel).await)
    }

    fn queue_ahead(&self) -> usize {
        self.queue_ahead
    }
}

/// The digest of what was asked: the prompt's body and the parameters, with the seed of this one request.
fn request_digest(ask: &Ask) -> String {
    content_id(&json!({
        "body": ask.prompt.body,
        "parameters": ask.parameters,
        "request_seed": ask.seed(),
    }))
}
