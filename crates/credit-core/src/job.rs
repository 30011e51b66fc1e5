//! What is done unasked: what a job is, what it is given, and what is known of its runs.

use std::time::Duration;

use async_trait::async_trait;

use crate::ports::StoreError;
use crate::ports::documents::CommitError;
use crate::{Problem, Timestamp};

/// Something that is done now and then, by one process at a time.
///
/// A run may stop anywhere, in a crash too, and may in a rare case overlap with the first moments of the next one. So
/// a job is idempotent, and each of its writes is guarded by what it writes (a version, a slot).
#[async_trait]
pub trait Job: Send + Sync {
    /// Unique in the house, `[a-z_]+`.
    fn name(&self) -> &'static str;

    /// What it does, in a sentence for operators.
    fn about(&self) -> &'static str;

    /// How long from the beginning of a run to that of the next. Runs that were missed are caught up by one.
    fn every(&self) -> Duration;

    /// Whether it can run at all now: those of a module that is not there wait.
    fn is_ready(&self) -> bool {
        true
    }

    /// Does what is to be done, or a bounded part of it: then the next run follows at once.
    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError>;
}

/// A run, as its job sees it.
#[async_trait]
pub trait JobRun: Send + Sync {
    /// Where the last run that kept one had come to.
    fn cursor(&self) -> Option<String>;

    /// Whether this is still the one run of its job. To be asked before every write: a run that is not, stops.
    fn check(&self) -> Result<(), JobError>;

    /// Keeps where it has come to, so that the next run goes on there; `None`: it begins anew. Checks as well.
    async fn keep(&self, cursor: Option<String>) -> Result<(), JobError>;
}

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobReport {
    /// In a few words for operators. No secrets, nothing personal.
    pub detail: String,
    /// There is more to do at once.
    pub more: bool,
}

impl JobReport {
    /// All that was to be done.
    pub fn done(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), more: false }
    }

    /// A part of it.
    pub fn more(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), more: true }
    }
}

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The process stops, or another one runs the job now. What is left is the next run's.
    #[error("it was stopped")]
    Stopped,
    /// Something went wrong; it is tried again.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<CommitError> for JobError {
    fn from(error: CommitError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Problem> for JobError {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem.to_string())
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It did what was to be done, or its part of it.
    Succeeded,
    /// Something went wrong.
    Failed,
    /// It was stopped, or its process went away.
    Stopped,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastRun {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, or was found to have ended.
    pub finished_at: Timestamp,
    /// How.
    pub outcome: JobOutcome,
    /// What it has done, or why it failed.
    pub detail: String,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// How long from one run to the next.
    pub every: Duration,
    /// Since when it runs, in whatever process.
    pub running_since: Option<Timestamp>,
    /// The last run that ended.
    pub last_run: Option<LastRun>,
    /// When it is due; in the past if it waits for a runner.
    pub next_run_at: Timestamp,
}

/// The jobs of the house, for whoever looks after them.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Every job, by name.
    async fn list(&self) -> Result<Vec<JobStatus>, StoreError>;

    /// Makes a job due now; `None` if there is no such job. One that runs, runs again afterwards.
    async fn run_now(&self, name: &str) -> Result<Option<JobStatus>, StoreError>;
}
