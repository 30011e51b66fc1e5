//! Brings into memory what a decision looks at.

use std::sync::Arc;

use credit_core::WalletId;
use credit_core::ports::StoreError;

use super::book::Book;
use super::job::Job;
use super::state::{State, TailGroup};
use super::views::{self, GrantView};
use crate::domain::{Hold, Needs, Place, Record, Refunded, Wallet};

impl Book {
    /// Whether everything that a command looks at is in memory. Claims are, if the views were asked no earlier than the
    /// tail begins.
    pub(crate) fn is_prepared(state: &State, job: &Job) -> bool {
        job.seen.is_some_and(|seen| seen + 1 >= state.floor())
            && missing(state, &job.needs, &job.absent).is_empty()
    }

    /// Loads what a command looks at.
    pub(crate) async fn prepare(&self, job: &mut Job) -> Result<(), StoreError> {
        self.load(&job.needs, &mut job.absent).await?;
        let (shown, unknown) = {
            let state = self.state.read();
            let unknown: Vec<u128> =
                job.needs.claims.iter().copied().filter(|claim| state.claimed(*claim).is_none()).collect();
            (state.shown, unknown)
        };
        if !unknown.is_empty() {
            let ids: Vec<String> = unknown.iter().map(|claim| views::claim_id(*claim)).collect();
            let found = self.parts.documents.get_many(self.id, &views::CLAIMS, &ids).await?;
            for (claim, document) in unknown.into_iter().zip(found) {
                let Some(document) = document else { continue };
                let (sequence, index): (u64, u32) = views::read(&document)?;
                let place = Place { sequence, index };
                let record = self.record(place).await?;
                job.known.push((claim, place, record));
            }
        }
        job.seen = Some(shown);
        Ok(())
    }

    /// Loads the wallets that a group of another process changes.
    pub(crate) async fn load_for(&self, group: &TailGroup) -> Result<(), StoreError> {
        let changes = group.records.iter().flat_map(|record| &record.changes);
        let wallets: Vec<WalletId> =
            changes.filter(|change| change.opened.is_none()).map(|change| change.wallet).collect();
        self.load(&Needs { wallets, ..Needs::default() }, &mut Vec::new()).await
    }

    /// Loads what is missing. Wallets that do not exist are added to `absent`.
    pub(crate) async fn load(&self, needs: &Needs, absent: &mut Vec<WalletId>) -> Result<(), StoreError> {
        loop {
            let (removals, wanted) = {
                let state = self.state.read();
                (state.removals, missing(&state, needs, absent))
            };
            if wanted.is_empty() {
                return Ok(());
            }
            let loaded = self.fetch(&wanted).await?;
            let mut state = self.state.write();
            if state.removals == removals {
                put(&mut state, loaded, absent);
            }
        }
    }

    async fn fetch(&self, wanted: &Needs) -> Result<Loaded, StoreError> {
        let documents = &self.parts.documents;
        let mut loaded = Loaded::default();
        let ids: Vec<String> = wanted.wallets.iter().map(ToString::to_string).collect();
        for (id, document) in
            wanted.wallets.iter().zip(documents.get_many(self.id, &views::WALLETS, &ids).await?)
        {
            match document {
                Some(document) => loaded.wallets.push(views::read(&document)?),
                None => loaded.absent.push(*id),
            }
        }
        for (wallet, grant) in &wanted.lots {
            if let Some(document) = documents.get(self.id, &views::GRANTS, &grant.to_string()).await? {
                loaded.lots.push((*wallet, views::read(&document)?));
            }
        }
        for (wallet, hold) in &wanted.holds {
            if let Some(document) = documents.get(self.id, &views::HOLDS, &hold.to_string()).await? {
                loaded.holds.push((*wallet, views::read(&document)?));
            }
        }
        for (wallet, transaction) in &wanted.refunds {
            let document = documents.get(self.id, &views::REFUNDS, &transaction.to_string()).await?;
            let refunded = document.map(|document| views::read(&document)).transpose()?;
            loaded.refunds.push((*wallet, *transaction, refunded.unwrap_or_default()));
        }
        Ok(loaded)
    }

    /// A record of the journal.
    pub(crate) async fn record(&self, place: Place) -> Result<Arc<Record>, StoreError> {
        if let Some(record) = self.state.read().tail_record(place) {
            return Ok(record);
        }
        let damaged = || {
            StoreError::Corrupt(format!(
                "group {} of book {} is not where the views say",
                place.sequence, self.id
            ))
        };
        let group = self.group(place.sequence).await?.ok_or_else(damaged)?;
        group.record(usize::try_from(place.index).map_err(|_| damaged())?)
    }
}

#[derive(Default)]
struct Loaded {
    wallets: Vec<Wallet>,
    absent: Vec<WalletId>,
    lots: Vec<(WalletId, GrantView)>,
    holds: Vec<(WalletId, Hold)>,
    refunds: Vec<(WalletId, credit_core::TransactionId, Refunded)>,
}

impl Needs {
    fn is_empty(&self) -> bool {
        self.wallets.is_empty() && self.lots.is_empty() && self.holds.is_empty() && self.refunds.is_empty()
    }
}

/// What of the needs is not in memory. Lots and holds of wallets that are missing come in a second round, since a live
/// lot and an active hold come with their wallet.
fn missing(state: &State, needs: &Needs, absent: &[WalletId]) -> Needs {
    let wallet = |id: &WalletId| state.wallet(*id);
    Needs {
        wallets: needs
            .wallets
            .iter()
            .filter(|id| wallet(id).is_none() && !absent.contains(id))
            .copied()
            .collect(),
        lots: needs
            .lots
            .iter()
            .filter(|(id, lot)| wallet(id).is_some_and(|wallet| wallet.lot(*lot).is_none()))
            .copied()
            .collect(),
        holds: needs
            .holds
            .iter()
            .filter(|(id, hold)| wallet(id).is_some_and(|wallet| !wallet.holds.contains_key(hold)))
            .copied()
            .collect(),
        refunds: needs
            .refunds
            .iter()
            .filter(|(id, transaction)| {
                wallet(id).is_some_and(|wallet| !wallet.refunds.contains_key(transaction))
            })
            .copied()
            .collect(),
        claims: Vec::new(),
    }
}

fn put(state: &mut State, loaded: Loaded, absent: &mut Vec<WalletId>) {
    for wallet in loaded.wallets {
        if state.wallet(wallet.id).is_none() {
            state.put_wallet(Arc::new(wallet));
        }
    }
    absent.extend(loaded.absent.into_iter().filter(|id| state.wallet(*id).is_none()));
    for (id, view) in loaded.lots {
        if let Some(wallet) = state.wallet_mut(id)
            && wallet.lot(view.lot.id).is_none()
        {
            wallet.put_lot(view.lot);
        }
    }
    for (id, hold) in loaded.holds {
        if let Some(wallet) = state.wallet_mut(id) {
            wallet.holds.entry(hold.id).or_insert(hold);
        }
    }
    for (id, transaction, refunded) in loaded.refunds {
        if let Some(wallet) = state.wallet_mut(id) {
            wallet.refunds.entry(transaction).or_insert(refunded);
        }
    }
}
