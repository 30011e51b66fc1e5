//! A wallet: one user's credits in one asset, with its lots, its holds and what was refunded.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_core::{AssetCode, GrantId, HoldId, Timestamp, TransactionId, UserId, WalletId};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::chain::ChainHash;
use super::hold::Hold;
use super::lot::Lot;

/// Whether credits may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalletStatus {
    /// They may.
    Active,
    /// Nothing but expiry moves.
    Frozen,
    /// Empty, for ever.
    Closed,
}

impl WalletStatus {
    /// Each status with its text.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Active, "active"), (Self::Frozen, "frozen"), (Self::Closed, "closed")];

    /// From the text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(status, _)| *status)
    }
}

/// How much of a transaction has been refunded, in all and part by part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    /// In all.
    pub total: i64,
    /// Of the overdrawn part.
    pub overdrawn: i64,
    /// Of each lot it took from, in that order.
    pub parts: Vec<i64>,
    /// The journal group that changed it last.
    pub changed_in: u64,
}

/// What a new wallet is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWallet {
    /// Its id.
    pub id: WalletId,
    /// Whose.
    pub user: UserId,
    /// Of what.
    pub asset: AssetCode,
    /// The consumer's pairs.
    pub metadata: BTreeMap<String, String>,
}

/// A wallet. Cheap to copy: a decision works on a copy and throws it away when it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// Whose.
    pub user: UserId,
    /// Of what.
    pub asset: AssetCode,
    /// Whether credits may move.
    pub status: WalletStatus,
    /// How far spends may go below the lots.
    pub overdraft_limit: i64,
    /// Below which balance the owner wants to hear.
    pub low_balance_threshold: Option<i64>,
    /// The consumer's pairs.
    pub metadata: Arc<BTreeMap<String, String>>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// Counts its changes from 1.
    pub version: u64,
    /// What spends took beyond the lots and nothing has repaid yet.
    pub overdrawn: i64,
    /// How many entries it has.
    pub entries: u64,
    /// The hash of its last entry, chained over all of them.
    pub chain: ChainHash,
    /// Lots with credits left, in draw order.
    pub lots: Vec<Lot>,
    /// Active holds; settled ones until the views show them, or while a command needs them.
    pub holds: OrdMap<HoldId, Hold>,
    /// Lots with nothing left, until the views show them, or while a command needs them.
    #[serde(skip)]
    pub spent_lots: OrdMap<GrantId, Lot>,
    /// Refund progress, until the views show it, or while a command needs it.
    #[serde(skip)]
    pub refunds: OrdMap<TransactionId, Refunded>,
    /// The journal group that changed it last.
    pub changed_in: u64,
}

impl Wallet {
    /// A new wallet, not yet recorded: version 0, which its first change makes 1.
    pub fn new(open: OpenWallet, now: Timestamp) -> Self {
        Self {
            id: open.id,
            user: open.user,
            asset: open.asset,
            status: WalletStatus::Active,
            overdraft_limit: 0,
            low_balance_threshold: None,
            metadata: Arc::new(open.metadata),
            created_at: now,
            updated_at: now,
            version: 0,
            overdrawn: 0,
            entries: 0,
            chain: ChainHash::default(),
            lots: Vec::new(),
            holds: OrdMap::new(),
            spent_lots: OrdMap::new(),
            refunds: OrdMap::new(),
            changed_in: 0,
        }
    }

    /// Sum of the lots' remaining minus what is overdrawn.
    pub fn balance(&self) -> i64 {
        self.lots.iter().map(|lot| lot.remaining).sum::<i64>() - self.overdrawn
    }

    /// What holds keep.
    pub fn held(&self) -> i64 {
        self.lots.iter().map(|lot| lot.held).sum()
    }

    /// What is not effective yet.
    pub fn scheduled(&self, now: Timestamp) -> i64 {
        self.lots.iter().filter(|lot| !lot.is_effective(now)).map(Lot::free).sum()
    }

    /// `balance - held - scheduled + overdraft_limit`.
    pub fn available(&self, now: Timestamp) -> i64 {
        self.balance() - self.held() - self.scheduled(now) + self.overdraft_limit
    }

    /// What the lots alone can give now: effective, unexpired, unheld, and not owed to an overdraft.
    pub fn free_in_lots(&self, now: Timestamp) -> i64 {
        let free: i64 = self.lots.iter().filter(|lot| lot.is_effective(now)).map(Lot::free).sum();
        free.min(self.available(now)).max(0)
    }

    /// When more credits become effective.
    pub fn next_effective_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.lots
            .iter()
            .filter(|lot| !lot.is_effective(now) && lot.free() > 0)
            .map(|lot| lot.effective_at)
            .min()
    }

    /// A lot that is in memory.
    pub fn lot(&self, id: GrantId) -> Option<&Lot> {
        self.lots.iter().find(|lot| lot.id == id).or_else(|| self.spent_lots.get(&id))
    }

    /// Puts a lot where it belongs, in place of what was there of it.
    pub fn put_lot(&mut self, lot: Lot) {
        let place = self.lots.iter().position(|other| other.id == lot.id);
        match (place, lot.remaining) {
            (Some(place), 0) => {
                self.lots.remove(place);
                self.spent_lots.insert(lot.id, lot);
            }
            (None, 0) => {
                self.spent_lots.insert(lot.id, lot);
            }
            // What the draw order looks at never changes, so a lot stays where it is.
            (Some(place), _) => self.lots[place] = lot,
            (None, _) => {
                self.spent_lots.remove(&lot.id);
                let place = self.lots.partition_point(|other| other.draw_order(&lot).is_lt());
                self.lots.insert(place, lot);
            }
        }
    }

    /// Whether there is nothing in it and nothing owed.
    pub fn is_empty(&self) -> bool {
        self.lots.is_empty() && self.overdrawn == 0 && !self.holds.values().any(Hold::is_active)
    }

    /// Forgets what the views show at `watermark`: spent lots, settled holds, refund progress.
    pub fn forget_shown(&mut self, watermark: u64) {
        forget(&mut self.spent_lots, |lot| lot.changed_in <= watermark);
        forget(&mut self.holds, |hold| !hold.is_active() && hold.changed_in <= watermark);
        forget(&mut self.refunds, |refunded| refunded.changed_in <= watermark);
    }
}

fn forget<K: Ord + Copy, V: Clone>(map: &mut OrdMap<K, V>, is_shown: impl Fn(&V) -> bool) {
    let shown: Vec<K> = map.iter().filter(|(_, value)| is_shown(value)).map(|(key, _)| *key).collect();
    for key in shown {
        map.remove(&key);
    }
}
