//! Harvests in batches, from a service that misbehaves: each question ends answered once, or among the failures with
//! its reason, and no question is handed over twice.

mod faults;
mod killed;
mod money;
mod roads;

use std::collections::BTreeMap;
use std::path::Path;

use super::batch_server::{BatchServer, Dialect, Fate, Fault, Route};
use super::*;
use crate::wire::preset;

const EVERY: [Dialect; 3] = [Dialect::OpenAi, Dialect::Azure, Dialect::Anthropic];

/// A service with a store that is opened anew for each run.
struct Bench {
    folder: tempfile::TempDir,
    server: FaultServer,
    service: BatchServer,
    dialect: Dialect,
    options: BatchOptions,
    notices: Arc<BatchNotices>,
}

/// Writes down what it is told.
#[derive(Default)]
struct BatchNotices(Mutex<Vec<BatchNotice>>);

impl BatchWatcher for BatchNotices {
    fn notice(&self, notice: &BatchNotice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

impl Bench {
    async fn new(dialect: Dialect) -> Self {
        let service = BatchServer::new(dialect);
        let handler = service.clone();
        let server = FaultServer::start(move |seen| handler.handle(seen)).await;
        Self {
            folder: tempfile::tempdir().unwrap(),
            server,
            service,
            dialect,
            options: BatchOptions {
                size: 10,
                poll: Duration::from_millis(20),
                patience: Duration::from_secs(20),
                resend_after: Duration::from_millis(20),
                wait: true,
                submit: true,
            },
            notices: Arc::default(),
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("limbeck.db")
    }

    fn teacher_options(&self) -> ApiOptions {
        let mut options = options(&self.server);
        let provider = match self.dialect {
            Dialect::OpenAi => "openai",
            Dialect::Azure => "azure",
            Dialect::Anthropic => "anthropic",
        };
        options.preset = preset(provider).unwrap();
        if let Some(base_url) = &mut options.endpoints[0].base_url
            && self.dialect == Dialect::Azure
        {
            *base_url = base_url.replace("/v1", "/openai/v1");
        }
        options
    }

    async fn run(&self, prompts: u64) -> Result<BatchSummary, HarvestError> {
        self.run_with(self.teacher_options(), plan(prompts)).await
    }

    async fn run_with(
        &self,
        options: ApiOptions,
        plan: HarvestPlan,
    ) -> Result<BatchSummary, HarvestError> {
        self.run_until(options, plan, &CancellationToken::new())
            .await
    }

    async fn run_until(
        &self,
        options: ApiOptions,
        plan: HarvestPlan,
        cancel: &CancellationToken,
    ) -> Result<BatchSummary, HarvestError> {
        let store = Store::open(&self.path()).await.unwrap();
        add_prompts(&store, plan.prompts.len()).await;
        let teacher = ApiTeacher::new(options).unwrap();
        let reporters = BatchReporters {
            harvest: Arc::new(SilentReporter),
            batches: self.notices.clone(),
        };
        let summary = harvest_in_batches(
            &store,
            &teacher,
            &plan,
            self.options,
            reporters,
            cancel.clone(),
        )
        .await;
        store.close().await;
        summary
    }

    /// What is in the store at the end.
    async fn found(&self) -> Found {
        found(&self.path()).await
    }

    fn told(&self, wanted: impl Fn(&BatchNotice) -> bool) -> bool {
        self.notices.0.lock().unwrap().iter().any(wanted)
    }

    /// Every question was handed over so often.
    fn assert_taken(&self, prompts: usize, times: usize) {
        let taken = self.service.taken();
        assert_eq!(taken.len(), prompts, "{taken:?}");
        assert!(taken.values().all(|count| *count == times), "{taken:?}");
    }
}

struct Found {
    /// Answers by what was asked.
    answers: BTreeMap<String, String>,
    /// Kinds of failures by what was asked.
    failures: BTreeMap<String, String>,
    batches: Vec<limbeck_store::Batch>,
    cost: u64,
}

async fn found(path: &Path) -> Found {
    let store = Store::open(path).await.unwrap();
    let all = TraceFilter {
        limit: None,
        ..TraceFilter::default()
    };
    let traces = store.list_traces(&all).await.unwrap();
    let count = traces.len();
    let answers: BTreeMap<_, _> = traces
        .into_iter()
        .map(|trace| (trace.input, trace.text))
        .collect();
    assert_eq!(answers.len(), count, "nothing is answered twice");
    let failures = store.failures(&FailureFilter::default()).await.unwrap();
    let failures = failures.into_iter().map(|failure| {
        let limbeck_store::AttemptStatus::Failed { kind, message } = failure.last.status else {
            panic!("no failure");
        };
        assert!(!message.is_empty());
        (failure.input, kind)
    });
    let batches = store.batches().await.unwrap();
    let cost = match batches.first() {
        Some(batch) => store.cost_of(&batch.teacher).await.unwrap(),
        None => 0,
    };
    let found = Found {
        answers,
        failures: failures.collect(),
        batches,
        cost,
    };
    store.close().await;
    found
}

impl Found {
    /// Questions 1 to `prompts` have their answers, and nothing is open.
    fn assert_all_answered(&self, prompts: usize) {
        assert_eq!(self.answers.len(), prompts, "{:?}", self.failures);
        for (asked, answer) in &self.answers {
            assert_eq!(*answer, asked.replace("question", "answer"));
        }
        assert_eq!(self.failures, BTreeMap::new());
        for batch in &self.batches {
            assert_eq!(batch.state, limbeck_store::BatchState::Ended);
            assert_eq!(batch.open(), 0);
        }
    }
}

/// What [`BatchServer`] does with those whose number `number` divides.
fn every(number: u64, fate: Fate) -> impl Fn(&str) -> Fate + Send + Sync + 'static {
    move |text| {
        let asked: u64 = text.rsplit(' ').next().unwrap().parse().unwrap();
        if asked.is_multiple_of(number) {
            fate
        } else {
            Fate::Answered
        }
    }
}
