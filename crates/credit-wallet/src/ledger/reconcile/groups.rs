//! Whether the groups follow each other, and whether each has its rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Write};
use credit_core::{JobError, JobRun, WalletId};

use super::played::GROUPS;
use super::{Reconciled, Trouble, group_name};
use crate::domain::ChainHash;
use crate::ledger::audit::{is_same_json, read_group};
use crate::ledger::book::Book;
use crate::ledger::codec;
use crate::ledger::state::TailGroup;
use crate::ledger::views;

/// The rows that each group adds, of which none is told by a wallet: a wallet tells of its history.
static BY_GROUP: [&Collection; 3] = [&views::GROUPS, &views::REFERENCES, &views::CLAIMS];

/// A part ends behind so many bytes of groups, however few groups they are.
const MOST_BYTES: usize = 32 << 20;

impl Book {
    /// Looks whether the groups follow each other, whether each has its rows, and whether the wallets that they opened
    /// are shown at all.
    pub(super) async fn reconcile_groups(
        self: &Arc<Self>,
        from: u64,
        limit: usize,
        run: &dyn JobRun,
    ) -> Result<Reconciled, JobError> {
        let journal = &self.parts.journal;
        let before = if from > 1 { journal.read(self.id, from - 1, 1).await? } else { Vec::new() };
        let mut hash = before.first().map(|(_, group)| codec::hash(&group.bytes));
        let (mut found, mut next, mut looked_at, mut bytes) = (Reconciled::default(), from, 0, 0);
        while looked_at < limit && bytes < MOST_BYTES {
            run.check()?;
            let wanted = GROUPS.min(limit - looked_at);
            let groups = journal.read(self.id, next, wanted).await?;
            let is_last = groups.len() < wanted;
            for (sequence, group) in groups {
                (next, looked_at, bytes) = (sequence + 1, looked_at + 1, bytes + group.bytes.len());
                self.reconcile_group(sequence, &group.bytes, hash, run, &mut found).await?;
                hash = Some(codec::hash(&group.bytes));
            }
            if is_last {
                return Ok(found);
            }
            // Others have their turn.
            tokio::task::yield_now().await;
        }
        found.next = Some(format!("groups/{next}"));
        Ok(found)
    }

    async fn reconcile_group(
        self: &Arc<Self>,
        sequence: u64,
        bytes: &Bytes,
        hash: Option<ChainHash>,
        run: &dyn JobRun,
        found: &mut Reconciled,
    ) -> Result<(), JobError> {
        found.looked_at.push(group_name(sequence));
        let group = match read_group(sequence, bytes) {
            Ok((previous, group)) if hash.is_none_or(|hash| hash == previous) => group,
            Ok((_, group)) => {
                let why = format!("it does not follow the one before it in book {}", self.id);
                return self.tell_broken(sequence, why, &group.changed_wallets(), run, found).await;
            }
            Err(error) => return self.tell_broken(sequence, error.to_string(), &[], run, found).await,
        };
        match self.mend_rows(&group, run).await {
            Ok(false) => {}
            Ok(true) => found.rewritten.push(sequence),
            Err(Trouble::Passing(error)) => return Err(error),
            Err(Trouble::Broken(why)) => return self.tell_broken(sequence, why, &[], run, found).await,
        }
        let changes = group.records.iter().flat_map(|record| &record.changes);
        let opened: Vec<WalletId> =
            changes.filter(|change| change.opened.is_some()).map(|change| change.wallet).collect();
        let ids: Vec<String> = opened.iter().map(ToString::to_string).collect();
        let shown = self.parts.documents.get_many(self.id, &views::WALLETS, &ids).await?;
        for (id, shown) in opened.into_iter().zip(shown) {
            // One that is shown was compared among the wallets. One that is not may be younger than the flush.
            if shown.is_none() {
                run.check()?;
                self.reconcile_wallet(id, run, found).await?;
            }
        }
        Ok(())
    }

    /// A group that proves nothing: the wallets that it changes are frozen.
    async fn tell_broken(
        self: &Arc<Self>,
        sequence: u64,
        mut why: String,
        wallets: &[WalletId],
        run: &dyn JobRun,
        found: &mut Reconciled,
    ) -> Result<(), JobError> {
        tracing::error!(book = %self.id, sequence, why, "a group of the journal does not hold");
        for id in wallets {
            run.check()?;
            match self.freeze_as_it_is(*id).await {
                Ok(()) => {}
                Err(Trouble::Passing(error)) => return Err(error),
                Err(Trouble::Broken(also)) => why = format!("{why}; {id} cannot be frozen: {also}"),
            }
        }
        found.broken.push((group_name(sequence), why));
        Ok(())
    }

    /// Writes of its rows what is missing or wrong. Whether there was any.
    async fn mend_rows(&self, group: &TailGroup, run: &dyn JobRun) -> Result<bool, Trouble> {
        if self.wrong_rows(group).await?.is_empty() {
            return Ok(false);
        }
        // Younger than the flush, unless they are still missing after another one.
        self.show_all().await?;
        let wrong = self.wrong_rows(group).await?;
        if wrong.is_empty() {
            return Ok(false);
        }
        tracing::error!(book = %self.id, sequence = group.sequence, rows = wrong.len(), "rows of a group are not what the journal says; they are written anew");
        run.check()?;
        let mut batch = Batch::default();
        for (there, write) in wrong {
            if let (Some(there), Write::Put { collection, .. }) = (there, &write) {
                batch = batch.and(Write::Delete { collection, id: there.id, version: there.version });
            }
            batch = batch.and(write);
        }
        match self.parts.documents.commit(self.id, batch).await {
            Ok(()) => Ok(true),
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(error) => Err(Trouble::Broken(error.to_string())),
        }
    }

    /// What has to be written, and what is there in its place.
    async fn wrong_rows(&self, group: &TailGroup) -> Result<Vec<(Option<Document>, Write)>, Trouble> {
        let mut writes = Vec::new();
        views::group_writes(group, self.parts.settings.claims_per_generation, &mut writes);
        let mut wrong = Vec::new();
        for collection in BY_GROUP {
            let mut seen = BTreeSet::new();
            // A record may name a reference in several of its transactions; that is one row.
            let of_it: Vec<&Write> = writes
                .iter()
                .filter(|write| {
                    matches!(write, Write::Put { collection: of, id, .. } if *of == collection && seen.insert(id))
                })
                .collect();
            let ids: Vec<String> = of_it.iter().filter_map(|write| id_of(write)).collect();
            let rows = self.parts.documents.get_many(self.id, collection, &ids).await?;
            for (row, write) in rows.into_iter().zip(of_it) {
                let Write::Put { body, .. } = write else { continue };
                if !row.as_ref().is_some_and(|row| is_same_json(&row.body, body)) {
                    wrong.push((row, write.clone()));
                }
            }
        }
        Ok(wrong)
    }
}

fn id_of(write: &Write) -> Option<String> {
    match write {
        Write::Put { id, .. } => Some(id.clone()),
        _ => None,
    }
}
