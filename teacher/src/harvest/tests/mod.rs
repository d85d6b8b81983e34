//! Harvests from a scripted teacher into a real store.

mod durable;
mod failing;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use limbeck_store::{
    Answered, Attempt, AttemptStatus, FinishReason, Prompt, PromptBody, Trace, TraceFilter,
    id_bytes,
};
use tokio::sync::Notify;

use super::pending::Question;
use super::*;
use crate::{Answer, Ask, AskError, Asked, TeacherIdentity};

/// What the scripted teacher does with a question, by how many were asked before it.
type Script = Box<dyn Fn(&Ask, usize) -> Result<(), AskError> + Send + Sync>;

/// A teacher without a model: its answer is made of the request's seed.
struct Scripted {
    identity: TeacherIdentity,
    script: Script,
    queue_ahead: usize,
    /// Answers with fewer tokens allowed are cut off.
    whole_from: u32,
    asked: Mutex<Vec<(String, u32)>>,
    asked_one: Notify,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

impl Scripted {
    fn new(
        script: impl Fn(&Ask, usize) -> Result<(), AskError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::queueing(0, script)
    }

    fn queueing(
        queue_ahead: usize,
        script: impl Fn(&Ask, usize) -> Result<(), AskError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            identity: TeacherIdentity {
                name: "scripted".to_owned(),
                provider: "test".to_owned(),
                model: "script".to_owned(),
                model_sha256: None,
                route: "nowhere".to_owned(),
                license: Some("cc0-1.0".to_owned()),
            },
            script: Box::new(script),
            queue_ahead,
            whole_from: 0,
            asked: Mutex::default(),
            asked_one: Notify::new(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        })
    }

    fn cutting_off(whole_from: u32) -> Arc<Self> {
        let mut teacher = Self::new(|_, _| Ok(()));
        Arc::get_mut(&mut teacher).unwrap().whole_from = whole_from;
        teacher
    }

    fn asked(&self) -> Vec<(String, u32)> {
        self.asked.lock().unwrap().clone()
    }

    async fn wait_until_asked(&self, count: usize) {
        loop {
            let asked = self.asked_one.notified();
            if self.asked.lock().unwrap().len() >= count {
                return;
            }
            asked.await;
        }
    }
}

#[async_trait]
impl Teacher for Scripted {
    fn identity(&self) -> &TeacherIdentity {
        &self.identity
    }

    fn queue_ahead(&self) -> usize {
        self.queue_ahead
    }

    async fn ask(&self, ask: &Ask, _cancel: &CancellationToken) -> Asked {
        let begun = Instant::now();
        Asked::once(limbeck_store::now(), begun, self.answer(ask).await)
    }
}

impl Scripted {
    async fn answer(&self, ask: &Ask) -> Result<Answer, AskError> {
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((ask.prompt.id.clone(), ask.sample));
            asked.len() - 1
        };
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
        self.asked_one.notify_waiters();
        // Some take longer than others, so that they overtake one another.
        for _ in 0..ask.seed() % 17 {
            tokio::task::yield_now().await;
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        (self.script)(ask, before)?;
        Ok(Answer {
            trace: Trace {
                text: format!("{:x}", ask.seed()),
                reasoning: None,
                choice_log_probabilities: None,
                finish_reason: if ask.parameters.max_tokens < self.whole_from {
                    FinishReason::Length
                } else {
                    FinishReason::Stop
                },
                prompt_tokens: 10,
                completion_tokens: 3,
                tokens: Vec::new(),
                vocabulary: Vec::new(),
                retracted: None,
            },
            latency: Duration::from_millis(5),
            limits: None,
            request_sha256: "q".to_owned(),
            response_sha256: "a".to_owned(),
            service: None,
        })
    }
}

fn failure(fatal: bool) -> AskError {
    AskError::Other {
        kind: "timeout".to_owned(),
        message: "no answer within 60 s".to_owned(),
        fatal,
    }
}

fn prompt(row: u64) -> Prompt {
    let text = format!("item {row}");
    let body = PromptBody::Completion { text: text.clone() };
    Prompt::new(body, text, "main", "test", row)
}

fn ids(prompts: impl Iterator<Item = Prompt>) -> Arc<ContentIds> {
    Arc::new(
        prompts
            .map(|prompt| id_bytes(&prompt.id).unwrap())
            .collect(),
    )
}

