//! The store against real files.

mod accounts;
mod auditing;
mod batches;
mod imports;
mod ledger;
mod opening;
mod recording;
mod rights;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::record::*;

struct Folder {
    _folder: TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limbeck.db");
    Folder {
        _folder: folder,
        path,
    }
}

fn prompt(number: u64) -> Prompt {
    let body = PromptBody::Completion {
        text: format!("Message: text {number}\nSentiment:"),
    };
    let mut prompt = Prompt::new(body, format!("text {number}"), "main", "rows.csv", number);
    prompt.tags = vec!["a".to_owned(), "b".to_owned()];
    prompt.license = Some("mit".to_owned());
    prompt
}

fn answer(prompt: &Prompt, sample: u32) -> Answered {
    let key = TraceKey {
        prompt_id: prompt.id.clone(),
        sample,
        teacher: "local|abc|in-process".to_owned(),
        parameters: SamplingParameters {
            choices: vec!["positive".to_owned(), "negative".to_owned()],
            temperature: 0.7,
            top_p: 0.95,
            max_tokens: 64,
            top_logprobs: 2,
            seed: 1,
            stop: Vec::new(),
            json_schema: None,
            reasoning: None,
        },
    };
    let token = |id, log_probability| TokenLogProbabilities {
        id,
        log_probability,
        top: vec![(id, log_probability), (id + 1, -3.25)],
    };
    let attempt = Attempt {
        prompt_id: prompt.id.clone(),
        trace_id: key.id(),
        teacher: Some(key.teacher.clone()),
        started_at: now(),
        waited_ms: 3,
        latency_ms: 40,
        status: AttemptStatus::Answered,
        call: None,
    };
    Answered {
        key,
        trace: Trace {
            text: "positive".to_owned(),
            reasoning: Some("it says so".to_owned()),
            choice_log_probabilities: Some(vec![-0.125, f32::NEG_INFINITY]),
            finish_reason: FinishReason::Choice,
            prompt_tokens: 20,
            completion_tokens: 2,
            tokens: vec![token(7, -0.5), token(40_000, -1.5)],
            vocabulary: Vec::new(),
            retracted: None,
        },
        attempts: vec![attempt],
        receipt: Receipt {
            provider: "local".to_owned(),
            model: "model.gguf".to_owned(),
            model_sha256: Some("abc".to_owned()),
            route: "in-process".to_owned(),
            license: Some("apache-2.0".to_owned()),
            limits: serde_json::json!({"concurrent": 32}),
            limbeck_version: "0.1.0".to_owned(),
            request_sha256: "r".to_owned(),
            response_sha256: "s".to_owned(),
            service: None,
            import: None,
            terms: None,
            clarification: None,
        },
    }
}

/// A store with `count` prompts, each answered once, and the answers.
async fn filled(path: &Path, count: u64) -> (Store, Vec<Answered>) {
    let store = Store::open(path).await.unwrap();
    let prompts: Vec<_> = (1..=count).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let answers: Vec<_> = prompts.iter().map(|prompt| answer(prompt, 0)).collect();
    store.record(&answers).await.unwrap();
    (store, answers)
}

fn ids(answers: &[Answered]) -> Vec<String> {
    answers.iter().map(|answered| answered.key.id()).collect()
}
