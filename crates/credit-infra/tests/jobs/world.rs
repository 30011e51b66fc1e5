//! A store, processes on it, and jobs that keep a diary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::memory::MemoryDocuments;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents, Write};
use credit_core::testkit::{Between, CountingIds, MeddlesWithDocuments, TestClock};
use credit_core::{AppId, Job, JobError, JobOutcome, JobReport, JobRun, JobStatus, Jobs};
use credit_infra::jobs::{JobRunner, JobRunnerParts, JobRunnerSettings, JobStorage};
use parking_lot::Mutex;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// How long a lease lasts here.
pub(crate) const LEASE: Duration = Duration::from_millis(300);

/// A store that can be cut off from one process.
pub(crate) struct Wire {
    store: Arc<dyn Documents>,
    cut: AtomicBool,
    /// Nothing can be deleted.
    keeps: AtomicBool,
}

#[async_trait]
impl MeddlesWithDocuments for Wire {
    fn behind(&self) -> &dyn Documents {
        &*self.store
    }

    async fn before(&self) -> Result<(), StoreError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the wire is cut".to_owned()));
        }
        Ok(())
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        let deletes = batch.writes.iter().any(|write| matches!(write, Write::Delete { .. }));
        if deletes && self.keeps.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("nothing is deleted".to_owned()).into());
        }
        self.store.commit(app, batch).await
    }
}

/// One process of a deployment.
pub(crate) struct Process {
    pub(crate) runner: Arc<JobRunner>,
    pub(crate) clock: Arc<TestClock>,
    wire: Arc<Between<Wire>>,
}

impl Process {
    pub(crate) fn on(store: &Arc<MemoryDocuments>, ids: &Arc<CountingIds>, jobs: &[Arc<Diary>]) -> Self {
        Self::leasing(store.clone(), ids, jobs, LEASE)
    }

    /// With a lease of its own length: a store over a network takes longer.
    pub(crate) fn leasing(
        store: Arc<dyn Documents>,
        ids: &Arc<CountingIds>,
        jobs: &[Arc<Diary>],
        lease: Duration,
    ) -> Self {
        Self::queueing(store, ids, jobs, lease, JobStorage::Memory)
    }

    /// With a place where what is due waits.
    pub(crate) fn queueing(
        store: Arc<dyn Documents>,
        ids: &Arc<CountingIds>,
        jobs: &[Arc<Diary>],
        lease: Duration,
        storage: JobStorage,
    ) -> Self {
        let clock = Arc::new(TestClock::new());
        let wire = Wire { store, cut: AtomicBool::new(false), keeps: AtomicBool::new(false) };
        let wire = Arc::new(Between(wire));
        let mut named: Vec<Arc<dyn Job>> = Vec::new();
        let runner = JobRunner::new(JobRunnerParts {
            documents: wire.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            storage,
            settings: JobRunnerSettings {
                look_every: Duration::from_millis(10),
                lease,
                grace: Duration::from_millis(200),
                ..JobRunnerSettings::default()
            },
        });
        for job in jobs {
            named.push(job.clone());
        }
        runner.register(named);
        Self { runner, clock, wire }
    }

    /// From now on the store does not answer this process.
    pub(crate) fn cut_off(&self) {
        self.wire.cut.store(true, Ordering::SeqCst);
    }

    /// From now on no wish can be forgotten.
    pub(crate) fn keep_wishes(&self) {
        self.wire.keeps.store(true, Ordering::SeqCst);
    }

    /// And now they can again.
    pub(crate) fn forget_wishes(&self) {
        self.wire.keeps.store(false, Ordering::SeqCst);
    }

    pub(crate) async fn status(&self, name: &str) -> JobStatus {
        let all = self.runner.list().await.expect("the store answers");
        all.into_iter().find(|job| job.name == name).expect("there is such a job")
    }

    pub(crate) async fn outcome(&self, name: &str) -> Option<JobOutcome> {
        self.status(name).await.last_run.map(|run| run.outcome)
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Ends at once.
    Quick,
    /// Ten steps of 20 ms; keeps its cursor behind each.
    Steps,
    /// Asks whether it may go on every 10 ms, for ever.
    Endless,
    Fails,
    Panics,
}

/// A job that notes what it does.
pub(crate) struct Diary {
    name: &'static str,
    pub(crate) plan: Mutex<Plan>,
    pub(crate) runs: AtomicUsize,
    at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    /// Steps done, in order.
    pub(crate) steps: Mutex<Vec<u32>>,
}

impl Diary {
    pub(crate) fn new(name: &'static str, plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            name,
            plan: Mutex::new(plan),
            runs: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            steps: Mutex::default(),
        })
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    async fn steps(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let from: u32 = run.cursor().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        for step in from..10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            run.check()?;
            self.steps.lock().push(step);
            run.keep(Some((step + 1).to_string())).await?;
        }
        run.keep(None).await?;
        Ok(JobReport::done("ten steps"))
    }
}

struct Present<'a>(&'a AtomicUsize);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Job for Diary {
    fn name(&self) -> &'static str {
        self.name
    }
    fn about(&self) -> &'static str {
        "Keeps a diary."
    }
    fn every(&self) -> Duration {
        HOUR
    }
    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let here = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        let _present = Present(&self.at_once);
        self.most_at_once.fetch_max(here, Ordering::SeqCst);
        let plan = *self.plan.lock();
        match plan {
            Plan::Quick => Ok(JobReport::done("quick")),
            Plan::Steps => self.steps(run).await,
            Plan::Endless => loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                run.check()?;
            },
            Plan::Fails => Err(JobError::Failed("no luck".to_owned())),
            Plan::Panics => panic!("as planned"),
        }
    }
}

/// Waits until it is so, a few seconds at most.
pub(crate) async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    until_within(Duration::from_secs(5), what, holds).await;
}

/// Waits until it is so, for so long at most.
pub(crate) async fn until_within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
