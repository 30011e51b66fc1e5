//! `ledger verify` and `ledger rebuild`

use anyhow::{Context, Result, anyhow};
use credit_api::ports::LedgerAudit;
use credit_core::ports::StoreError;
use credit_core::ports::documents::CommitError;
use credit_wallet::ledger::{LedgerSettings, rebuild_views};
use serde_json::json;

use super::side::Side;
use super::{block_on, in_house_as_it_is};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::wiring::Ports;
use crate::{print, progress};

/// Prints the report of the auditor as JSON. It fails if anything differs.
pub(crate) fn verify(settings: &Settings) -> Result<(), Failure> {
    let spinner = progress::spinner("replaying the ledger");
    let report = in_house_as_it_is(settings, async |service| {
        service.auditor.verify().await.context("the ledger cannot be replayed")
    })?;
    spinner.finish_and_clear();
    let differences: Vec<_> = report
        .differences
        .iter()
        .map(|found| json!({"subject": found.subject, "expected": found.expected, "found": found.found}))
        .collect();
    print::text(&format!(
        "{:#}\n",
        json!({"ok": report.ok, "checked": report.checked, "differences": differences})
    ));
    if report.ok {
        return Ok(());
    }
    let count = report.differences.len();
    Err(Failure::new(Exit::Ledger, anyhow!("the ledger differs from what is kept in {count} places")))
}

/// Drops the views of every book and makes them again.
pub(crate) fn rebuild(settings: &Settings) -> Result<(), Failure> {
    let (books, documents) = block_on(async {
        let side = Side::configured(settings).await?;
        let outcome = rebuild_all(&side).await;
        side.close().await?;
        outcome.map_err(|error| match error {
            CommitError::Store(StoreError::Corrupt(_)) => Failure::new(Exit::Ledger, error),
            other => Failure::new(Exit::Failed, other),
        })
    })??;
    print::text(&format!("{documents} documents of {books} books were made again\n"));
    Ok(())
}

async fn rebuild_all(side: &Side) -> Result<(usize, u64), CommitError> {
    let (Ports { documents, journal }, settings) = (&side.ports, LedgerSettings::default());
    let books = journal.books().await?;
    let mut written = 0;
    let bar = progress::bar("rebuilding");
    for book in &books {
        written += rebuild_views(journal, documents, *book, &settings, |done, groups| {
            bar.set_length(groups);
            bar.set_position(done);
        })
        .await?;
    }
    bar.finish_and_clear();
    Ok((books.len(), written))
}
