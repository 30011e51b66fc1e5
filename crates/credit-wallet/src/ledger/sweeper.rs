//! Posts what has fallen due, so that it appears among the entries within a minute.

use std::sync::{Arc, Weak};

use credit_core::ports::documents::{Key, Query};
use credit_core::{Actor, Problem, WalletId};

use super::book::{Book, Ledger};
use super::job::Ask;
use super::views;
use crate::domain::commands::Sweep;
use crate::domain::has_due;

/// How many wallets are swept at a time.
const ROUND: usize = 500;

/// Sweeps every open book now and then, until the ledger is gone.
pub(crate) async fn run(ledger: Weak<Ledger>) {
    loop {
        let Some(pause) = ledger.upgrade().map(|ledger| ledger.settings().sweep_every) else { return };
        tokio::time::sleep(pause).await;
        let Some(ledger) = ledger.upgrade() else { return };
        for book in ledger.open_books() {
            if let Err(problem) = book.sweep().await {
                tracing::warn!(book = %book.id(), %problem, "a sweep failed; trying again later");
            }
        }
    }
}

impl Book {
    /// Posts everything that is due. Answers how many wallets it swept.
    pub async fn sweep(self: &Arc<Self>) -> Result<usize, Problem> {
        let mut swept = 0;
        loop {
            self.flush().await?;
            let due = self.due_wallets().await?;
            if due.is_empty() {
                return Ok(swept);
            }
            swept += due.len();
            let asks = due.into_iter().map(|id| Ask::new(Arc::new(Sweep(id)), Actor::System, "sweep"));
            let outcomes = futures_util::future::join_all(asks.map(|ask| self.submit(ask))).await;
            outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
    }

    async fn due_wallets(&self) -> Result<Vec<WalletId>, Problem> {
        let now = self.parts.clock.now();
        let mut query = Query::new(&views::WALLETS, Some("by_due"), Key::empty(), ROUND);
        query.until = Some(Key::number(now.sortable() + 1));
        let rows = self.parts.documents.query(self.id, query).await?;
        let shown = rows.into_iter().filter_map(|row| WalletId::parse(&row.document.id).ok());
        let state = self.state.read();
        // A row may be older than the wallet in memory.
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
