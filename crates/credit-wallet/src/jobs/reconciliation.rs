//! The job that compares what is kept with the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::{AppId, Job, JobError, JobReport, JobRun};
use parking_lot::Mutex;

use crate::ledger::Reconciled;
use crate::service::Counter;

/// How many wallets, or groups of the journal, are compared in one run.
const AT_A_TIME: usize = 200;

/// After so many failures at one place the rest of its book is left for the next round: the other books wait.
const PATIENCE: u32 = 3;

/// Compares what is kept with the journal, a little at a time, book after book, for ever.
pub(super) struct Reconciliation {
    counter: Arc<Counter>,
    /// What this process has found and not found well since, by its book and name.
    drift: Mutex<BTreeSet<(AppId, String)>>,
    /// Where it failed, and how often in a row.
    stuck: Mutex<(Option<String>, u32)>,
}

/// Where a run goes on.
struct Next {
    /// The cursor that is kept.
    cursor: Option<String>,
    /// What is told.
    told: Result<String, JobError>,
}

impl Reconciliation {
    pub(super) fn new(counter: Arc<Counter>) -> Self {
        Self { counter, drift: Mutex::default(), stuck: Mutex::default() }
    }

    /// One part of a book, and where to go on: behind it, whatever was found.
    async fn part(
        &self,
        books: &[AppId],
        here: usize,
        place: Option<&str>,
        run: &dyn JobRun,
    ) -> Result<Next, JobError> {
        let app = books[here];
        let behind = books.get(here + 1).map(|book| format!("{book} "));
        let found = match self.counter.book(app).await {
            Ok(book) => book.reconcile(place, AT_A_TIME, run).await,
            Err(problem) => self.closed_book(app, problem.into()).await,
        };
        match found {
            Ok(found) => {
                let cursor = found.next.as_ref().map(|next| format!("{app} {next}")).or(behind);
                Ok(Next { cursor, told: self.judge(app, &found) })
            }
            Err(JobError::Failed(why)) if self.is_stuck(app, place) => Ok(Next {
                cursor: behind,
                told: Err(JobError::Failed(format!("{app} is left for now: {why}"))),
            }),
            Err(error) => Err(error),
        }
    }

    /// A book that does not open while its store answers: what is kept of it cannot be right.
    async fn closed_book(&self, app: AppId, why: JobError) -> Result<Reconciled, JobError> {
        match self.counter.ledger().book(app).await {
            Err(StoreError::Corrupt(damage)) => {
                tracing::error!(book = %app, why = damage, "a book cannot be opened, nor compared");
                Ok(Reconciled { broken: vec![("the book".to_owned(), damage)], ..Reconciled::default() })
            }
            _ => Err(why),
        }
    }

    /// Whether it has failed here often enough to go on elsewhere.
    fn is_stuck(&self, app: AppId, place: Option<&str>) -> bool {
        let here = Some(format!("{app} {}", place.unwrap_or_default()));
        let mut stuck = self.stuck.lock();
        if stuck.0 == here {
            stuck.1 += 1;
        } else {
            *stuck = (here, 1);
        }
        if stuck.1 < PATIENCE {
            return false;
        }
        *stuck = (None, 0);
        true
    }

    /// Raises the drift by what was found, and lowers it by what was found well that had drifted before.
    fn judge(&self, app: AppId, found: &Reconciled) -> Result<String, JobError> {
        *self.stuck.lock() = (None, 0);
        let names = found.found();
        let mut drift = self.drift.lock();
        for name in found.looked_at.iter().filter(|name| !names.contains(name)) {
            drift.remove(&(app, name.clone()));
        }
        drift.extend(names.iter().map(|name| (app, name.clone())));
        metrics::gauge!("credit_ledger_drift").set(f64::from(u32::try_from(drift.len()).unwrap_or(u32::MAX)));
        let detail = format!("compared {} in {app}", found.looked_at.len());
        if names.is_empty() {
            return Ok(format!("{detail}, nothing had drifted"));
        }
        let drifted: Vec<String> = found.drifted.iter().map(ToString::to_string).collect();
        let rewritten: Vec<String> = found.rewritten.iter().map(ToString::to_string).collect();
        let broken: Vec<String> = found.broken.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        let parts = [
            ("drifted, are frozen and written anew", drifted.join(", ")),
            ("groups whose rows were written anew", rewritten.join(", ")),
            ("cannot be mended", broken.join(", ")),
        ];
        let told: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {names}"))
            .collect();
        Err(JobError::Failed(format!("{detail}; {}", told.join("; "))))
    }
}

#[async_trait]
impl Job for Reconciliation {
    fn name(&self) -> &'static str {
        "reconciliation"
    }

    fn about(&self) -> &'static str {
        "Compares wallets with the journal, a few in each run; what has drifted is frozen and written anew."
    }

    fn every(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let kept = run.cursor();
        let (app, place) = match kept.as_deref().and_then(|kept| kept.split_once(' ')) {
            Some((app, place)) => (AppId::parse(app).ok(), Some(place).filter(|place| !place.is_empty())),
            None => (None, None),
        };
        let books = self.counter.ledger().all_books().await?;
        // A book that is gone is followed by the next one.
        let here = books.iter().position(|book| app.is_none_or(|app| *book >= app));
        let Some(here) = here else {
            run.keep(None).await?;
            return Ok(JobReport::done("nothing is left to compare; it begins anew"));
        };
        let place = place.filter(|_| app == Some(books[here]));
        let next = self.part(&books, here, place, run).await?;
        run.keep(next.cursor).await?;
        next.told.map(JobReport::done)
    }
}
