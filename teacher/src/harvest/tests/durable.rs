//! What is reported is kept, whatever happens to the process.

use super::*;

/// Looks every record up in the database file, through a connection of its own, when it is told of it.
struct Auditor {
    reader: Store,
    answered: Mutex<Vec<String>>,
    failed: Mutex<Vec<String>>,
    totals: Mutex<Vec<(u64, u64)>>,
    finished: AtomicUsize,
}

impl Auditor {
    async fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            reader: Store::open_read_only(path).await.unwrap(),
            answered: Mutex::default(),
            failed: Mutex::default(),
            totals: Mutex::default(),
            finished: AtomicUsize::new(0),
        })
    }

    fn attempts(&self, trace_id: &str) -> Vec<Attempt> {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(self.reader.attempts(trace_id))
                .unwrap()
        })
    }
}

impl HarvestReporter for Auditor {
    fn started(&self, total: u64, reused: u64) {
        self.totals.lock().unwrap().push((total, reused));
    }

    fn answered(&self, answered: &Answered) {
        let id = answered.key.id();
        assert!(
            self.attempts(&id)
                .iter()
                .any(|attempt| attempt.status == AttemptStatus::Answered)
        );
        self.answered.lock().unwrap().push(id);
    }

    fn failed(&self, attempt: &Attempt) {
        assert!(self.attempts(&attempt.trace_id).contains(attempt));
        self.failed.lock().unwrap().push(attempt.trace_id.clone());
    }

    fn finished(&self, _summary: &HarvestSummary) {
        self.finished.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_is_in_the_database_already() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let auditor = Auditor::new(store.path()).await;
    let teacher = Scripted::new(|_, before| {
        if before % 10 == 3 {
            Err(failure(false))
        } else {
            Ok(())
        }
    });
    harvest(
        &store,
        teacher,
        plan(100, 1),
        at_most(8),
        auditor.clone(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    assert_eq!(*auditor.totals.lock().unwrap(), [(100, 0)]);
    assert_eq!(
        auditor
            .answered
            .lock()
            .unwrap()
            .iter()
            .collect::<HashSet<_>>()
            .len(),
        90
    );
    assert_eq!(auditor.failed.lock().unwrap().len(), 10);
    assert_eq!(auditor.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_the_store_refuses_ends_the_harvest_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let closing = Mutex::new(Some(store.clone()));
    let teacher = Scripted::new(move |_, before| {
        if before == 5
            && let Some(store) = closing.lock().unwrap().take()
        {
            tokio::spawn(store.close());
        }
        Ok(())
    });
    let error = run(&store, &teacher, plan(5000, 1)).await.unwrap_err();
    assert!(matches!(error, HarvestError::Store(_)), "{error}");
    assert!(
        teacher.asked().len() < 5000,
        "nothing more is asked when nothing can be kept"
    );
}

/// Kills a harvest at some moment, with its runtime and all tasks in it; returns the ids that were reported.
fn killed_harvest(path: &Path, plan: &HarvestPlan, after: usize) -> HashSet<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let reported = runtime.block_on(async {
        let store = reopened(path).await;
        let auditor = Auditor::new(path).await;
        let teacher = Scripted::new(|_, _| Ok(()));
        tokio::select! {
            _ = harvest(&store, teacher.clone(), plan.clone(), at_most(8), auditor.clone(), CancellationToken::new()) => {}
            () = teacher.wait_until_asked(after) => {}
        }
        auditor
    });
    runtime.shutdown_background();
    let answered = reported.answered.lock().unwrap();
    answered.iter().cloned().collect()
}

#[test]
fn a_harvest_killed_again_and_again_ends_up_as_an_undisturbed_one() {
    let (killed, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = killed.path().join("limbeck.db");
    let plan = plan(150, 2);
    let mut reported = HashSet::new();
    for after in [1, 40, 90, 33] {
        let now = killed_harvest(&path, &plan, after);
        assert!(
            reported.is_disjoint(&now),
            "what was reported once is never asked again"
        );
        reported.extend(now);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = reopened(&path).await;
        let before = texts(&store).await;
        assert!(reported.iter().all(|id| before.contains_key(id)));
        let teacher = Scripted::new(|_, _| Ok(()));
        let summary = run(&store, &teacher, plan.clone()).await.unwrap();
        assert_eq!(summary.reused, before.len() as u64);
        let other = self::store(&undisturbed).await;
        run(&other, &teacher, plan.clone()).await.unwrap();
        assert_eq!(texts(&store).await, texts(&other).await);
    });
}

/// Opens a store whose last holder was killed and may still be letting go of its lock.
async fn reopened(path: &std::path::Path) -> Store {
    for _ in 0..5_000 {
        match Store::open(path).await {
            Ok(store) => return with_prompts(store).await,
            Err(limbeck_store::StoreError::Locked { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the lock of `{}` is never let go", path.display());
}
