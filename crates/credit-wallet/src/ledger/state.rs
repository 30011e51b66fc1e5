//! A book in memory: a cache over views and journal. Everything here is durable: it changes only after an append.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credit_core::{AssetCode, Timestamp, WalletId};
use foldhash::{HashMap, HashMapExt};
use serde::{Deserialize, Serialize};

use super::filter::{Filter, GrowingFilter};
use super::mint::MintMark;
use super::views::{self, BookView};
use crate::domain::{ChainHash, Direction, Place, Record, Wallet};

/// Sums over all entries of an asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of debits.
    pub debits: i128,
    /// Sum of credits.
    pub credits: i128,
}

/// Sums by asset.
pub type TotalsByAsset = BTreeMap<AssetCode, Totals>;

/// Adds the entries of a record to the sums.
pub(crate) fn add_totals(totals: &mut TotalsByAsset, record: &Record) {
    for transaction in &record.posted {
        let sum = totals.entry(transaction.asset).or_default();
        for entry in &transaction.entries {
            match entry.direction {
                Direction::Debit => sum.debits += i128::from(entry.amount),
                Direction::Credit => sum.credits += i128::from(entry.amount),
            }
        }
    }
}

/// A group that the views may not show yet.
#[derive(Debug, Clone)]
pub(crate) struct TailGroup {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) hash: ChainHash,
    pub(crate) mint: MintMark,
    pub(crate) claims_before: u64,
    pub(crate) records: Vec<Arc<Record>>,
}

impl TailGroup {
    /// The id of its first transaction.
    pub(crate) fn first_transaction(&self) -> Option<u128> {
        self.records.iter().find_map(|record| record.posted.first()).map(|first| first.id.as_u128())
    }
}

impl TailGroup {
    /// The wallets that it changes, without those that it opens itself.
    pub(crate) fn changed_wallets(&self) -> Vec<WalletId> {
        let mut opened = BTreeSet::new();
        let mut changed = BTreeSet::new();
        for change in self.records.iter().flat_map(|record| &record.changes) {
            if change.opened.is_some() {
                opened.insert(change.wallet);
            } else if !opened.contains(&change.wallet) {
                changed.insert(change.wallet);
            }
        }
        changed.into_iter().collect()
    }
}

struct Cached {
    wallet: Arc<Wallet>,
    used: AtomicU64,
}

/// The state of a book at its head.
pub(crate) struct State {
    /// The last group applied.
    pub(crate) head: u64,
    /// Its hash.
    pub(crate) hash: ChainHash,
    /// The latest time seen: the book's clock never goes back.
    pub(crate) clock: Timestamp,
    /// Where its ids stand.
    pub(crate) mint: MintMark,
    /// Up to which group the views show everything.
    pub(crate) shown: u64,
    /// Up to which group the tail may be forgotten.
    forgettable: u64,
    /// Groups since `floor`, the newest last.
    pub(crate) tail: VecDeque<Arc<TailGroup>>,
    /// Records in the tail that the views do not show.
    pub(crate) lag: usize,
    /// How many claims there are.
    pub(crate) claims_made: u64,
    /// Filters over complete generations of claims, as they are kept.
    pub(crate) filters: BTreeMap<u64, Arc<Filter>>,
    /// Filters over the generations that have none yet: the newest, and those that have just become complete.
    growing: BTreeMap<u64, GrowingFilter>,
    /// How many claims make a generation.
    pub(crate) claims_per_generation: u64,
    /// Sums over all entries.
    pub(crate) totals: TotalsByAsset,
    /// Counts removals from memory, so that a slow load does not bring back what has moved on since.
    pub(crate) removals: u64,
    wallets: HashMap<WalletId, Cached>,
    /// Wallets as they once were, for who only asks whose they are.
    acquainted: HashMap<WalletId, Arc<Wallet>>,
    claims: HashMap<u128, Place>,
    /// The wallets of the holds and lots that the tail changed, and the last group of it that did.
    owners: HashMap<u128, (WalletId, u64)>,
    tick: AtomicU64,
}

