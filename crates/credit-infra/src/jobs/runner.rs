//! Which jobs are due, and the run of one.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::{
    Clock, IdSource, Job, JobError, JobOutcome, JobReport, JobStatus, Jobs, LastRun, Timestamp,
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::lease::{Lease, Sightings, Taking};
use super::record::{self, Kept, milliseconds};
use super::storage::{Due, JobStorage, Queue};

/// What the runner needs.
pub struct JobRunnerParts {
    /// Where leases and runs are kept.
    pub documents: Arc<dyn Documents>,
    /// The time, for people; leases are measured by this process's own watch.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub ids: Arc<dyn IdSource>,
    /// Where what is due waits.
    pub storage: JobStorage,
    /// Bounds.
    pub settings: JobRunnerSettings,
}

/// Bounds of the runner.
#[derive(Debug, Clone)]
pub struct JobRunnerSettings {
    /// How often it looks what is due.
    pub look_every: Duration,
    /// How long a lease lasts that is not renewed.
    pub lease: Duration,
    /// How long a run may go on when the runner stops.
    pub grace: Duration,
    /// After how long a run that failed is tried again: twice as long after each further failure, and never longer than
    /// the job's own pause.
    pub retry_after: Duration,
}

impl Default for JobRunnerSettings {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            retry_after: Duration::from_secs(30),
        }
    }
}

/// Runs the jobs of the house, and tells how they are.
pub struct JobRunner {
    parts: JobRunnerParts,
    jobs: OnceLock<Vec<Arc<dyn Job>>>,
    sightings: Mutex<Sightings>,
    /// What runs in this process.
    running: Mutex<HashSet<&'static str>>,
    look_now: Notify,
    stopping: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    alone: AtomicBool,
}

