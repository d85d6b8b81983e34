//! Harvests from a server that misbehaves: each prompt ends answered once, or among the failures with its reason.

#[path = "../../../../tests/support/batch_server/mod.rs"]
mod batch_server;
mod batches;
#[path = "../../../../tests/support/fault_server.rs"]
mod fault_server;
mod faults;
mod keys;
mod limits;
mod several;
mod stops;

use std::collections::BTreeMap;
use std::sync::Mutex;

use limbeck_store::{
    ContentIds, FailureFilter, FinishReason, Prompt, PromptBody, SamplingParameters, Store,
    TraceFilter, id_bytes,
};

use self::fault_server::{
    FaultServer, Seen, Step, answer, answer_body, begun, end, error, event, response,
};
use super::*;
use crate::pace::{Limits, Price};
use crate::retry::RetryPolicy;
use crate::wire::preset;
use crate::{HarvestError, HarvestPlan, HarvestSummary, SilentReporter, harvest};

/// What the tests look for wherever it must not be.
const KEY: &str = "sk-never-to-be-seen-0123456789";

/// Writes down what it is told.
#[derive(Default)]
struct Notices(Mutex<Vec<ApiNotice>>);

impl ApiWatcher for Notices {
    fn notice(&self, notice: &ApiNotice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

fn options(server: &FaultServer) -> ApiOptions {
    ApiOptions {
        name: "service".to_owned(),
        preset: preset("openai").unwrap(),
        model: "m".to_owned(),
        route: Some("test".to_owned()),
        plan: None,
        region: None,
        retention: None,
        contracting_entity: None,
        license: None,
        endpoints: vec![at(server)],
        limits: Limits::concurrent(8),
        retry: RetryPolicy {
            attempts: 4,
            first_wait_s: 0.005,
            longest_wait_s: 0.02,
        },
        price: Some(Price {
            input: 1.0,
            output: 2.0,
            cached_input: None,
        }),
        batch_price: Some(Price {
            input: 0.5,
            output: 1.0,
            cached_input: None,
        }),
        stream: false,
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_millis(300),
            idle: Duration::from_millis(300),
            total: Duration::from_secs(2),
        },
        watcher: Arc::new(SilentWatcher),
    }
}

fn at(server: &FaultServer) -> ApiEndpoint {
    ApiEndpoint {
        base_url: Some(server.base_url()),
        key: Some(ApiKey::new("TEST_KEY", KEY).unwrap()),
        limits: None,
    }
}

fn prompt(number: u64) -> Prompt {
    let text = format!("question {number}");
    let body = PromptBody::Chat {
        messages: vec![limbeck_store::Message::new("user", &text)],
    };
    Prompt::new(body, text, "main", "test", number)
}

fn ids(prompts: impl Iterator<Item = Prompt>) -> Arc<ContentIds> {
    Arc::new(
        prompts
            .map(|prompt| id_bytes(&prompt.id).unwrap())
            .collect(),
    )
}

fn plan(prompts: u64) -> HarvestPlan {
    HarvestPlan {
        prompts: ids((1..=prompts).map(prompt)),
        samples: 1,
        parameters: SamplingParameters {
            temperature: 1.0,
            max_tokens: 20,
            ..SamplingParameters::choose(Vec::new())
        },
        truncated_max_tokens: None,
        retry_failed: Vec::new(),
    }
}

/// Puts the prompts of a plan where a harvest finds them.
async fn add_prompts(store: &Store, count: usize) {
    let prompts: Vec<Prompt> = (1..=count as u64).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
}

struct Harvested {
    _folder: tempfile::TempDir,
    store: Store,
    result: Result<HarvestSummary, HarvestError>,
}

async fn harvested(teacher: Arc<ApiTeacher>, plan: HarvestPlan) -> Harvested {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("limbeck.db"))
        .await
        .unwrap();
    add_prompts(&store, plan.prompts.len()).await;
    let limits = teacher.options.limits.clone();
    let result = harvest(
        &store,
        teacher,
        plan,
        limits,
        Arc::new(SilentReporter),
        CancellationToken::new(),
    )
    .await;
    Harvested {
        _folder: folder,
        store,
        result,
    }
}

async fn run(options: ApiOptions, prompts: u64) -> Harvested {
    harvested(Arc::new(ApiTeacher::new(options).unwrap()), plan(prompts)).await
}

impl Harvested {
    /// Every answer by what was asked.
    async fn answers(&self) -> BTreeMap<String, (String, FinishReason)> {
        let all = TraceFilter {
            limit: None,
            ..TraceFilter::default()
        };
        let traces = self.store.list_traces(&all).await.unwrap();
        let count = traces.len();
        let answers: BTreeMap<_, _> = traces
            .into_iter()
            .map(|trace| (trace.input, (trace.text, trace.finish_reason)))
            .collect();
        assert_eq!(answers.len(), count, "nothing is answered twice");
        answers
    }

    /// The kind of every failure by what was asked.
    async fn failures(&self) -> BTreeMap<String, String> {
        let failures = self
            .store
            .failures(&FailureFilter::default())
            .await
            .unwrap();
        failures
            .into_iter()
            .map(|failure| match failure.last.status {
                limbeck_store::AttemptStatus::Failed { kind, message } => {
                    assert!(!message.is_empty());
                    (failure.input, kind)
                }
                limbeck_store::AttemptStatus::Answered => panic!("{failure:?}"),
            })
            .collect()
    }
}
