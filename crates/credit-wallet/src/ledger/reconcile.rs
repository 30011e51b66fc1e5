//! Reconciliation: compares what is kept of a few wallets at a time with the journal, while the book is at work. What has
//! drifted is raised, written anew from the journal, and frozen until somebody has looked at it.
//!
//! A wallet is played from its own records, which the view of its history names. If that does not end in what the views
//! show, twice with the views caught up in between, the journal itself is searched for the wallet, and then it is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Key, Position, Query, Write};
use credit_core::{Actor, Code, GrantId, HoldId, JobError, JobRun, TransactionId, WalletId};

use super::book::Book;
use super::codec::{self, Decoded};
use super::job::Ask;
use super::views::{self, GrantView};
use crate::domain::commands::ChangeStatus;
use crate::domain::{Figures, Hold, Lot, Place, Record, Refunded, Wallet, WalletStatus};

/// How many rows are asked for at a time.
const ROUND: usize = 200;
/// How many groups of the journal are read at a time.
const GROUPS: usize = 64;
/// How often something is tried that somebody else may be changing.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// What a part of a reconciliation has found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// How many wallets or groups were looked at.
    pub looked_at: usize,
    /// What had drifted.
    pub drifted: Vec<WalletId>,
    /// Where the next part begins; `None` behind the last one.
    pub next: Option<String>,
}

/// A wallet as its records make it, with every lot and hold it ever had.
struct Played {
    wallet: Wallet,
    lots: BTreeMap<GrantId, Lot>,
    holds: BTreeMap<HoldId, Hold>,
    refunds: BTreeMap<TransactionId, Refunded>,
    history: Vec<Place>,
    /// What does not hold in the journal itself.
    faults: Vec<String>,
}

impl Played {
    /// One record further. The first one opens the wallet.
    fn take(
        before: Option<Self>,
        id: WalletId,
        record: &Record,
        group: &Group,
        place: Place,
    ) -> Option<Self> {
        let change = record.change_of(id)?;
        let mut played = match before {
            Some(played) => played,
            None => Self {
                wallet: Wallet::from_opening(change, group.at)?,
                lots: BTreeMap::new(),
                holds: BTreeMap::new(),
                refunds: BTreeMap::new(),
                history: Vec::new(),
                faults: Vec::new(),
            },
        };
        let wallet = &mut played.wallet;
        wallet.apply(record, change, place.sequence, group.at);
        let whole = change.lots.iter().map(|lot| lot.id);
        let levels = change.levels.iter().map(|level| level.grant);
        for lot in whole.chain(levels).filter_map(|lot| wallet.lot(lot)) {
            played.lots.insert(lot.id, lot.clone());
        }
        played.holds.extend(change.holds.iter().map(|hold| (hold.id, hold.clone())));
        played.refunds.extend(change.refunds.iter().cloned());
        if Figures::of(wallet, group.at) != change.figures {
            played
                .faults
                .push(format!("group {}: the figures of {id} are not what its lots say", place.sequence));
        }
        wallet.forget_shown(u64::MAX);
        played.history.push(place);
        Some(played)
    }
}

/// When a group was appended.
struct Group {
    at: credit_core::Timestamp,
}

impl Book {
    /// Compares the next few wallets, and then the next few groups, behind a cursor; `None` begins. Asks the run before
    /// every write.
    pub async fn reconcile(
        self: &Arc<Self>,
        cursor: Option<&str>,
        limit: usize,
        run: &dyn JobRun,
    ) -> Result<Reconciled, JobError> {
        self.flush().await?;
        if let Some(from) = cursor.and_then(|cursor| cursor.strip_prefix("groups/")) {
            return self.reconcile_groups(from.parse().unwrap_or(1), limit, run).await;
        }
        let after = cursor.and_then(|cursor| cursor.strip_prefix("wallets/"));
        self.reconcile_wallets(after, limit, run).await
    }

    async fn reconcile_wallets(
        self: &Arc<Self>,
        after: Option<&str>,
        limit: usize,
        run: &dyn JobRun,
    ) -> Result<Reconciled, JobError> {
        let mut query = Query::new(&views::WALLETS, None, Key::empty(), limit);
        query.after = after.map(|id| Position(id.as_bytes().to_vec()));
        let rows = self.parts.documents.query(self.id, query).await?;
        let mut found = Reconciled { looked_at: rows.len(), ..Reconciled::default() };
        for row in &rows {
            run.check()?;
            let Ok(id) = WalletId::parse(&row.document.id) else { continue };
            if self.differs(id).await? {
                self.mend(id, run).await?;
                found.drifted.push(id);
            }
        }
        found.next = Some(match rows.last() {
            Some(last) if rows.len() == limit => format!("wallets/{}", last.document.id),
            _ => "groups/1".to_owned(),
        });
        Ok(found)
    }