impl State {
    /// A book as its views show it, with the filters over its complete generations of claims, and over the newest one
    /// as far as the views show it.
    pub(crate) fn new(
        view: BookView,
        mut filters: BTreeMap<u64, Arc<Filter>>,
        newest: GrowingFilter,
        claims_per_generation: u64,
    ) -> Self {
        let newest_generation = view.claims_made / claims_per_generation;
        let growing = BTreeMap::from([(newest_generation, newest)]);
        // Another process may have completed it meanwhile. No generation has two filters, or one without any could hide
        // behind the number of them.
        filters.split_off(&newest_generation);
        Self {
            head: view.sequence,
            hash: view.hash,
            clock: view.clock,
            mint: view.mint,
            shown: view.sequence,
            forgettable: 0,
            tail: VecDeque::new(),
            lag: 0,
            claims_made: view.claims_made,
            filters,
            growing,
            claims_per_generation,
            totals: view.totals,
            removals: 0,
            wallets: HashMap::new(),
            acquainted: HashMap::new(),
            claims: HashMap::new(),
            owners: HashMap::new(),
            tick: AtomicU64::new(0),
        }
    }

    /// Where in the views a claim may be, by their ids: in every generation whose filter does not rule it out, or that
    /// has none.
    pub(crate) fn claim_ids(&self, claim: u128) -> Vec<String> {
        let kept =
            self.filters.iter().filter(|(_, filter)| filter.may_hold(claim)).map(|(number, _)| *number);
        let growing =
            self.growing.iter().filter(|(_, filter)| filter.may_hold(claim)).map(|(number, _)| *number);
        let filtered = self.filters.len() + self.growing.len();
        let all = 0..=self.newest_generation();
        let has_filter =
            |number: &u64| self.filters.contains_key(number) || self.growing.contains_key(number);
        let bare =
            (u64::try_from(filtered) != Ok(all.end() + 1)).then(|| all.filter(|number| !has_filter(number)));
        let generations = growing.chain(kept).chain(bare.into_iter().flatten());
        generations.map(|generation| views::claim_id(generation, claim)).collect()
    }

    /// The generation into which the next claim goes.
    pub(crate) fn newest_generation(&self) -> u64 {
        self.claims_made / self.claims_per_generation
    }

    /// What has grown over a generation, to be kept once it is complete.
    pub(crate) fn grown_filter(&self, generation: u64) -> Option<Filter> {
        self.growing.get(&generation)?.whole().cloned()
    }

    /// A generation is complete and has its filter.
    pub(crate) fn put_filter(&mut self, generation: u64, filter: Arc<Filter>) {
        self.growing.remove(&generation);
        self.filters.insert(generation, filter);
    }

    /// The first group of the tail: all claims from it on are in memory.
    pub(crate) fn floor(&self) -> u64 {
        self.tail.front().map_or(self.head + 1, |group| group.sequence)
    }

    pub(crate) fn wallet(&self, id: WalletId) -> Option<&Arc<Wallet>> {
        let cached = self.wallets.get(&id)?;
        cached.used.store(self.tick.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(&cached.wallet)
    }

    /// A wallet as it is or once was: whose it is never changes.
    pub(crate) fn acquaintance(&self, id: WalletId) -> Option<&Arc<Wallet>> {
        self.wallet(id).or_else(|| self.acquainted.get(&id))
    }

    /// Changes a wallet in memory.
    pub(crate) fn wallet_mut(&mut self, id: WalletId) -> Option<&mut Wallet> {
        self.wallets.get_mut(&id).map(|cached| Arc::make_mut(&mut cached.wallet))
    }

    pub(crate) fn put_wallet(&mut self, wallet: Arc<Wallet>) {
        // Newer than everything that was looked at before.
        let used = AtomicU64::new(self.tick.fetch_add(1, Ordering::Relaxed) + 1);
        self.wallets.insert(wallet.id, Cached { wallet, used });
    }

    /// A claim in the tail.
    pub(crate) fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)> {
        let place = *self.claims.get(&claim)?;
        self.tail_record(place).map(|record| (place, record))
    }

    /// The wallet of a hold or a lot that the tail changed.
    pub(crate) fn owner(&self, hold_or_lot: u128) -> Option<WalletId> {
        self.owners.get(&hold_or_lot).map(|(wallet, _)| *wallet)
    }

    /// A group of the tail.
    pub(crate) fn tail_group(&self, sequence: u64) -> Option<&TailGroup> {
        let first = self.tail.front()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.tail.get(index).map(AsRef::as_ref)
    }

    /// A record of the tail.
    pub(crate) fn tail_record(&self, place: Place) -> Option<Arc<Record>> {
        let group = self.tail_group(place.sequence)?;
        group.records.get(usize::try_from(place.index).ok()?).cloned()
    }

    /// Takes a group as the new head. `wallets` are its wallets as they are after it. Where others append too, a reader
    /// that has caught up may have found the group in the journal and applied it already: then nothing is left to do.
    pub(crate) fn commit(&mut self, group: TailGroup, wallets: impl IntoIterator<Item = Arc<Wallet>>) {
        if group.sequence <= self.head {
            return;
        }
        for wallet in wallets {
            self.put_wallet(wallet);
        }
        self.take_head(Arc::new(group));
    }

