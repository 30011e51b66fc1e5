//! One runner at a time: a lease in the job's document, fenced by its version.
//!
//! Whoever holds the lease writes the document again and again, and each write moves its version. Somebody else takes it
//! over when the version has not moved for as long as a lease lasts **by its own watch**: no clock is compared with
//! another's. A holder whose last write began too long ago, by its own watch, has lost it and stops before it writes; one
//! that only believes that it holds it finds the version moved, and has lost it too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{CommitError, Documents};
use credit_core::{Clock, JobError, JobRun, LastRun, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::record::{self, JobRecord, Kept};

/// What this process has seen of the leases of others.
#[derive(Debug, Default)]
pub(super) struct Sightings(HashMap<&'static str, (u64, Instant)>);

impl Sightings {
    /// Whether a lease may be taken: nobody holds it, or whoever does has not moved for so long.
    pub(super) fn is_free(&mut self, name: &'static str, kept: &Kept, lease: Duration, now: Instant) -> bool {
        if kept.record.holder.is_none() {
            self.0.remove(name);
            return true;
        }
        let seen = self.0.entry(name).or_insert((kept.version, now));
        if seen.0 != kept.version {
            *seen = (kept.version, now);
        }
        now.saturating_duration_since(seen.1) >= lease
    }
}

/// How often a write is made whose place in the document's history has to be found out.
const TRIES: usize = 3;

/// A lease that is held, or was.
pub(super) struct Lease {
    name: &'static str,
    holder: String,
    length: Duration,
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    stopping: watch::Receiver<bool>,
    /// One write at a time.
    writing: tokio::sync::Mutex<u64>,
    standing: Mutex<Standing>,
}

struct Standing {
    record: JobRecord,
    /// When the last write that landed began.
    renewed: Instant,
    lost: bool,
}

/// What a lease is taken with.
pub(super) struct Taking {
    pub(super) name: &'static str,
    pub(super) holder: String,
    pub(super) length: Duration,
    pub(super) documents: Arc<dyn Documents>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Lease {
    /// Takes it over the version that was seen; `None` if somebody else was faster.
    pub(super) async fn take(taking: Taking, kept: Kept) -> Result<Option<Self>, StoreError> {
        let Taking { name, holder, length, documents, clock, stopping } = taking;
        let mut record = kept.record;
        record.take(holder.clone(), clock.now());
        let began = Instant::now();
        match record::write(&*documents, name, kept.version, &record).await {
            Ok(()) => {}
            Err(CommitError::Store(error)) => return Err(error),
            Err(_) => return Ok(None),
        }
        let standing = Mutex::new(Standing { record, renewed: began, lost: false });
        let writing = tokio::sync::Mutex::new(kept.version + 1);
        Ok(Some(Self { name, holder, length, documents, clock, stopping, writing, standing }))
    }

    /// Since when the run goes on.
    pub(super) fn since(&self) -> Timestamp {
        self.standing.lock().record.running_since.unwrap_or_else(|| self.clock.now())
    }

    /// How many runs in a row failed before this one.
    pub(super) fn failures(&self) -> u32 {
        self.standing.lock().record.failures
    }

    /// Keeps the lease for as long as it is polled: never ends.
    pub(super) async fn keep_renewing(&self) {
        loop {
            tokio::time::sleep(self.length / 3).await;
            if let Err(error) = self.write(|_| {}).await {
                tracing::warn!(job = self.name, %error, "the lease of a job was not renewed");
            }
        }
    }

    /// Gives the lease back with what became of the run. False if it was lost.
    pub(super) async fn give_back(&self, run: LastRun, next_run_at: Timestamp) -> Result<bool, StoreError> {
        match self.write(|record| record.end(run.clone(), next_run_at)).await {
            Ok(()) => Ok(true),
            Err(JobError::Stopped) => Ok(false),
            Err(JobError::Failed(why)) => Err(StoreError::Unavailable(why)),
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        let mut standing = self.standing.lock();
        // A third is left to whatever write the job has begun.
        if standing.renewed.elapsed() >= self.length * 2 / 3 {
            standing.lost = true;
        }
        standing.lost
    }

    /// Writes the record changed, over the version that this lease has come to.
    async fn write(&self, change: impl Fn(&mut JobRecord)) -> Result<(), JobError> {
        let mut version = self.writing.lock().await;
        for _ in 0..TRIES {
            if self.is_lost() {
                return Err(JobError::Stopped);
            }
            let mut record = self.standing.lock().record.clone();
            change(&mut record);
            let began = Instant::now();
            match record::write(&*self.documents, self.name, *version, &record).await {
                Ok(()) => {
                    self.landed(&mut version, record, began);
                    return Ok(());
                }
                Err(CommitError::Store(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)))) => {
                    return Err(error.into());
                }
                Err(_) => {}
            }
            // This write may have landed unanswered, or one before that was given up half way.
            let now = self.clock.now();
            let kept = record::read(&*self.documents, &[self.name], now).await?.pop();
            match kept {
                Some(kept) if kept.version == *version + 1 && kept.record == record => {
                    self.landed(&mut version, record, began);
                    return Ok(());
                }
                Some(kept) if kept.record.holder.as_ref() == Some(&self.holder) => *version = kept.version,
                _ => return Err(self.lose()),
            }
        }
        Err(JobError::Failed("its document cannot be written".to_owned()))
    }

    fn landed(&self, version: &mut u64, record: JobRecord, began: Instant) {
        *version += 1;
        let mut standing = self.standing.lock();
        standing.record = record;
        standing.renewed = began;
    }

    fn lose(&self) -> JobError {
        self.standing.lock().lost = true;
        metrics::counter!("credit_jobs_leases_lost_total", "job" => self.name).increment(1);
        JobError::Stopped
    }
}

#[async_trait]
impl JobRun for Lease {
    fn cursor(&self) -> Option<String> {
        self.standing.lock().record.cursor.clone()
    }

    fn check(&self) -> Result<(), JobError> {
        if *self.stopping.borrow() || self.is_lost() { Err(JobError::Stopped) } else { Ok(()) }
    }

    async fn keep(&self, cursor: Option<String>) -> Result<(), JobError> {
        self.check()?;
        self.write(|record| record.cursor.clone_from(&cursor)).await
    }
}