    /// Looks whether the groups follow each other, and whether the wallets that they opened are shown at all.
    async fn reconcile_groups(
        self: &Arc<Self>,
        from: u64,
        limit: usize,
        run: &dyn JobRun,
    ) -> Result<Reconciled, JobError> {
        let journal = &self.parts.journal;
        let before = if from > 1 { journal.read(self.id, from - 1, 1).await? } else { Vec::new() };
        let mut hash = before.first().map(|(_, group)| codec::hash(&group.bytes));
        let groups = journal.read(self.id, from, limit).await?;
        let mut found = Reconciled { looked_at: groups.len(), ..Reconciled::default() };
        let mut opened = Vec::new();
        for (sequence, group) in &groups {
            let decoded = Decoded::parse(&group.bytes)?;
            if hash.is_some_and(|hash| hash != decoded.header.previous) {
                metrics::gauge!("credit_ledger_drift").increment(1.0);
                return Err(JobError::Failed(format!(
                    "group {sequence} of book {} does not follow the one before it",
                    self.id
                )));
            }
            hash = Some(codec::hash(&group.bytes));
            let records = decoded.records()?;
            let changes = records.iter().flat_map(|record| &record.changes);
            opened.extend(changes.filter(|change| change.opened.is_some()).map(|change| change.wallet));
        }
        let ids: Vec<String> = opened.iter().map(ToString::to_string).collect();
        let shown = self.parts.documents.get_many(self.id, &views::WALLETS, &ids).await?;
        for (id, shown) in opened.into_iter().zip(shown) {
            // Younger than the flush, unless it is still missing after another one.
            if shown.is_none() && self.differs(id).await? {
                run.check()?;
                self.mend(id, run).await?;
                found.drifted.push(id);
            }
        }
        found.next = match groups.last() {
            Some((last, _)) if groups.len() == limit => Some(format!("groups/{}", last + 1)),
            _ => None,
        };
        Ok(found)
    }

    /// Whether what is shown of a wallet is not what its records say, and still is not when the views have caught up.
    async fn differs(&self, id: WalletId) -> Result<bool, JobError> {
        for _ in 0..TRIES {
            let Some(shown) = self.shown_wallet(id).await? else {
                self.flush().await?;
                return Ok(self.shown_wallet(id).await?.is_none());
            };
            let played = self.play(id, shown.version).await?;
            let agrees = self.agrees(id, &shown, played.as_ref()).await?;
            let still = self.shown_wallet(id).await?.map(|still| still.version);
            if agrees {
                return Ok(false);
            }
            if still == Some(shown.version) {
                self.flush().await?;
                let caught_up = self.shown_wallet(id).await?.map(|document| document.version);
                if caught_up == still {
                    return Ok(true);
                }
            }
        }
        // It moves all the time; the next round finds it at rest.
        Ok(false)
    }

    async fn shown_wallet(&self, id: WalletId) -> Result<Option<Document>, JobError> {
        Ok(self.parts.documents.get(self.id, &views::WALLETS, &id.to_string()).await?)
    }

    async fn agrees(
        &self,
        id: WalletId,
        shown: &Document,
        played: Option<&Played>,
    ) -> Result<bool, JobError> {
        let (Some(played), Ok(wallet)) = (played, views::read::<Wallet>(shown)) else { return Ok(false) };
        if wallet != played.wallet || !played.faults.is_empty() {
            return Ok(false);
        }
        let lots = self.rows_of(id, &views::GRANTS).await?;
        let holds = self.rows_of(id, &views::HOLDS).await?;
        let lot_agrees = |row: &Document| {
            views::read::<GrantView>(row).is_ok_and(|view| played.lots.get(&view.lot.id) == Some(&view.lot))
        };
        let hold_agrees = |row: &Document| {
            views::read::<Hold>(row).is_ok_and(|hold| played.holds.get(&hold.id) == Some(&hold))
        };
        Ok(lots.len() == played.lots.len()
            && holds.len() == played.holds.len()
            && lots.iter().all(lot_agrees)
            && holds.iter().all(hold_agrees)
            && self.refunds_agree(played).await?)
    }

    async fn refunds_agree(&self, played: &Played) -> Result<bool, JobError> {
        let ids: Vec<String> = played.refunds.keys().map(ToString::to_string).collect();
        let rows = self.parts.documents.get_many(self.id, &views::REFUNDS, &ids).await?;
        Ok(rows.iter().zip(played.refunds.values()).all(|(row, refunded)| {
            row.as_ref().is_some_and(|row| views::read::<Refunded>(row).is_ok_and(|shown| shown == *refunded))
        }))
    }