/// The first `prompts` of those that [`store`] holds.
fn plan(prompts: u64, samples: u32) -> HarvestPlan {
    let parameters = SamplingParameters {
        choices: Vec::new(),
        temperature: 1.0,
        top_p: 1.0,
        max_tokens: 5,
        top_logprobs: 0,
        seed: 7,
        stop: Vec::new(),
        json_schema: None,
        reasoning: None,
    };
    HarvestPlan {
        prompts: ids((1..=prompts).map(prompt)),
        samples,
        parameters,
        truncated_max_tokens: None,
        retry_failed: Vec::new(),
    }
}

fn question(index: u32) -> Question {
    Question {
        index,
        sample: 0,
        larger: false,
    }
}

fn at_most(concurrent: usize) -> Limits {
    Limits::concurrent(concurrent)
}

async fn store(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(&folder.path().join("limbeck.db"))
        .await
        .unwrap();
    with_prompts(store).await
}

/// Sees to it that a store holds the prompts of every plan.
async fn with_prompts(store: Store) -> Store {
    let prompts: Vec<Prompt> = (1..=5000).map(prompt).collect();
    if store.count_prompts().await.unwrap() < prompts.len() {
        store.add_prompts(&prompts).await.unwrap();
    }
    store
}

async fn run(
    store: &Store,
    teacher: &Arc<Scripted>,
    plan: HarvestPlan,
) -> Result<HarvestSummary, HarvestError> {
    harvest(
        store,
        teacher.clone(),
        plan,
        at_most(8),
        Arc::new(SilentReporter),
        CancellationToken::new(),
    )
    .await
}

/// Every trace's text, by its id.
async fn texts(store: &Store) -> BTreeMap<String, String> {
    let all = TraceFilter {
        limit: None,
        ..TraceFilter::default()
    };
    let traces = store.list_traces(&all).await.unwrap();
    traces
        .into_iter()
        .map(|trace| (trace.id, trace.text))
        .collect()
}

/// Every sample of every prompt.
fn all_questions(plan: &HarvestPlan) -> HashSet<(String, u32)> {
    let samples = |prompt: String| (0..plan.samples).map(move |sample| (prompt.clone(), sample));
    plan.prompts.iter().flat_map(samples).collect()
}

#[tokio::test]
async fn everything_is_asked_once_and_a_second_harvest_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, _| Ok(()));
    let mut plan = plan(50, 3);
    plan.prompts = ids((1..=50).chain([1]).map(prompt));

    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!(
        (
            summary.prompts,
            summary.asked,
            summary.reused,
            summary.failed
        ),
        (50, 150, 0, 0)
    );
    assert_eq!(
        (summary.prompt_tokens, summary.completion_tokens),
        (1500, 450)
    );
    assert!(!summary.interrupted);
    assert_eq!(teacher.asked().len(), 150);
    assert_eq!(HashSet::from_iter(teacher.asked()), all_questions(&plan));

    let again = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((again.asked, again.reused), (0, 150));
    assert_eq!(teacher.asked().len(), 150, "a second harvest asks nothing");

    plan.samples = 4;
    let more = run(&store, &teacher, plan).await.unwrap();
    assert_eq!(
        (more.asked, more.reused),
        (50, 150),
        "only the new samples are asked"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_the_questions_changes_no_answer() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (store(&one).await, store(&other).await);
    let forward = plan(60, 2);
    let mut backward = forward.clone();
    backward.prompts = ids((1..=60).rev().map(prompt));
    run(&one, &Scripted::new(|_, _| Ok(())), forward)
        .await
        .unwrap();
    run(&other, &Scripted::queueing(40, |_, _| Ok(())), backward)
        .await
        .unwrap();
    let answers = texts(&one).await;
    assert_eq!(answers.len(), 120);
    assert_eq!(answers, texts(&other).await);
    assert_eq!(
        answers.values().collect::<HashSet<_>>().len(),
        120,
        "each request has a seed of its own"
    );
}

