//! What is kept of a job: one document, whose version is the fence.

use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Documents, Write};
use credit_core::{AppId, JobOutcome, LastRun, Timestamp};
use serde::{Deserialize, Serialize};

/// Of each job its record, and beside it the wish that it runs now, if there is one. They belong to no application.
pub(super) static JOBS: Collection = Collection { name: "jobs", indexes: &[] };

/// Every collection of the runner: what a store makes its indexes from, and what moves when a store is copied.
pub static COLLECTIONS: [&Collection; 1] = [&JOBS];

const WHOSE: AppId = AppId::SYSTEM;

/// What the document of a job says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    /// Who runs it: an id that every run draws anew.
    pub(super) holder: Option<String>,
    /// Since when.
    pub(super) running_since: Option<Timestamp>,
    /// Where the last run that kept one had come to.
    pub(super) cursor: Option<String>,
    /// The last run that ended.
    pub(super) last_run: Option<LastRun>,
    /// When it is due.
    pub(super) next_run_at: Timestamp,
    /// How many runs have failed since one went well.
    #[serde(default)]
    pub(super) failures: u32,
}

impl JobRecord {
    /// Of a job that never ran: due at once.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            holder: None,
            running_since: None,
            cursor: None,
            last_run: None,
            next_run_at: now,
            failures: 0,
        }
    }

    /// Taken for a run. Of a run before that never ended it is told that it was stopped.
    pub(super) fn take(&mut self, holder: String, now: Timestamp) {
        if let Some(started_at) = self.running_since.take() {
            let detail = "its process went away".to_owned();
            self.last_run =
                Some(LastRun { started_at, finished_at: now, outcome: JobOutcome::Stopped, detail });
        }
        self.holder = Some(holder);
        self.running_since = Some(now);
    }

    /// Its run has ended.
    pub(super) fn end(&mut self, run: LastRun, next_run_at: Timestamp) {
        self.holder = None;
        self.running_since = None;
        self.failures = match run.outcome {
            JobOutcome::Succeeded => 0,
            JobOutcome::Failed => self.failures.saturating_add(1),
            JobOutcome::Stopped => self.failures,
        };
        self.last_run = Some(run);
        self.next_run_at = next_run_at;
    }
}

/// A record as it is kept, with what was wished.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// 0 if there is none yet.
    pub(super) version: u64,
    pub(super) record: JobRecord,
    /// The version of the wish that it runs now.
    pub(super) wish: Option<u64>,
}

impl Kept {
    /// Whether it is to run as soon as its lease is free. One that is free and still names a holder was left half way by
    /// a process that went away, and whatever made that run due still does.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.wish.is_some() || self.record.holder.is_some() || now >= self.record.next_run_at
    }
}

/// What is kept of these jobs, in their order.
pub(super) async fn read(
    documents: &dyn Documents,
    names: &[&'static str],
    now: Timestamp,
) -> Result<Vec<Kept>, StoreError> {
    let ids: Vec<String> = names.iter().flat_map(|name| [(*name).to_owned(), wish_id(name)]).collect();
    let found = documents.get_many(WHOSE, &JOBS, &ids).await?;
    let pairs = found.as_chunks::<2>().0;
    pairs.iter().map(|[record, wish]| kept(record.as_ref(), wish.as_ref(), now)).collect()
}

fn kept(document: Option<&Document>, wish: Option<&Document>, now: Timestamp) -> Result<Kept, StoreError> {
    let wish = wish.map(|wish| wish.version);
    match document {
        None => Ok(Kept { version: 0, record: JobRecord::new(now), wish }),
        Some(document) => {
            let record = serde_json::from_slice(&document.body)
                .map_err(|error| StoreError::Corrupt(format!("the job {}: {error}", document.id)))?;
            Ok(Kept { version: document.version, record, wish })
        }
    }
}

/// Keeps a record over the version `expected`; 0 if there was none.
pub(super) async fn write(
    documents: &dyn Documents,
    name: &str,
    expected: u64,
    record: &JobRecord,
) -> Result<(), CommitError> {
    let body = serde_json::to_vec(record).expect("a record has a JSON form").into();
    let (id, keys) = (name.to_owned(), Vec::new());
    let write = match expected {
        0 => Write::Insert { collection: &JOBS, id, body, keys },
        version => Write::Replace { collection: &JOBS, id, version, body, keys },
    };
    documents.commit(WHOSE, Batch::of(write)).await
}

/// Wishes that a job runs now; wishing twice is wishing once.
pub(super) async fn wish(documents: &dyn Documents, name: &str) -> Result<(), StoreError> {
    let insert = Write::Insert { collection: &JOBS, id: wish_id(name), body: "{}".into(), keys: Vec::new() };
    match documents.commit(WHOSE, Batch::of(insert)).await {
        Err(CommitError::Store(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The wish is being fulfilled: one that comes from now on is another.
pub(super) async fn forget_wish(
    documents: &dyn Documents,
    name: &str,
    version: u64,
) -> Result<(), StoreError> {
    let delete = Write::Delete { collection: &JOBS, id: wish_id(name), version };
    match documents.commit(WHOSE, Batch::of(delete)).await {
        Err(CommitError::Store(error)) => Err(error),
        _ => Ok(()),
    }
}

fn wish_id(name: &str) -> String {
    format!("{name}/now")
}

/// A duration for instants.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
