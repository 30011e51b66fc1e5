//! What this module does unasked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::{AppId, Job, JobError, JobReport, JobRun};

use crate::service::Counter;

/// Every job of the module.
pub(crate) fn all(counter: &Arc<Counter>) -> Vec<Arc<dyn Job>> {
    vec![Arc::new(ExpirySweep(counter.clone())), Arc::new(Reconciliation(counter.clone()))]
}

/// Posts what has fallen due.
struct ExpirySweep(Arc<Counter>);

#[async_trait]
impl Job for ExpirySweep {
    fn name(&self) -> &'static str {
        "expiry_sweep"
    }

    fn about(&self) -> &'static str {
        "Posts the expiry of lots and holds that are due."
    }

    fn every(&self) -> Duration {
        self.0.ledger().settings().sweep_every
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let mut swept = 0;
        let mut failed = None;
        for app in self.0.ledger().all_books().await? {
            run.check()?;
            // One book that cannot be swept does not keep the others waiting.
            match self.0.book(app).await {
                Ok(book) => match book.sweep().await {
                    Ok(wallets) => swept += wallets,
                    Err(problem) => failed = failed.or(Some(problem)),
                },
                Err(problem) => failed = failed.or(Some(problem)),
            }
        }
        failed.map_or_else(
            || Ok(JobReport::done(format!("swept {swept} wallets"))),
            |problem| Err(problem.into()),
        )
    }
}

/// How many wallets, or groups of the journal, are compared in one run.
const RECONCILED: usize = 200;

/// Compares what is kept with the journal, a little at a time, book after book, for ever.
struct Reconciliation(Arc<Counter>);

#[async_trait]
impl Job for Reconciliation {
    fn name(&self) -> &'static str {
        "reconciliation"
    }

    fn about(&self) -> &'static str {
        "Compares wallets with the journal, a few in each run; what has drifted is written anew and frozen."
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
        let books = self.0.ledger().all_books().await?;
        // A book that is gone is followed by the next one.
        let here = books.iter().position(|book| app.is_none_or(|app| *book >= app));
        let Some(here) = here else {
            run.keep(None).await?;
            return Ok(JobReport::done("nothing is left to compare; it begins anew"));
        };
        let book = self.0.book(books[here]).await?;
        let place = place.filter(|_| app == Some(books[here]));
        let found = book.reconcile(place, RECONCILED, run).await?;
        let next = match &found.next {
            Some(next) => Some(format!("{} {next}", books[here])),
            None => books.get(here + 1).map(|book| format!("{book} ")),
        };
        run.keep(next).await?;
        let drifted = found.drifted.len();
        let detail = format!("compared {} in {}, {drifted} had drifted", found.looked_at, books[here]);
        if drifted > 0 {
            let names: Vec<String> = found.drifted.iter().map(ToString::to_string).collect();
            return Err(JobError::Failed(format!("{detail} and are frozen: {}", names.join(", "))));
        }
        Ok(JobReport::done(detail))
    }
}