    /// Applies a group as replay does, unless it is not the next one or a wallet that it changes has left memory. Answers
    /// whether there is nothing left to do with it.
    pub(crate) fn apply(&mut self, group: &TailGroup) -> bool {
        if group.sequence <= self.head {
            return true;
        }
        if group.changed_wallets().iter().any(|id| self.wallet(*id).is_none()) {
            return false;
        }
        for record in &group.records {
            for change in &record.changes {
                if let Some(opened) = Wallet::from_opening(change, group.at)
                    && self.wallet(change.wallet).is_none()
                {
                    self.put_wallet(Arc::new(opened));
                }
                if let Some(wallet) = self.wallet_mut(change.wallet)
                    && wallet.version < change.version
                {
                    wallet.apply(record, change, group.sequence, group.at);
                }
            }
        }
        self.take_head(Arc::new(group.clone()));
        true
    }

    fn take_head(&mut self, group: Arc<TailGroup>) {
        for (index, record) in (0_u32..).zip(&group.records) {
            let place = Place { sequence: group.sequence, index };
            for claim in record.all_claims() {
                let growing = self.growing.entry(self.claims_made / self.claims_per_generation);
                let per_generation = usize::try_from(self.claims_per_generation).unwrap_or(usize::MAX);
                growing.or_insert_with(|| GrowingFilter::of(per_generation)).add(claim);
                self.claims_made += 1;
                self.claims.entry(claim).or_insert(place);
            }
            for (owned, wallet) in owned(record) {
                self.owners.insert(owned, (wallet, group.sequence));
            }
            add_totals(&mut self.totals, record);
        }
        self.head = group.sequence;
        self.hash = group.hash;
        self.clock = self.clock.max(group.at);
        self.mint = self.mint.max(group.mint);
        self.lag += group.records.len();
        self.tail.push_back(group);
    }

    /// Goes on from where the views are, without the groups in between, as if the book had just been opened. The views show
    /// more than is applied here. What was known of claims ends: until the newest generation is complete, each has to be
    /// looked up.
    pub(crate) fn jump(&mut self, view: BookView, keep_wallets: usize) {
        let newest = view.claims_made / self.claims_per_generation;
        self.filters.split_off(&newest);
        let growing = if view.claims_made.is_multiple_of(self.claims_per_generation) {
            GrowingFilter::of(usize::try_from(self.claims_per_generation).unwrap_or(usize::MAX))
        } else {
            GrowingFilter::Unknown
        };
        self.growing = BTreeMap::from([(newest, growing)]);
        if self.acquainted.len() + self.wallets.len() > keep_wallets {
            self.acquainted.clear();
        }
        let known = std::mem::take(&mut self.wallets);
        self.acquainted.extend(known.into_iter().map(|(id, cached)| (id, cached.wallet)));
        (self.head, self.shown, self.hash) = (view.sequence, view.sequence, view.hash);
        (self.clock, self.mint) = (self.clock.max(view.clock), self.mint.max(view.mint));
        (self.claims_made, self.totals, self.lag) = (view.claims_made, view.totals, 0);
        self.tail.clear();
        self.claims.clear();
        self.owners.clear();
        self.removals += 1;
    }

    /// The wallets that the groups up to this one change which the views are not known to show.
    pub(crate) fn wallets_changed_since_shown(&self, until: u64) -> Vec<WalletId> {
        let groups = self.tail.iter().filter(|group| self.shown < group.sequence && group.sequence <= until);
        let changes = groups.flat_map(|group| &group.records).flat_map(|record| &record.changes);
        let wallets: BTreeSet<WalletId> = changes.map(|change| change.wallet).collect();
        wallets.into_iter().collect()
    }

    /// The views show everything up to `shown`. What is only needed until then may be forgotten, except for the groups of
    /// the round before, for commands on their way.
    pub(crate) fn mark_shown(&mut self, shown: u64, touched: &[WalletId], keep_wallets: usize) {
        if shown <= self.shown {
            return; // another process has shown more since, and this one has jumped there
        }
        self.forgettable = std::mem::replace(&mut self.shown, shown);
        self.lag =
            self.tail.iter().filter(|group| group.sequence > shown).map(|group| group.records.len()).sum();
        self.removals += 1;
        for id in touched {
            if let Some(wallet) = self.wallet_mut(*id) {
                wallet.forget_shown(shown);
            }
        }
        self.evict(keep_wallets);
    }

