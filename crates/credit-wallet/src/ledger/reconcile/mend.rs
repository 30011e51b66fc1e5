//! Freezing a wallet that has drifted, and writing it anew.
//!
//! What is shown of it is written as frozen from the first moment, in one step with all that belongs to it, and the
//! journal says so afterwards: between the two nothing moves on it, and if there is nobody left to go on, the next round
//! finds that the two do not agree and goes on.

use std::collections::HashMap;
use std::sync::Arc;

use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Key, Query, Write};
use credit_core::{Actor, Code, JobRun, WalletId};

use super::played::{Played, Searched};
use super::{PAUSE, ROUND, TRIES, Trouble};
use crate::domain::commands::{ChangeStatus, FreezeDrifted};
use crate::domain::{Command, Wallet, WalletStatus};
use crate::ledger::book::Book;
use crate::ledger::job::Ask;
use crate::ledger::views::{self, HistoryView};

/// How many rows of a history are written in one step.
const BATCH: usize = 500;

impl Book {
    /// Freezes the wallet and writes its rows anew.
    pub(super) async fn mend(self: &Arc<Self>, id: WalletId, run: &dyn JobRun) -> Result<(), Trouble> {
        tracing::error!(book = %self.id, wallet = %id, "what is kept of a wallet is not what the journal says; it is frozen and written anew");
        for _ in 0..TRIES {
            self.show_all().await?;
            let until = *self.shown.borrow();
            let searched = match self.search(id, until, run).await {
                Err(Trouble::Broken(why)) => return Err(self.give_up(id, run, why).await),
                searched => searched?,
            };
            let Some(Searched { played, history }) = searched else {
                // To freeze it would be its first record: the journal would then tell of a wallet that was never opened.
                return Err(Trouble::Broken("it is not in the journal of its book".to_owned()));
            };
            if let Some(fault) = played.faults.first() {
                return Err(self.give_up(id, run, fault.clone()).await);
            }
            run.check()?;
            match self.write_anew(&played, until).await {
                Ok(()) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
                // The wallet has moved on meanwhile.
                Err(_) => continue,
            }
            self.mend_history(id, history, until, run).await?;
            if self.forget(&played, until).await? {
                run.check()?;
                let is_frozen = played.wallet.status == WalletStatus::Frozen;
                return if is_frozen { Ok(()) } else { self.freeze(id, FreezeDrifted(id)).await };
            }
        }
        Err(Trouble::Broken("it moves too often to be written anew".to_owned()))
    }

    /// There is nothing to write it from; but nothing moves on it any more.
    async fn give_up(self: &Arc<Self>, id: WalletId, run: &dyn JobRun, why: String) -> Trouble {
        let frozen = match run.check() {
            Ok(()) => self.freeze_as_it_is(id).await,
            Err(stopped) => Err(stopped.into()),
        };
        match frozen {
            Ok(()) => Trouble::Broken(why),
            Err(Trouble::Broken(also)) => Trouble::Broken(format!("{why}; it cannot be frozen: {also}")),
            Err(passing) => passing,
        }
    }

    /// Freezes a wallet, unless it is frozen or closed.
    pub(super) async fn freeze_as_it_is(self: &Arc<Self>, id: WalletId) -> Result<(), Trouble> {
        self.freeze(id, ChangeStatus { wallet: id, status: WalletStatus::Frozen }).await
    }

    async fn freeze(self: &Arc<Self>, id: WalletId, how: impl Command + 'static) -> Result<(), Trouble> {
        match self.submit(Ask::new(Arc::new(how), Actor::System, "reconciliation")).await {
            Err(problem) if problem.code() != Code::WalletClosed => Err(problem.into()),
            _ => {
                tracing::warn!(book = %self.id, wallet = %id, "reconciliation has frozen a wallet");
                Ok(())
            }
        }
    }

