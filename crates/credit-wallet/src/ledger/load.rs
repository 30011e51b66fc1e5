//! Brings into memory what a decision looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_core::WalletId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Documents, Key, Query};
use credit_core::ports::journal::BookId;

use super::book::Book;
use super::filter::Filter;
use super::job::Job;
use super::state::{State, TailGroup};
use super::views::{self, GrantView};
use crate::domain::{Hold, Needs, Place, Record, Refunded, Wallet};

impl Book {
    /// Whether everything that a command looks at is in memory. Claims are, if the views were asked no earlier than the
    /// tail begins. Of what has been claimed since, the refund progress is still to be loaded.
    pub(crate) fn is_prepared(state: &State, job: &Job) -> bool {
        let is_told = |claim: &u128| {
            job.is_key(*claim)
                || job.known.iter().any(|(known, ..)| known == claim)
                || state.claimed(*claim).is_none()
        };
        job.seen.is_some_and(|seen| seen + 1 >= state.floor())
            && (job.absent.is_empty() || job.absent_at == state.shown)
            && missing(state, &job.needs, &job.absent).is_empty()
            && job.needs.claims.iter().all(is_told)
    }

    /// Loads what commands look at: the claims of all of them in one look-up, which costs little more than that of one.
    pub(crate) async fn prepare(&self, jobs: &mut [&mut Job]) -> Result<(), StoreError> {
        let (shown, unknown) = {
            let state = self.state.read();
            let mut unknown = Vec::new();
            for (index, job) in jobs.iter_mut().enumerate() {
                for claim in job.needs.claims.clone() {
                    // A claim in the tail is kept with the command: the tail may have moved on when it is decided.
                    match state.claimed(claim) {
                        Some((place, record)) => job.know(claim, place, record),
                        None => {
                            unknown.extend(state.claim_ids(claim).into_iter().map(|id| (index, claim, id)));
                        }
                    }
                }
            }
            (state.shown, unknown)
        };
        if !unknown.is_empty() {
            let ids: Vec<String> = unknown.iter().map(|(.., id)| id.clone()).collect();
            let found = self.parts.documents.get_many(self.id, &views::CLAIMS, &ids).await?;
            for ((index, claim, _), document) in unknown.into_iter().zip(found) {
                let Some(document) = document else { continue };
                let (sequence, index_in_group): (u64, u32) = views::read(&document)?;
                let place = Place { sequence, index: index_in_group };
                let record = self.record(place).await?;
                jobs[index].know(claim, place, record);
            }
        }
        for job in jobs {
            self.load_needs(job).await?;
            job.seen = Some(shown);
        }
        Ok(())
    }

    /// Whether the wallets of a command that nothing has been loaded for, and what belongs to them, are in memory.
    pub(crate) fn has_needs(&self, job: &Job) -> bool {
        missing(&self.state.read(), &job.needs, &[]).is_empty()
    }