#[tokio::test]
async fn receipts_and_attempts_stand_beside_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, _| Ok(()));
    run(&store, &teacher, plan(1, 1)).await.unwrap();
    let (id, _) = texts(&store).await.pop_first().unwrap();
    let detail = store.trace(&id).await.unwrap();
    assert_eq!(detail.record.key.teacher, "test|script|nowhere");
    assert_eq!(detail.receipt.provider, "test");
    assert_eq!(detail.receipt.license.as_deref(), Some("cc0-1.0"));
    assert_eq!(
        detail.receipt.limits,
        serde_json::json!({"concurrent": 8, "requests_per_minute": null})
    );
    assert_eq!(detail.receipt.limbeck_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (
            detail.receipt.request_sha256.as_str(),
            detail.receipt.response_sha256.as_str()
        ),
        ("q", "a")
    );
    assert_eq!(detail.attempts.len(), 1);
    assert_eq!(detail.attempts[0].status, AttemptStatus::Answered);
    assert_eq!(detail.attempts[0].latency_ms, 5);
}

#[tokio::test]
async fn cancelling_finishes_what_is_in_flight_and_the_next_harvest_asks_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let plan = plan(100, 1);
    let cancel = CancellationToken::new();
    let first = {
        let cancel = cancel.clone();
        Scripted::new(move |_, before| {
            if before == 20 {
                cancel.cancel();
            }
            Ok(())
        })
    };
    let summary = harvest(
        &store,
        first.clone(),
        plan.clone(),
        at_most(8),
        Arc::new(SilentReporter),
        cancel,
    )
    .await
    .unwrap();
    assert!(summary.interrupted);
    let begun = first.asked().len();
    assert!((21..=21 + 8).contains(&begun), "{begun} were asked");
    assert_eq!(
        summary.asked, begun as u64,
        "all that was begun was finished and kept"
    );
    assert_eq!(texts(&store).await.len(), begun);

    let second = Scripted::new(|_, _| Ok(()));
    let rest = run(&store, &second, plan.clone()).await.unwrap();
    assert_eq!(
        (rest.reused, rest.asked),
        (begun as u64, 100 - begun as u64)
    );
    let both: Vec<_> = first.asked().into_iter().chain(second.asked()).collect();
    assert_eq!(both.len(), 100, "nothing was asked twice");
    assert_eq!(HashSet::from_iter(both), all_questions(&plan));
}

#[tokio::test]
async fn cancelled_from_the_start_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, _| Ok(()));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let summary = harvest(
        &store,
        teacher.clone(),
        plan(5, 1),
        at_most(2),
        Arc::new(SilentReporter),
        cancel,
    )
    .await
    .unwrap();
    assert!(summary.interrupted);
    assert!(teacher.asked().is_empty());
}

#[tokio::test]
async fn no_more_are_in_flight_than_the_limit_and_what_the_teacher_queues() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for (concurrent, queue_ahead) in [(1, 0), (5, 0), (2, 4)] {
        let teacher = Scripted::queueing(queue_ahead, |_, _| Ok(()));
        let mut plan = plan(60, 1);
        plan.parameters.seed = (concurrent + 100 * queue_ahead) as u64;
        let limits = at_most(concurrent);
        harvest(
            &store,
            teacher.clone(),
            plan,
            limits,
            Arc::new(SilentReporter),
            CancellationToken::new(),
        )
        .await
        .unwrap();
        assert_eq!(
            teacher.most_in_flight.load(Ordering::SeqCst),
            concurrent + queue_ahead
        );
    }
}

/// The store has one connection, which the writer and the reading of the next prompts take in turns.
#[tokio::test]
async fn answers_that_come_faster_than_they_are_written_hold_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, _| Ok(()));
    let harvest = harvest(
        &store,
        teacher.clone(),
        plan(5000, 1),
        at_most(5000),
        Arc::new(SilentReporter),
        CancellationToken::new(),
    );
    let summary = tokio::time::timeout(Duration::from_mins(2), harvest).await;
    let summary = summary.expect("it goes on").unwrap();
    assert_eq!((summary.asked, summary.failed), (5000, 0));
}

#[tokio::test]
async fn the_rate_holds_from_the_first_question_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let limits = Limits {
        requests_per_minute: Some(6000),
        ..at_most(8)
    };
    let teacher = Scripted::new(|_, _| Ok(()));
    let begun = Instant::now();
    harvest(
        &store,
        teacher,
        plan(10, 1),
        limits,
        Arc::new(SilentReporter),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    assert!(
        begun.elapsed() >= Duration::from_millis(90),
        "ten starts, 10 ms apart"
    );
}
