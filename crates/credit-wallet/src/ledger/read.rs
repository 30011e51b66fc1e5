//! Reads by id: from memory where the tail is, else from the views, always at the head.

use std::sync::Arc;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Direction, Key, Query};
use credit_core::{AssetCode, GrantId, HoldId, Timestamp, TransactionId, UserId, WalletId};

use super::book::Book;
use super::codec::Decoded;
use super::state::TotalsByAsset;
use super::views::{self, GrantView, GroupView};
use crate::domain::commands::wallet_claim;
use crate::domain::{Figures, Hold, Lot, Needs, Place, Record, Transaction, Wallet, settled_view};

/// A posted transaction, in its record.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The record.
    pub record: Arc<Record>,
    /// The transaction's index among those of the record.
    pub index: usize,
}

impl Posted {
    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.record.posted[self.index]
    }
}

/// The figures of a wallet at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceAt {
    /// The instant.
    pub at: Timestamp,
    /// Sum of the lots minus what is overdrawn.
    pub balance: i64,
    /// What holds keep.
    pub held: i64,
    /// What could be spent.
    pub available: i64,
}

impl Book {
    /// Catches up with the head, where others append too. A read after that sees every answered call.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        if !self.parts.journal.is_shared() {
            return Ok(());
        }
        self.usual.note_a_read();
        self.refreshes.after_now(|| async { self.catch_up().await.map(|_| ()) }).await
    }

    /// A wallet as it is now, with everything due shown as done.
    pub async fn wallet(&self, id: WalletId) -> Result<Option<Arc<Wallet>>, StoreError> {
        let wallet = self.kept_wallet(id).await?;
        Ok(wallet.map(|wallet| settled_view(&wallet, self.now())))
    }

    /// The wallet of a user in an asset.
    pub async fn wallet_of(&self, user: UserId, asset: AssetCode) -> Result<Option<Arc<Wallet>>, StoreError> {
        let Some(record) = self.claimed(wallet_claim(user, asset)).await? else { return Ok(None) };
        match record.changes.first() {
            Some(change) => self.wallet(change.wallet).await,
            None => Ok(None),
        }
    }

    /// The record that claimed something first.
    pub async fn claimed(&self, claim: u128) -> Result<Option<Arc<Record>>, StoreError> {
        self.refresh().await?;
        if let Some((_, record)) = self.state.read().claimed(claim) {
            return Ok(Some(record));
        }
        let ids = self.state.read().claim_ids(claim);
        let found = self.parts.documents.get_many(self.id, &views::CLAIMS, &ids).await?;
        let Some(document) = found.into_iter().flatten().next() else { return Ok(None) };
        let (sequence, index) = views::read(&document)?;
        self.record(Place { sequence, index }).await.map(Some)
    }

    /// The record at a place.
    pub async fn record_at(&self, place: Place) -> Result<Arc<Record>, StoreError> {
        self.record(place).await
    }

    /// The time of the book: never before its last group.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now().max(self.state.read().clock)
    }

    /// A wallet as far as this process knows it, for who only asks whose it is: that never changes. One that is not known
    /// is looked for at the head.
    pub async fn known_wallet(&self, id: WalletId) -> Result<Option<Arc<Wallet>>, StoreError> {
        if let Some(known) = self.state.read().acquaintance(id) {
            return Ok(Some(known.clone()));
        }
        match self.loaded_wallet(id).await? {
            None if self.parts.journal.is_shared() => self.kept_wallet(id).await,
            known => Ok(known),
        }
    }

    pub(crate) async fn kept_wallet(&self, id: WalletId) -> Result<Option<Arc<Wallet>>, StoreError> {
        self.refresh().await?;
        self.loaded_wallet(id).await
    }

    async fn loaded_wallet(&self, id: WalletId) -> Result<Option<Arc<Wallet>>, StoreError> {
        let mut absent = Vec::new();
        let mut is_loaded = false;
        loop {
            let kept = self.state.read().wallet(id).cloned();
            if let Some(wallet) = kept {
                if is_loaded {
                    self.make_room();
                }
                return Ok(Some(wallet));
            }
            if !absent.is_empty() {
                return Ok(None);
            }
            // What is loaded may have left memory again before the next look.
            self.load(&Needs { wallets: vec![id], ..Needs::default() }, &mut absent).await?;
            is_loaded = true;
        }
    }

    /// A hold as it is now.
    pub async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        self.refresh().await?;
        let owner = self.state.read().owner(id.as_u128());
        if let Some(owner) = owner
            && let Some(wallet) = self.wallet(owner).await?
            && let Some(hold) = wallet.holds.get(&id)
        {
            return Ok(Some(hold.clone()));
        }
        // Not changed of late, or settled and shown by now.
        let Some(shown) = self.shown_hold(id).await? else { return Ok(None) };
        match self.wallet(shown.wallet).await?.and_then(|wallet| wallet.holds.get(&id).cloned()) {
            Some(hold) => Ok(Some(hold)),
            // An active hold stays with its wallet: it has been settled and shown since the views were read.
            None if shown.is_active() => self.shown_hold(id).await,
            None => Ok(Some(shown)),
        }
    }

    async fn shown_hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let document = self.parts.documents.get(self.id, &views::HOLDS, &id.to_string()).await?;
        document.map(|document| views::read(&document)).transpose()
    }

    /// A lot with its wallet, as it is now.
    pub async fn grant(&self, id: GrantId) -> Result<Option<(Arc<Wallet>, Lot)>, StoreError> {
        self.refresh().await?;
        let owner = self.state.read().owner(id.as_u128());
        if let Some(owner) = owner
            && let Some(wallet) = self.wallet(owner).await?
            && let Some(lot) = wallet.lot(id).cloned()
        {
            return Ok(Some((wallet, lot)));
        }
        // Not changed of late, or depleted and shown by now.
        let Some(shown) = self.shown_grant(id).await? else { return Ok(None) };
        let Some(wallet) = self.wallet(shown.wallet).await? else { return Ok(None) };
        let lot = match wallet.lot(id) {
            Some(lot) => lot.clone(),
            // A lot with credits left stays with its wallet: it was emptied and shown since the views were read.
            None if shown.lot.remaining > 0 => self.shown_grant(id).await?.unwrap_or(shown).lot,
            None => shown.lot,
        };
        Ok(Some((wallet, lot)))
    }

    async fn shown_grant(&self, id: GrantId) -> Result<Option<GrantView>, StoreError> {
        let document = self.parts.documents.get(self.id, &views::GRANTS, &id.to_string()).await?;
        document.map(|document| views::read(&document)).transpose()
    }

    /// A transaction. Ids grow with their place, so the group is the last one that begins at or before the id.
    pub async fn transaction(&self, id: TransactionId) -> Result<Option<Posted>, StoreError> {
        self.refresh().await?;
        if let Some(records) = self.tail_records_around(id) {
            return Ok(find(records, id));
        }
        let wanted = format!("{:032x}", id.as_u128());
        let mut query = Query::new(&views::GROUPS, Some("by_first"), Key::empty(), 1);
        query.direction = Direction::Descending;
        query.until = Some(Key::empty().and_text_prefix(&format!("{wanted}~")));
        let rows = self.parts.documents.query(self.id, query).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let view: GroupView = views::read(&row.document)?;
        let Some(group) = self.group(view.sequence).await? else { return Ok(None) };
        Ok(find(group.records()?, id))
    }

    /// The records of the tail group that would hold this transaction, if the tail reaches back to it.
    fn tail_records_around(&self, id: TransactionId) -> Option<Vec<Arc<Record>>> {
        let state = self.state.read();
        let groups = state.tail.iter().rev();
        let mut begun =
            groups.filter(|group| group.first_transaction().is_some_and(|first| first <= id.as_u128()));
        begun.next().map(|group| group.records.clone())
    }

    /// How much of a transaction has been refunded.
    pub async fn refunded_amount(&self, transaction: &Transaction) -> Result<i64, StoreError> {
        let wallet = transaction.parties.first();
        if let Some(wallet) = self.state.read().wallet(wallet)
            && let Some(refunded) = wallet.refunds.get(&transaction.id)
        {
            return Ok(refunded.total);
        }
        let document =
            self.parts.documents.get(self.id, &views::REFUNDS, &transaction.id.to_string()).await?;
        let refunded: Option<crate::domain::Refunded> =
            document.map(|document| views::read(&document)).transpose()?;
        Ok(refunded.map_or(0, |refunded| refunded.total))
    }

    /// A group of the journal, through a small cache.
    pub(crate) async fn group(&self, sequence: u64) -> Result<Option<Arc<Decoded>>, StoreError> {
        if let Some(group) = self.groups.get(&sequence) {
            return Ok(Some(group));
        }
        // Who asks for a group by its place knows that it is there. A store that does not show it yet is asked for proof.
        let mut read = self.parts.journal.read_known(self.id, sequence, 1).await?;
        if read.is_empty() {
            read = self.parts.journal.read(self.id, sequence, 1).await?;
        }
        let Some((found, group)) = read.into_iter().next() else { return Ok(None) };
        if found != sequence {
            return Ok(None);
        }
        let decoded = Arc::new(Decoded::parse(&group.bytes)?);
        self.groups.insert(sequence, decoded.clone());
        Ok(Some(decoded))
    }

    /// The figures of a wallet at an instant, past or to come, with the expiries that are known by then.
    pub async fn balance_at(&self, id: WalletId, at: Timestamp) -> Result<Option<BalanceAt>, StoreError> {
        let Some(wallet) = self.kept_wallet(id).await? else { return Ok(None) };
        if at >= wallet.updated_at {
            let settled = settled_view(&wallet, at);
            return Ok(Some(figures_at(at, Figures::of(&settled, at))));
        }
        self.flush().await.map_err(|problem| StoreError::Unavailable(problem.detail().to_owned()))?;
        let Some(record) = self.last_change_before(id, at).await? else {
            return Ok(Some(BalanceAt { at, balance: 0, held: 0, available: 0 }));
        };
        let figures = record.change_of(id).map(|change| change.figures);
        if let Some(figures) = figures
            && figures.steady_until.is_none_or(|until| at < until)
        {
            return Ok(Some(figures_at(at, figures)));
        }
        // Something fell due or became effective between the last change and the instant: play the wallet up to it.
        let replayed = self.wallet_at(id, at).await?;
        Ok(replayed.map(|wallet| figures_at(at, Figures::of(&settled_view(&Arc::new(wallet), at), at))))
    }

    /// Sums over all entries, by asset.
    pub fn totals(&self) -> TotalsByAsset {
        self.state.read().totals.clone()
    }
}

fn figures_at(at: Timestamp, figures: Figures) -> BalanceAt {
    BalanceAt { at, balance: figures.balance, held: figures.held, available: figures.available }
}

fn find(records: Vec<Arc<Record>>, id: TransactionId) -> Option<Posted> {
    records.into_iter().find_map(|record| {
        let index = record.posted.iter().position(|transaction| transaction.id == id)?;
        Some(Posted { record, index })
    })
}