impl JobRunner {
    /// A runner without jobs.
    pub fn new(parts: JobRunnerParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            jobs: OnceLock::new(),
            sightings: Mutex::default(),
            running: Mutex::default(),
            look_now: Notify::new(),
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
            alone: AtomicBool::new(false),
        })
    }

    /// Says which jobs there are; once.
    ///
    /// # Panics
    /// If two jobs have one name, or it was said before.
    pub fn register(&self, mut jobs: Vec<Arc<dyn Job>>) {
        jobs.sort_by_key(|job| job.name());
        for pair in jobs.windows(2) {
            assert_ne!(pair[0].name(), pair[1].name(), "each job has a name of its own");
        }
        assert!(self.jobs.set(jobs).is_ok(), "the jobs are named once");
    }

    /// Begins to run them, on the present runtime. Alone: no other process can be on the same store, so that whatever
    /// lease is found there belongs to one that is gone.
    pub fn start(self: &Arc<Self>, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
        let (stopping, grace) = (self.stopping.subscribe(), self.parts.settings.grace);
        let (queue, workers) = Queue::start(&self.parts.storage, self, &stopping, grace);
        let looking = tokio::spawn(self.clone().look_out(queue));
        self.tasks.lock().extend(std::iter::once(looking).chain(workers));
    }

    /// Starts nothing more and waits until what runs has stopped, at most for the grace.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let patience = self.parts.settings.grace + Duration::from_secs(1);
        for mut task in tasks {
            if tokio::time::timeout(patience, &mut task).await.is_err() {
                tracing::warn!("a job did not stop in time; the next run goes on where it was");
                task.abort();
            }
        }
        // What a worker had begun that ended meanwhile runs by itself.
        let idle = async {
            while !self.running.lock().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(patience, idle).await.is_err() {
            tracing::warn!("a job goes on behind the stop; it has lost its lease when that ends");
        }
    }

    fn all(&self) -> &[Arc<dyn Job>] {
        self.jobs.get().map_or(&[], Vec::as_slice)
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn Job>> {
        self.all().iter().find(|job| job.name() == name)
    }

    /// The name of every job.
    pub fn names(&self) -> Vec<&'static str> {
        self.all().iter().map(|job| job.name()).collect()
    }

    /// Looks what is due, for ever.
    async fn look_out(self: Arc<Self>, mut queue: Queue) {
        let mut stopping = self.stopping.subscribe();
        loop {
            match self.due().await {
                Ok(due) => queue.push(due).await,
                Err(error) => tracing::debug!(%error, "what is due could not be read"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.parts.settings.look_every) => {}
                () = self.look_now.notified() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// What is due and free.
    async fn due(&self) -> Result<Vec<Due>, StoreError> {
        let now = self.parts.clock.now();
        let kept = record::read(&*self.parts.documents, &self.names(), now).await?;
        let running = self.running.lock().clone();
        let due = self.all().iter().zip(kept).filter(|(job, kept)| {
            let name = job.name();
            self.is_free(name, kept) && !running.contains(name) && job.is_ready() && kept.is_due(now)
        });
        let ticket = |name, kept: &Kept| format!("{name}:{}:{}", kept.version, kept.wish.unwrap_or_default());
        let due = due.map(|(job, kept)| Due { name: job.name(), ticket: ticket(job.name(), &kept) });
        Ok(due.collect())
    }

    /// A number that nobody else draws.
    pub(super) fn draw(&self) -> u128 {
        self.parts.ids.mint()
    }

    fn is_free(&self, name: &'static str, kept: &Kept) -> bool {
        let lease = self.parts.settings.lease;
        self.alone.load(Ordering::Relaxed) || self.sightings.lock().is_free(name, kept, lease, Instant::now())
    }

    /// Runs a job if it is still due and free, and writes down what became of it.
    pub(super) async fn run(&self, name: &str) {
        let Some(job) = self.find(name) else { return };
        if *self.stopping.borrow() || !self.running.lock().insert(job.name()) {
            return;
        }
        let _running = Running { runner: self, name: job.name() };
        if let Err(error) = self.run_leased(job).await {
            tracing::warn!(job = name, %error, "what became of a job could not be kept");
        }
    }

    async fn run_leased(&self, job: &Arc<dyn Job>) -> Result<(), StoreError> {
        let (documents, clock) = (&self.parts.documents, &self.parts.clock);
        let Some(kept) = record::read(&**documents, &[job.name()], clock.now()).await?.pop() else {
            return Ok(());
        };
        if !self.is_free(job.name(), &kept) || !kept.is_due(clock.now()) {
            return Ok(());
        }
        let wish = kept.wish;
        let taking = Taking {
            name: job.name(),
            holder: format!("{:032x}", self.draw()),
            length: self.parts.settings.lease,
            documents: documents.clone(),
            clock: clock.clone(),
            stopping: self.stopping.subscribe(),
        };
        let Some(lease) = Lease::take(taking, kept).await? else { return Ok(()) };
        if let Some(version) = wish
            && let Err(error) = record::forget_wish(&**documents, job.name(), version).await
        {
            // Then it runs once more than was wished, which every job can.
            tracing::debug!(job = job.name(), %error, "a wish that is being fulfilled could not be forgotten");
        }
        let began = Instant::now();
        let running = InGauge::new(job.name());
        let outcome = watched(job, &lease).await;
        drop(running);
        let (run, next) = self.judge(job, &lease, outcome);
        let label = match run.outcome {
            JobOutcome::Succeeded => "succeeded",
            JobOutcome::Failed => "failed",
            JobOutcome::Stopped => "stopped",
        };
        metrics::counter!("credit_jobs_runs_total", "job" => job.name(), "outcome" => label).increment(1);
        metrics::histogram!("credit_jobs_run_duration_seconds", "job" => job.name()).record(began.elapsed());
        if run.outcome == JobOutcome::Succeeded {
            // Seconds fit for some decades more.
            let at = u32::try_from(run.finished_at.millis() / 1000).unwrap_or_default();
            metrics::gauge!("credit_jobs_last_success_timestamp_seconds", "job" => job.name())
                .set(f64::from(at));
        }
        if run.outcome == JobOutcome::Failed {
            tracing::warn!(job = job.name(), why = run.detail, "a job failed; it is tried again");
        }
        if !lease.give_back(run, next).await? {
            tracing::warn!(job = job.name(), "a job lost its lease and stopped");
        }
        self.look_now.notify_one();
        Ok(())
    }

    /// What is written down of a run, and when the next one is due.
    fn judge(
        &self,
        job: &Arc<dyn Job>,
        lease: &Lease,
        outcome: Result<JobReport, JobError>,
    ) -> (LastRun, Timestamp) {
        let started_at = lease.since();
        let finished_at = self.parts.clock.now();
        let after = |from: Timestamp, pause: Duration| from.plus_millis(milliseconds(pause));
        let (outcome, detail, next) = match outcome {
            Ok(report) if report.more => (JobOutcome::Succeeded, report.detail, finished_at),
            Ok(report) => (JobOutcome::Succeeded, report.detail, after(started_at, job.every())),
            Err(JobError::Stopped) => (JobOutcome::Stopped, JobError::Stopped.to_string(), finished_at),
            Err(JobError::Failed(why)) => {
                // Twice as long each time: what fails again and again may have gone through everything each time.
                let doubled = 2_u32.saturating_pow(lease.failures());
                let pause = self.parts.settings.retry_after.saturating_mul(doubled).min(job.every());
                (JobOutcome::Failed, why, after(finished_at, pause))
            }
        };
        (LastRun { started_at, finished_at, outcome, detail }, next)
    }

    fn status(job: &Arc<dyn Job>, kept: Kept, now: Timestamp) -> JobStatus {
        let next_run_at =
            if kept.wish.is_some() { now.min(kept.record.next_run_at) } else { kept.record.next_run_at };
        JobStatus {
            name: job.name(),
            about: job.about(),
            every: job.every(),
            running_since: kept.record.running_since,
            last_run: kept.record.last_run,
            next_run_at,
        }
    }
}

/// Runs a job and renews its lease beside it. A panic is a failure of the job.
async fn watched(job: &Arc<dyn Job>, lease: &Lease) -> Result<JobReport, JobError> {
    let run = AssertUnwindSafe(job.run(lease)).catch_unwind();
    tokio::select! {
        outcome = run => outcome.unwrap_or_else(|_| Err(JobError::Failed("it panicked".to_owned()))),
        () = lease.keep_renewing() => Err(JobError::Stopped),
    }
}

/// Shows in the gauge while it lives.
struct InGauge(metrics::Gauge);

impl InGauge {
    fn new(job: &'static str) -> Self {
        let gauge = metrics::gauge!("credit_jobs_running", "job" => job);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InGauge {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Runs in this process no more, whatever became of it.
struct Running<'a> {
    runner: &'a JobRunner,
    name: &'static str,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.runner.running.lock().remove(self.name);
    }
}

#[async_trait]
impl Jobs for JobRunner {
    async fn list(&self) -> Result<Vec<JobStatus>, StoreError> {
        let now = self.parts.clock.now();
        let kept = record::read(&*self.parts.documents, &self.names(), now).await?;
        Ok(self.all().iter().zip(kept).map(|(job, kept)| Self::status(job, kept, now)).collect())
    }

    async fn run_now(&self, name: &str) -> Result<Option<JobStatus>, StoreError> {
        let Some(job) = self.find(name) else { return Ok(None) };
        record::wish(&*self.parts.documents, job.name()).await?;
        let now = self.parts.clock.now();
        let kept = record::read(&*self.parts.documents, &[job.name()], now).await?.pop();
        self.look_now.notify_one();
        Ok(kept.map(|kept| Self::status(job, kept, now)))
    }
}