    /// Takes the oldest group out of memory, if it may be forgotten.
    pub(crate) fn forget_oldest(&mut self) -> Option<Arc<TailGroup>> {
        if self.tail.front()?.sequence > self.forgettable {
            return None;
        }
        let group = self.tail.pop_front()?;
        for (index, record) in (0_u32..).zip(&group.records) {
            let place = Place { sequence: group.sequence, index };
            for claim in record.all_claims() {
                if self.claims.get(&claim) == Some(&place) {
                    self.claims.remove(&claim);
                }
            }
            for (owned, wallet) in owned(record) {
                if self.owners.get(&owned) == Some(&(wallet, group.sequence)) {
                    self.owners.remove(&owned);
                }
            }
        }
        Some(group)
    }

    /// Drops the wallets that were used longest ago and that the views show as they are.
    pub(crate) fn evict(&mut self, keep: usize) {
        if self.wallets.len() <= keep {
            return;
        }
        let shown = self.shown;
        let mut idle: Vec<(u64, WalletId)> = self
            .wallets
            .iter()
            .filter(|(_, cached)| cached.wallet.changed_in <= shown)
            .map(|(id, cached)| (cached.used.load(Ordering::Relaxed), *id))
            .collect();
        idle.sort_unstable();
        let surplus = self.wallets.len() - keep + keep / 10;
        for (_, id) in idle.into_iter().take(surplus) {
            self.wallets.remove(&id);
        }
        self.removals += 1;
    }

    /// Drops a wallet unless it has changed since the views were written; it is loaded again when it is needed.
    pub(crate) fn forget_wallet(&mut self, id: WalletId) {
        let unshown = self.tail.iter().filter(|group| group.sequence > self.shown);
        if !unshown.flat_map(|group| &group.records).any(|record| record.change_of(id).is_some()) {
            self.wallets.remove(&id);
            self.removals += 1;
        }
    }

    /// How many wallets are in memory.
    pub(crate) fn cached_wallets(&self) -> usize {
        self.wallets.len()
    }

    /// Wallets in memory that have changed since the views were written.
    pub(crate) fn unshown_wallets(&self) -> impl Iterator<Item = &Arc<Wallet>> {
        let shown = self.shown;
        self.wallets.values().map(|cached| &cached.wallet).filter(move |wallet| wallet.changed_in > shown)
    }
}

/// The holds and lots that a record carries whole, with their wallet.
fn owned(record: &Record) -> impl Iterator<Item = (u128, WalletId)> {
    record.changes.iter().flat_map(|change| {
        let holds = change.holds.iter().map(|hold| hold.id.as_u128());
        let lots = change.lots.iter().map(|lot| lot.id.as_u128());
        holds.chain(lots).map(|id| (id, change.wallet))
    })
}

#[cfg(test)]
mod tests {
    use credit_core::{Code, Problem};

    use super::*;
    use crate::domain::{KeyMark, StoredRefusal};

    #[test]
    fn what_is_shown_is_forgotten_a_round_later_and_group_by_group() {
        let mut state = State::new(BookView::default(), BTreeMap::new(), GrowingFilter::Unknown, 8);
        for sequence in 1..=6 {
            let key = KeyMark { claim: sequence.into(), fingerprint: 0 };
            let refusal = StoredRefusal::of(&Problem::new(Code::InsufficientFunds), "a call");
            let group = TailGroup {
                sequence,
                at: Timestamp::default(),
                hash: ChainHash::default(),
                mint: MintMark::default(),
                claims_before: sequence - 1,
                records: vec![Arc::new(Record::refused(key, refusal))],
            };
            state.commit(group, []);
        }
        let remembered = |state: &State| -> Vec<u128> {
            (1..=6).filter(|claim| state.claimed(*claim).is_some()).collect()
        };
        state.mark_shown(2, &[], 10);
        assert!(state.forget_oldest().is_none(), "commands on their way may need it");
        state.mark_shown(5, &[], 10);
        assert_eq!((state.floor(), remembered(&state), state.lag), (1, vec![1, 2, 3, 4, 5, 6], 1));
        assert_eq!(state.forget_oldest().map(|group| group.sequence), Some(1));
        assert_eq!((state.floor(), remembered(&state)), (2, vec![2, 3, 4, 5, 6]), "it goes with its claims");
        assert_eq!(state.forget_oldest().map(|group| group.sequence), Some(2));
        assert!(state.forget_oldest().is_none());
        state.mark_shown(4, &[], 10);
        assert!(state.forget_oldest().is_none(), "what was shown before tells nothing");
        assert_eq!((state.floor(), state.shown, state.claims.len()), (3, 5, 4));
    }
}
