//! Drops the views of a book and builds them again from its journal. Nothing else may use the book meanwhile.

use std::sync::Arc;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents, Write};
use credit_core::ports::journal::{BookId, Journal};

use super::audit::{Replayed, all};
use super::codec::{self, Decoded};
use super::config::LedgerSettings;
use super::filter::Filter;
use super::state::TailGroup;
use super::views::{self, BookView};

const BATCH_ROWS: usize = 20_000;

/// Rebuilds, telling how many groups of how many are done. Answers how many documents were written.
pub async fn rebuild_views(
    journal: &Arc<dyn Journal>,
    documents: &Arc<dyn Documents>,
    book: BookId,
    settings: &LedgerSettings,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, CommitError> {
    for collection in views::ALL {
        drop_all(documents, book, collection).await?;
    }
    let head = journal.head(book).await?;
    let replayed = Replayed::play(journal, book, head).await?;
    if let Some(difference) = replayed.differences.first() {
        return Err(StoreError::Corrupt(format!("the journal itself does not hold: {difference}")).into());
    }
    let mut written = 0;
    let mut writes = Vec::new();
    let mut next = 1;
    let mut generation = Generation::default();
    while next <= head {
        for (sequence, group) in journal.read(book, next, 64).await? {
            let decoded = Decoded::parse(&group.bytes)?;
            let tail = TailGroup {
                sequence,
                at: decoded.header.at,
                hash: codec::hash(&group.bytes),
                mint: decoded.header.mint,
                claims_before: decoded.header.claims_before,
                records: decoded.records()?,
            };
            views::group_writes(&tail, settings.claims_per_generation, &mut writes);
            for claim in tail.records.iter().flat_map(|record| record.all_claims()) {
                writes.extend(generation.take(claim, settings.claims_per_generation, sequence));
            }
            next = sequence + 1;
        }
        if writes.len() >= BATCH_ROWS {
            written += commit(documents, book, &mut writes).await?;
        }
        progress(next - 1, head);
    }
    let wallets = replayed.wallets.values().map(|wallet| views::wallet_write(wallet, head));
    let lots = replayed.lots.values().map(|(wallet, lot)| views::grant_write(*wallet, lot, head));
    let holds = replayed.holds.values().map(|hold| views::hold_write(hold, head));
    let refunds = replayed.refunds.iter().map(|(id, refunded)| views::refund_write(*id, refunded, head));
    for write in wallets.chain(lots).chain(holds).chain(refunds) {
        writes.push(write);
        if writes.len() >= BATCH_ROWS {
            written += commit(documents, book, &mut writes).await?;
        }
    }
    let view = BookView {
        sequence: head,
        hash: replayed.hash,
        clock: replayed.clock,
        mint: replayed.mint,
        claims_made: replayed.claims_made(),
        totals: replayed.totals,
    };
    writes.push(views::book_write(&view));
    Ok(written + commit(documents, book, &mut writes).await?)
}

/// The generation of claims that is being filled.
#[derive(Default)]
struct Generation {
    number: u64,
    claims: Vec<u128>,
}

impl Generation {
    /// Takes the next claim. Answers the filter of the generation once it is complete.
    fn take(&mut self, claim: u128, size: u64, sequence: u64) -> Option<Write> {
        self.claims.push(claim);
        if u64::try_from(self.claims.len()) != Ok(size) {
            return None;
        }
        let filter = Filter::over(&std::mem::take(&mut self.claims));
        self.number += 1;
        Some(views::filter_write(self.number - 1, &filter, sequence))
    }
}

async fn commit(
    documents: &Arc<dyn Documents>,
    book: BookId,
    writes: &mut Vec<Write>,
) -> Result<u64, CommitError> {
    let count = u64::try_from(writes.len()).unwrap_or(u64::MAX);
    documents.commit(book, Batch { writes: std::mem::take(writes) }).await?;
    Ok(count)
}

async fn drop_all(
    documents: &Arc<dyn Documents>,
    book: BookId,
    collection: &'static credit_core::ports::documents::Collection,
) -> Result<(), CommitError> {
    let gone = all(documents, book, collection).await?;
    for part in gone.chunks(BATCH_ROWS) {
        let writes = part
            .iter()
            .map(|document| Write::Delete { collection, id: document.id.clone(), version: document.version })
            .collect();
        documents.commit(book, Batch { writes }).await?;
    }
    Ok(())
}
