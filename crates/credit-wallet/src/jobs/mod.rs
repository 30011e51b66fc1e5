//! What this module does unasked.

mod reconciliation;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::{Job, JobError, JobReport, JobRun};

use self::reconciliation::Reconciliation;
use crate::service::Counter;

/// Every job of the module.
pub(crate) fn all(counter: &Arc<Counter>) -> Vec<Arc<dyn Job>> {
    vec![Arc::new(ExpirySweep(counter.clone())), Arc::new(Reconciliation::new(counter.clone()))]
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
