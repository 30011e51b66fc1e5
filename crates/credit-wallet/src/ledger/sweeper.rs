//! Posts what has fallen due, so that it appears among the entries within a minute.
//!
//! The job `expiry_sweep` does it, for all processes together. Whether or not anybody runs jobs, each process posts by
//! itself what the job has left for too long: the minute is promised, and the jobs are not.

use std::sync::{Arc, Weak};
use std::time::Duration;

use credit_core::ports::documents::{Key, Query};
use credit_core::{Actor, Problem, WalletId};

use super::book::{Book, Ledger};
use super::job::Ask;
use super::views;
use crate::domain::commands::Sweep;
use crate::domain::has_due;

/// How many wallets are swept at a time.
const ROUND: usize = 500;
/// What is due is posted within this, with some room to the minute.
const PROMISED: Duration = Duration::from_secs(55);
/// For so long what is due is the job's to post, if the pauses leave as much.
const LEFT_TO_THE_JOB: Duration = Duration::from_secs(30);

/// Posts in every open book what has been due for long, now and then, until the ledger is gone.
pub(crate) async fn run(ledger: Weak<Ledger>) {
    loop {
        let Some(pause) = ledger.upgrade().map(|ledger| ledger.settings().sweep_every) else { return };
        tokio::time::sleep(pause).await;
        let Some(ledger) = ledger.upgrade() else { return };
        let left = PROMISED.saturating_sub(pause).min(LEFT_TO_THE_JOB);
        for book in ledger.open_books() {
            if let Err(problem) = book.sweep_overdue(left).await {
                tracing::warn!(book = %book.id(), %problem, "a sweep failed; trying again later");
            }
        }
    }
}

impl Book {
    /// Posts everything that is due. Answers how many wallets it swept.
    pub async fn sweep(self: &Arc<Self>) -> Result<usize, Problem> {
        self.sweep_overdue(Duration::ZERO).await
    }

    /// The same for what has been due for so long. Looks first: where nothing is, nobody has to wait for the views.
    async fn sweep_overdue(self: &Arc<Self>, since: Duration) -> Result<usize, Problem> {
        if self.due_wallets(since).await?.is_empty() {
            return Ok(0);
        }
        let mut swept = 0;
        loop {
            self.flush().await?;
            let due = self.due_wallets(since).await?;
            if due.is_empty() {
                return Ok(swept);
            }
            swept += due.len();
            let asks = due.into_iter().map(|id| Ask::new(Arc::new(Sweep(id)), Actor::System, "sweep"));
            let outcomes = futures_util::future::join_all(asks.map(|ask| self.submit(ask))).await;
            outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
    }

    async fn due_wallets(&self, since: Duration) -> Result<Vec<WalletId>, Problem> {
        let milliseconds = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let now = self.parts.clock.now().plus_millis(-milliseconds);
        let mut query = Query::new(&views::WALLETS, Some("by_due"), Key::empty(), ROUND);
        query.until = Some(Key::number(now.sortable() + 1));
        let rows = self.parts.documents.query(self.id, query).await?;
        // A row may be older than the wallet in memory, or newer, where others append.
        if !rows.is_empty() {
            self.refresh().await?;
        }
        let shown = rows.into_iter().filter_map(|row| WalletId::parse(&row.document.id).ok());
        let state = self.state.read();
        let mut due: Vec<WalletId> =
            shown.filter(|id| state.wallet(*id).is_none_or(|wallet| has_due(wallet, now))).collect();
        due.extend(
            state.unshown_wallets().filter(|wallet| has_due(wallet, now)).map(|wallet| wallet.id).take(ROUND),
        );
        due.sort_unstable();
        due.dedup();
        Ok(due)
    }
}
