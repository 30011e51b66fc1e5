//! Writes the views behind the journal, in large batches with a watermark.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use credit_core::WalletId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Write};
use foldhash::{HashMap, HashMapExt};

use super::book::Book;
use super::filter::Filter;
use super::load::{load_claims, load_filter};
use super::state::{State, TailGroup};
use super::turn::Turns;
use super::views::{self, BookView, Touched};
use crate::domain::Wallet;

/// The most rows in one batch; a backlog goes in several.
const BATCH_ROWS: usize = 50_000;
/// Of so many records a process in which somebody waits writes the rows, although it is another's turn. More would take
/// it as long as the other needs, and both of them longer.
const OUT_OF_TURN: usize = 2_000;
/// How often it looks whether the other has written them.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Writes the views of one book. Several on one book are harmless: newer rows win.
pub(crate) struct Projector {
    book: Arc<Book>,
    turns: Turns,
}

/// How a round ended.
enum Round {
    /// The views show everything.
    Nothing,
    /// Something was written.
    Wrote,
    /// Another process writes what is not shown, and nobody waits for it here.
    Left,
    /// Another process writes what is not shown, and somebody waits for it.
    Awaited,
}

impl Projector {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        let turns = Turns::new(book.parts.ids.mint());
        Self { book, turns }
    }

    /// Works until the lane has ended and everything is written.
    pub(crate) async fn run(mut self) {
        let mut closing = self.book.lane_ended.subscribe();
        loop {
            let done = *closing.borrow_and_update();
            let round = self.round(done).await;
            // Also behind a round that failed: what was shown before it need not be kept.
            self.book.forget_shown().await;
            match round {
                Ok(Round::Wrote | Round::Left) => {}
                Ok(Round::Awaited) => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                Ok(Round::Nothing) if done => return,
                Ok(Round::Nothing) => {
                    tokio::select! {
                        () = self.book.appended.notified() => {}
                        () = self.book.urgent.notified() => {}
                        _ = closing.changed() => continue,
                    }
                }
                Err(error) => {
                    tracing::warn!(book = %self.book.id, %error, "the views could not be written; trying again");
                    if done {
                        return; // the journal has everything; the next start goes on from the watermark
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
            if !done {
                // Rest, so that a batch is worth its sync, unless somebody waits.
                tokio::select! {
                    () = tokio::time::sleep(self.book.parts.settings.view_pause) => {}
                    () = self.book.urgent.notified() => {}
                    _ = closing.changed() => {}
                }
            }
        }
    }

    async fn round(&mut self, done: bool) -> Result<Round, CommitError> {
        let is_mine = !self.book.is_shown() && self.is_my_turn(done).await?;
        let round = match (is_mine, self.book.is_shown()) {
            (true, _) if self.write_once().await? => Round::Wrote,
            (false, false) if self.book.is_awaited() => Round::Awaited,
            (false, false) => Round::Left,
            _ => Round::Nothing,
        };
        let is_shared = self.book.parts.journal.is_shared();
        if matches!(round, Round::Nothing) && is_shared {
            self.turns.end(&self.book).await?;
        }
        self.filter_generations(!is_shared || matches!(round, Round::Wrote)).await?;
        Ok(round)
    }

    /// Whether this process writes what is not shown: because it is the one that does, or because somebody waits here and
    /// it is not much.
    async fn is_my_turn(&mut self, done: bool) -> Result<bool, CommitError> {
        if !self.book.parts.journal.is_shared() {
            return Ok(true);
        }
        if self.turns.take(&self.book).await? {
            return Ok(true);
        }
        Ok(done || (self.book.is_awaited() && self.book.lag() <= OUT_OF_TURN))
    }

    /// Makes the filters over generations of claims that have become complete, and writes them if that is for this process
    /// to do.
    async fn filter_generations(&self, may_write: bool) -> Result<(), CommitError> {
        let per_generation = self.book.parts.settings.claims_per_generation;
        let documents = &self.book.parts.documents;
        loop {
            let (generation, sequence, grown) = {
                let state = self.book.state.read();
                let shown = state.tail.iter().find(|group| group.sequence > state.shown);
                let claims_shown = shown.map_or(state.claims_made, |group| group.claims_before);
                let complete = 0..claims_shown / per_generation;
                let missing = complete.into_iter().find(|generation| !state.filters.contains_key(generation));
                let Some(generation) = missing else { return Ok(()) };
                (generation, state.shown, state.grown_filter(generation))
            };
            if grown.is_none()
                && let Some(filter) = load_filter(documents, self.book.id, generation).await?
            {
                self.book.state.write().put_filter(generation, filter);
                continue;
            }
            let filter = match grown {
                None if may_write => self.filter_by_the_views(generation).await?,
                grown => grown,
            };
            let Some(filter) = filter else { return Ok(()) };
            if may_write {
                let write = views::filter_write(generation, &filter, sequence);
                documents.commit(self.book.id, Batch::of(write)).await?;
            }
            self.book.state.write().put_filter(generation, Arc::new(filter));
        }
    }

    /// The filter over a complete generation that this process has not seen grow. `None` if it is not whole.
    async fn filter_by_the_views(&self, generation: u64) -> Result<Option<Filter>, StoreError> {
        let claims = load_claims(&self.book.parts.documents, self.book.id, generation).await?;
        if u64::try_from(claims.len()) == Ok(self.book.parts.settings.claims_per_generation) {
            return Ok(Some(Filter::over(&claims)));
        }
        // Without a filter the generation is looked into each time: slower, and right.
        tracing::error!(book = %self.book.id, generation, found = claims.len(), "a generation of claims is not whole: run `ledger verify`");
        Ok(None)
    }

    /// Writes everything up to the head. False if there was nothing. It rests after each group and each wallet, for a
    /// lane that shares its thread has commands to decide.
    async fn write_once(&mut self) -> Result<bool, CommitError> {
        let Some(backlog) = Backlog::take(&self.book.state.read()) else { return Ok(false) };
        let rows = backlog.groups.iter().map(|group| 1 + 3 * group.records.len()).sum::<usize>();
        let mut writes = Vec::with_capacity(rows.min(BATCH_ROWS + BATCH_ROWS / 4));
        let per_generation = self.book.parts.settings.claims_per_generation;
        for group in &backlog.groups {
            views::group_writes(group, per_generation, &mut writes);
            tokio::task::yield_now().await;
            if writes.len() >= BATCH_ROWS {
                let batch = Batch { writes: std::mem::take(&mut writes) };
                self.turns.commit(&self.book, batch).await?;
            }
        }
        let sequence = backlog.view.sequence;
        for (id, touched) in backlog.touched().await {
            if let Some(wallet) = backlog.wallets.get(&id) {
                touched.writes(wallet, sequence, &mut writes);
            }
            tokio::task::yield_now().await;
        }
        // A batch may become visible in parts. Whoever loads a wallet that another process has moved on must find its
        // lots, holds and refund progress moved on as well, or a refund could be made a second time.
        if self.book.parts.journal.is_shared() {
            self.turns.commit(&self.book, Batch { writes: std::mem::take(&mut writes) }).await?;
        }
        for wallet in backlog.wallets.values() {
            writes.push(views::wallet_write(wallet, sequence));
            tokio::task::yield_now().await;
        }
        writes.push(views::book_write(&backlog.view));
        debug_assert!(writes.iter().all(|write| matches!(write, Write::Put { .. })));
        self.turns.commit(&self.book, Batch { writes }).await?;
        let touched: Vec<WalletId> = backlog.wallets.into_keys().collect();
        let keep = self.book.parts.settings.cached_wallets;
        let lag = {
            let mut state = self.book.state.write();
            state.mark_shown(sequence, &touched, keep);
            state.lag
        };
        metrics::gauge!("credit_ledger_view_lag_records")
            .set(f64::from(u32::try_from(lag).unwrap_or(u32::MAX)));
        self.book.tell_shown(sequence);
        Ok(true)
    }
}

/// What the views do not show, all of one instant.
struct Backlog {
    groups: Vec<Arc<TailGroup>>,
    wallets: HashMap<WalletId, Arc<Wallet>>,
    view: BookView,
}

impl Backlog {
    /// Whoever decides waits meanwhile: what can be made of it later is.
    fn take(state: &State) -> Option<Self> {
        if state.shown >= state.head {
            return None;
        }
        let view = BookView {
            sequence: state.head,
            hash: state.hash,
            clock: state.clock,
            mint: state.mint,
            claims_made: state.claims_made,
            totals: state.totals.clone(),
        };
        let groups: Vec<Arc<TailGroup>> =
            state.tail.iter().filter(|group| group.sequence > state.shown).cloned().collect();
        let mut wallets = HashMap::new();
        for change in groups.iter().flat_map(|group| &group.records).flat_map(|record| &record.changes) {
            if let Entry::Vacant(place) = wallets.entry(change.wallet)
                && let Some(wallet) = state.wallet(change.wallet)
            {
                place.insert(wallet.clone());
            }
        }
        Some(Self { groups, wallets, view })
    }

    /// What the groups changed of each wallet. It rests after each group.
    async fn touched(&self) -> HashMap<WalletId, Touched> {
        let mut touched: HashMap<WalletId, Touched> = HashMap::new();
        for group in &self.groups {
            for change in group.records.iter().flat_map(|record| &record.changes) {
                touched.entry(change.wallet).or_default().add(change);
            }
            tokio::task::yield_now().await;
        }
        touched
    }
}

impl Book {
    /// Whether the views show everything that is applied.
    fn is_shown(&self) -> bool {
        let state = self.state.read();
        state.shown >= state.head
    }

    /// Tells who waits for the views how far they are.
    pub(crate) fn tell_shown(&self, sequence: u64) {
        self.shown.send_if_modified(|shown| {
            let is_more = *shown < sequence;
            *shown = sequence.max(*shown);
            is_more
        });
    }

    /// Forgets what nobody needs any more, group by group: whoever decides or reads meanwhile waits for one of them, and
    /// not for the tens of thousands of records of a round.
    async fn forget_shown(&self) {
        loop {
            let forgotten = self.state.write().forget_oldest();
            if forgotten.is_none() {
                return;
            }
            // To free its records takes longer than to take it out, and holds nobody up.
            drop(forgotten);
            tokio::task::yield_now().await;
        }
    }

    /// Whether somebody waits for what the views do not show.
    fn is_awaited(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > self.state.read().shown
    }

    /// Whether the views lag behind so far that new commands have to wait.
    pub(crate) fn is_far_behind(&self) -> bool {
        self.state.read().lag > self.parts.settings.lag_records && !*self.closing.borrow()
    }

    /// Tells the projector that a batch is large enough, long before anybody has to wait.
    pub(crate) fn hurry_views(&self) {
        if self.state.read().lag > self.parts.settings.lag_records / 2 {
            self.urgent.notify_one();
        }
    }

    /// Waits while they do.
    pub(crate) async fn wait_for_views(&self) {
        let mut shown = self.shown.subscribe();
        while self.is_far_behind() {
            shown.borrow_and_update();
            self.urgent.notify_one();
            // The projector may have finished between the look and the wait; it tells the next time it has.
            tokio::select! {
                _ = shown.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }
}