    async fn rows_of(
        &self,
        id: WalletId,
        collection: &'static Collection,
    ) -> Result<Vec<Document>, JobError> {
        let mut query = Query::new(collection, Some("by_wallet"), Key::text(&id.to_string()), ROUND);
        let mut found = Vec::new();
        loop {
            let rows = self.parts.documents.query(self.id, query.clone()).await?;
            query.after = rows.last().map(|row| row.position.clone());
            let is_last = rows.len() < ROUND;
            found.extend(rows.into_iter().map(|row| row.document));
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Plays a wallet up to a group from the records that its history names.
    async fn play(&self, id: WalletId, until: u64) -> Result<Option<Played>, JobError> {
        let prefix = format!("{id}/");
        let mut query = Query::new(&views::HISTORY, None, Key::empty().and_text_prefix(&prefix), ROUND);
        let mut played = None;
        loop {
            let rows = self.parts.documents.query(self.id, query.clone()).await?;
            query.after = rows.last().map(|row| row.position.clone());
            for row in &rows {
                let place = row.document.id.get(prefix.len()..).and_then(views::parse_place_key);
                let Some((at, place)) = place.filter(|(_, place)| place.sequence <= until) else { continue };
                let Ok(record) = self.record_at(place).await else { return Ok(None) };
                played = Played::take(played, id, &record, &Group { at }, place);
            }
            if rows.len() < ROUND {
                return Ok(played);
            }
        }
    }

    /// Plays a wallet up to a group from the journal, whatever the views say.
    async fn search(&self, id: WalletId, until: u64, run: &dyn JobRun) -> Result<Option<Played>, JobError> {
        let (mut played, mut next) = (None, 1);
        while next <= until {
            run.check()?;
            let groups = self.parts.journal.read(self.id, next, GROUPS).await?;
            let Some((last, _)) = groups.last() else { break };
            next = last + 1;
            for (sequence, group) in groups.iter().filter(|(sequence, _)| *sequence <= until) {
                let decoded = Decoded::parse(&group.bytes)?;
                let group = Group { at: decoded.header.at };
                for (index, record) in (0..).zip(decoded.records()?) {
                    if record.change_of(id).is_some() {
                        let place = Place { sequence: *sequence, index };
                        played = Played::take(played, id, &record, &group, place);
                    }
                }
            }
        }
        Ok(played)
    }

    /// Raises the drift, writes the rows of the wallet anew, and freezes it.
    async fn mend(self: &Arc<Self>, id: WalletId, run: &dyn JobRun) -> Result<(), JobError> {
        metrics::gauge!("credit_ledger_drift").increment(1.0);
        tracing::error!(book = %self.id, wallet = %id, "what is kept of a wallet is not what the journal says; it is written anew and frozen");
        for _ in 0..TRIES {
            self.flush().await?;
            let until = *self.shown.borrow();
            let Some(played) = self.search(id, until, run).await? else {
                return Err(JobError::Failed(format!("{id} is not in the journal of its book")));
            };
            if let Some(fault) = played.faults.first() {
                // There is nothing to write it from; but nothing moves on it any more.
                self.freeze(id).await?;
                return Err(JobError::Failed(fault.clone()));
            }
            run.check()?;
            match self.write_anew(&played, until).await {
                Ok(()) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
                // The wallet has moved on meanwhile.
                Err(_) => continue,
            }
            if self.forget(&played, until).await? {
                return self.freeze(id).await;
            }
        }
        Err(JobError::Failed(format!("{id} moves too often to be written anew")))
    }

    /// Every row of the wallet goes, and comes again as the journal says it.
    async fn write_anew(&self, played: &Played, until: u64) -> Result<(), CommitError> {
        let wallet = &played.wallet;
        let mut wanted: Vec<Write> = vec![views::wallet_write(wallet, until)];
        wanted.extend(played.lots.values().map(|lot| views::grant_write(wallet.id, lot, until)));
        wanted.extend(played.holds.values().map(|hold| views::hold_write(hold, until)));
        wanted.extend(played.refunds.iter().map(|(id, refunded)| views::refund_write(*id, refunded, until)));
        let mut ids: HashMap<&'static str, (&'static Collection, Vec<String>)> = HashMap::new();
        for write in &wanted {
            if let Write::Put { collection, id, .. } = write {
                ids.entry(collection.name).or_insert((collection, Vec::new())).1.push(id.clone());
            }
        }
        let mut batch = Batch::default();
        for (collection, ids) in ids.values() {
            for document in
                self.parts.documents.get_many(self.id, collection, ids).await?.into_iter().flatten()
            {
                batch = batch.and(Write::Delete { collection, id: document.id, version: document.version });
            }
        }
        batch.writes.extend(wanted);
        self.parts.documents.commit(self.id, batch).await
    }

    /// Sees to it that nothing is decided on the wallet as it was. False if it has moved on meanwhile.
    async fn forget(&self, played: &Played, until: u64) -> Result<bool, JobError> {
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

    async fn freeze(self: &Arc<Self>, id: WalletId) -> Result<(), JobError> {
        let freeze = ChangeStatus { wallet: id, status: WalletStatus::Frozen };
        match self.submit(Ask::new(Arc::new(freeze), Actor::System, "reconciliation")).await {
            Err(problem) if problem.code() != Code::WalletClosed => Err(problem.into()),
            _ => Ok(()),
        }
    }
}