    /// Loads the wallets of a command and what belongs to them. What is there already costs a look.
    pub(crate) async fn load_needs(&self, job: &mut Job) -> Result<(), StoreError> {
        let shown = self.state.read().shown;
        if job.absent_at != shown {
            job.absent.clear();
            job.absent_at = shown;
        }
        while self.load(&job.needs, &mut job.absent).await? == Loading::Behind {
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Loads the wallets that a group of another process changes.
    pub(crate) async fn load_for(&self, group: &TailGroup) -> Result<(), StoreError> {
        let (wallets, mut absent) = (group.changed_wallets(), Vec::new());
        self.load(&Needs { wallets, ..Needs::default() }, &mut absent).await?;
        match absent.first() {
            None => Ok(()),
            Some(absent) => Err(StoreError::Corrupt(format!(
                "group {} of book {} changes {}, which the views do not have",
                group.sequence,
                self.id,
                WalletId::from_u128(*absent)
            ))),
        }
    }

    /// Loads what is missing. What does not exist is added to `absent`.
    pub(crate) async fn load(&self, needs: &Needs, absent: &mut Vec<u128>) -> Result<Loading, StoreError> {
        loop {
            let (removals, wanted) = {
                let state = self.state.read();
                (state.removals, missing(&state, needs, absent))
            };
            if wanted.is_empty() {
                return Ok(Loading::Done);
            }
            let loaded = self.fetch(&wanted).await?;
            let mut state = self.state.write();
            if loaded.parts_since() > state.head {
                return Ok(Loading::Behind);
            }
            if state.removals == removals {
                put(&mut state, loaded, absent);
            }
        }
    }

    /// Reads alone must not fill the memory either. Only they make room: a group may need more wallets at once than the
    /// memory is meant to keep, and what is loaded for it must not push out the rest of it.
    pub(crate) fn make_room(&self) {
        let keep = self.parts.settings.cached_wallets;
        if self.state.read().cached_wallets() > keep + keep / 4 + 16 {
            self.state.write().evict(keep);
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
                None => loaded.absent.push(id.as_u128()),
            }
        }
        for (wallet, grant) in &wanted.lots {
            let document = documents.get(self.id, &views::GRANTS, &grant.to_string()).await?;
            let view: Option<GrantView> = document.map(|document| views::read(&document)).transpose()?;
            match view.filter(|view| view.wallet == *wallet) {
                Some(view) => loaded.lots.push((*wallet, view)),
                // Another wallet's lot in this one would be credits out of nothing.
                None => loaded.absent.push(grant.as_u128()),
            }
        }
        for (wallet, hold) in &wanted.holds {
            let document = documents.get(self.id, &views::HOLDS, &hold.to_string()).await?;
            let shown: Option<Hold> = document.map(|document| views::read(&document)).transpose()?;
            match shown.filter(|shown| shown.wallet == *wallet) {
                Some(shown) => loaded.holds.push((*wallet, shown)),
                None => loaded.absent.push(hold.as_u128()),
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

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loading {
    /// Everything is in memory, or known not to exist.
    Done,
    /// The views, which another process writes too, show parts of a wallet as they are after groups that are not applied
    /// here: catch up first, or the wallet in memory would be of two times.
    Behind,
}

#[derive(Default)]
struct Loaded {
    wallets: Vec<Wallet>,
    absent: Vec<u128>,
    lots: Vec<(WalletId, GrantView)>,
    holds: Vec<(WalletId, Hold)>,
    refunds: Vec<(WalletId, credit_core::TransactionId, Refunded)>,
}

impl Loaded {
    /// The last group that changed a lot, a hold or refund progress in here. A wallet is of one time by itself.
    fn parts_since(&self) -> u64 {
        let lots = self.lots.iter().map(|(_, view)| view.lot.changed_in);
        let holds = self.holds.iter().map(|(_, hold)| hold.changed_in);
        let refunds = self.refunds.iter().map(|(_, _, refunded)| refunded.changed_in);
        lots.chain(holds).chain(refunds).max().unwrap_or_default()
    }
}

impl Needs {
    fn is_empty(&self) -> bool {
        self.wallets.is_empty() && self.lots.is_empty() && self.holds.is_empty() && self.refunds.is_empty()
    }
}

/// What of the needs is not in memory. Lots and holds of wallets that are missing come in a second round, since a live
/// lot and an active hold come with their wallet.
fn missing(state: &State, needs: &Needs, absent: &[u128]) -> Needs {
    let wallet = |id: &WalletId| state.wallet(*id);
    Needs {
        wallets: needs
            .wallets
            .iter()
            .filter(|id| wallet(id).is_none() && !absent.contains(&id.as_u128()))
            .copied()
            .collect(),
        lots: needs
            .lots
            .iter()
            .filter(|(id, lot)| wallet(id).is_some_and(|wallet| wallet.lot(*lot).is_none()))
            .filter(|(_, lot)| !absent.contains(&lot.as_u128()))
            .copied()
            .collect(),
        holds: needs
            .holds
            .iter()
            .filter(|(id, hold)| wallet(id).is_some_and(|wallet| !wallet.holds.contains_key(hold)))
            .filter(|(_, hold)| !absent.contains(&hold.as_u128()))
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

fn put(state: &mut State, loaded: Loaded, absent: &mut Vec<u128>) {
    for wallet in loaded.wallets {
        if state.wallet(wallet.id).is_none() {
            state.put_wallet(Arc::new(wallet));
        }
    }
    absent.extend(loaded.absent.into_iter().filter(|id| state.wallet(WalletId::from_u128(*id)).is_none()));
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

/// The filters over the complete generations of a book's claims.
pub(crate) async fn load_filters(
    documents: &Arc<dyn Documents>,
    book: BookId,
) -> Result<BTreeMap<u64, Arc<Filter>>, StoreError> {
    let mut filters = BTreeMap::new();
    for document in super::audit::all(documents, book, &views::FILTERS).await? {
        let text: String = views::read(&document)?;
        let generation = document.id.strip_suffix('/').and_then(|id| u64::from_str_radix(id, 16).ok());
        if let Some(generation) = generation {
            filters.insert(generation, Arc::new(Filter::from_text(&text)?));
        }
    }
    Ok(filters)
}

/// The filter over a complete generation, if somebody has made it.
pub(crate) async fn load_filter(
    documents: &Arc<dyn Documents>,
    book: BookId,
    generation: u64,
) -> Result<Option<Arc<Filter>>, StoreError> {
    let document = documents.get(book, &views::FILTERS, &views::generation_prefix(generation)).await?;
    let text: Option<String> = document.map(|document| views::read(&document)).transpose()?;
    text.map(|text| Filter::from_text(&text).map(Arc::new)).transpose()
}

/// How many claims are read at a time for a filter.
const SCAN_ROWS: usize = 4_096;

/// The claims of a generation that the views show.
pub(crate) async fn load_claims(
    documents: &Arc<dyn Documents>,
    book: BookId,
    generation: u64,
) -> Result<Vec<u128>, StoreError> {
    let prefix = Key::empty().and_text_prefix(&views::generation_prefix(generation));
    let mut query = Query::new(&views::CLAIMS, None, prefix, SCAN_ROWS);
    let mut claims = Vec::new();
    loop {
        let rows = documents.query(book, query.clone()).await?;
        let ids = rows.iter().filter_map(|row| views::parse_claim_id(&row.document.id));
        claims.extend(ids.map(|(_, claim)| claim));
        if rows.len() < SCAN_ROWS {
            return Ok(claims);
        }
        query.after = rows.last().map(|row| row.position.clone());
        tokio::task::yield_now().await;
    }
}