    /// Every row of the wallet goes, and comes again as the journal says it, the wallet itself as frozen. Refused if it
    /// has moved on meanwhile.
    async fn write_anew(&self, played: &Played, until: u64) -> Result<(), CommitError> {
        let wallet = &played.wallet;
        let mut shown = wallet.clone();
        if shown.status != WalletStatus::Closed {
            shown.status = WalletStatus::Frozen;
        }
        let mut wanted: Vec<Write> = vec![views::wallet_write(&shown, until)];
        wanted.extend(played.lots.values().map(|lot| views::grant_write(wallet.id, lot, until)));
        wanted.extend(played.holds.values().map(|hold| views::hold_write(hold, until)));
        wanted.extend(played.refunds.iter().map(|(id, refunded)| views::refund_write(*id, refunded, until)));
        let mut ids: HashMap<&'static str, (&'static Collection, Vec<String>)> = HashMap::new();
        for write in &wanted {
            if let Write::Put { collection, id, .. } = write {
                ids.entry(collection.name).or_insert((collection, Vec::new())).1.push(id.clone());
            }
        }
        let mut there: HashMap<(&'static str, String), (&'static Collection, Document)> = HashMap::new();
        for (collection, ids) in ids.values() {
            let rows = self.parts.documents.get_many(self.id, collection, ids).await?;
            there.extend(
                rows.into_iter().flatten().map(|row| ((collection.name, row.id.clone()), (*collection, row))),
            );
        }
        // Also those that the journal does not know.
        for collection in [&views::GRANTS, &views::HOLDS] {
            let rows = self.rows_of(wallet.id, collection).await?;
            there.extend(rows.into_iter().map(|row| ((collection.name, row.id.clone()), (collection, row))));
        }
        let mut batch = Batch::default();
        for (collection, document) in there.into_values() {
            if document.version > until {
                return Err(CommitError::Version { collection: collection.name, id: document.id });
            }
            batch = batch.and(Write::Delete { collection, id: document.id, version: document.version });
        }
        batch.writes.extend(wanted);
        self.parts.documents.commit(self.id, batch).await
    }

    /// Writes of its history what is missing or wrong, and takes away what the journal does not know.
    async fn mend_history(
        &self,
        id: WalletId,
        mut wanted: std::collections::BTreeMap<String, (u64, HistoryView)>,
        until: u64,
        run: &dyn JobRun,
    ) -> Result<(), Trouble> {
        let prefix = Key::empty().and_text_prefix(&format!("{id}/"));
        let mut query = Query::new(&views::HISTORY, None, prefix, ROUND);
        let mut writes = Vec::new();
        loop {
            let rows = self.parts.documents.query(self.id, query.clone()).await?;
            query.after = rows.last().map(|row| row.position.clone());
            for row in rows.iter().map(|row| &row.document).filter(|row| row.version <= until) {
                let is_right = wanted.get(&row.id).is_some_and(|(sequence, view)| {
                    row.version == *sequence
                        && views::read::<HistoryView>(row).is_ok_and(|shown| shown == *view)
                });
                if is_right {
                    wanted.remove(&row.id);
                } else {
                    let (id, version) = (row.id.clone(), row.version);
                    writes.push(Write::Delete { collection: &views::HISTORY, id, version });
                }
            }
            if rows.len() < ROUND {
                break;
            }
        }
        let missing =
            wanted.into_iter().map(|(id, (sequence, view))| views::history_write(id, view, sequence));
        // What is wrong goes before what is right comes.
        writes.extend(missing);
        for part in writes.chunks(BATCH) {
            run.check()?;
            match self.parts.documents.commit(self.id, Batch { writes: part.to_vec() }).await {
                Ok(()) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
                Err(error) => return Err(Trouble::Broken(error.to_string())),
            }
        }
        Ok(())
    }

    /// Sees to it that nothing is decided on the wallet as it was. False if it has moved on meanwhile.
    async fn forget(&self, played: &Played, until: u64) -> Result<bool, Trouble> {
        for _ in 0..TRIES {
            let (kept, head) = {
                let state = self.state.read();
                (state.wallet(played.wallet.id).cloned(), state.head)
            };
            let Some(kept) = kept else { return Ok(true) };
            let mut shown = Wallet::clone(&kept);
            shown.forget_shown(u64::MAX);
            if shown == played.wallet {
                return Ok(true);
            }
            if (until + 1..=head).contains(&kept.changed_in) {
                return Ok(false);
            }
            self.state.write().forget_wallet(played.wallet.id);
            // What was decided on it a moment ago would bring it back.
            tokio::time::sleep(PAUSE).await;
        }
        Ok(false)
    }
}
