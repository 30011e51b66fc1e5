//! Transactions: what was posted, never changed and never removed.

use std::collections::BTreeMap;

use credit_core::{Actor, AssetCode, EntryId, GrantId, HoldId, Timestamp, TransactionId, WalletId};
use serde::{Deserialize, Serialize};

use super::lot::Category;

/// What kind of movement it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Purchase,
    Grant,
    Spend,
    Transfer,
    Adjustment,
    Refund,
    Capture,
    Expiry,
    Void,
}

impl Kind {
    /// Each kind with its text.
    pub const NAMES: [(Self, &'static str); 9] = [
        (Self::Purchase, "purchase"),
        (Self::Grant, "grant"),
        (Self::Spend, "spend"),
        (Self::Transfer, "transfer"),
        (Self::Adjustment, "adjustment"),
        (Self::Refund, "refund"),
        (Self::Capture, "capture"),
        (Self::Expiry, "expiry"),
        (Self::Void, "void"),
    ];

    /// The text.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// From the text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind)
    }
}

/// Where an entry is booked: a wallet, or one of the system's accounts, which are sums over entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Account {
    /// A wallet.
    Wallet(WalletId),
    /// Where credits come from, and go back to when a purchase is refunded or a lot voided.
    Issuance,
    /// Where spent credits go.
    Revenue,
    /// Where expired credits go.
    Expired,
    /// The other side of adjustments.
    Adjustments,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wallet(id) => id.fmt(f),
            Self::Issuance => f.write_str("system:issuance"),
            Self::Revenue => f.write_str("system:revenue"),
            Self::Expired => f.write_str("system:expired"),
            Self::Adjustments => f.write_str("system:adjustments"),
        }
    }
}

/// The side of an entry. A wallet's balance grows by credits and shrinks by debits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Debit,
    Credit,
}

/// One side of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Where.
    pub account: Account,
    /// Which side.
    pub direction: Direction,
    /// How much, positive.
    pub amount: i64,
    /// The balance of the wallet right after; `None` for system accounts, which are sums and not balances.
    pub balance_after: Option<i64>,
    /// The place among the wallet's entries, from 1 without gaps; `None` for system accounts.
    pub sequence: Option<u64>,
}

/// Which wallets moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parties {
    /// One wallet against a system account.
    One(WalletId),
    /// From a wallet to another.
    Between { source: WalletId, destination: WalletId },
}

impl Parties {
    /// The wallet that pays, or the only one.
    pub fn first(self) -> WalletId {
        match self {
            Self::One(wallet) => wallet,
            Self::Between { source, .. } => source,
        }
    }

    /// Every wallet that moved.
    pub fn wallets(self) -> impl Iterator<Item = WalletId> {
        let second = match self {
            Self::One(_) => None,
            Self::Between { destination, .. } => Some(destination),
        };
        std::iter::once(self.first()).chain(second)
    }
}

/// What was taken from one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The lot.
    pub grant: GrantId,
    /// How much.
    pub amount: i64,
    /// The lot's expiry.
    pub expires_at: Option<Timestamp>,
    /// The lot's category.
    pub category: Category,
}

/// What went into one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credited {
    /// The lot.
    pub grant: GrantId,
    /// How much, what repaid an overdraft included.
    pub amount: i64,
}

/// What the caller wrote beside a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The consumer's reference.
    pub reference: Option<String>,
    /// The consumer's pairs.
    pub metadata: BTreeMap<String, String>,
    /// Why, for adjustments and refunds.
    pub reason: Option<String>,
    /// The payment's id, for purchases.
    pub external_id: Option<String>,
}

/// A posted transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its id; ids of one book grow with their place in it.
    pub id: TransactionId,
    /// What kind.
    pub kind: Kind,
    /// How much, positive.
    pub amount: i64,
    /// In which asset.
    pub asset: AssetCode,
    /// Which wallets.
    pub parties: Parties,
    /// The version that it gave the wallet that pays (else the one that gets).
    pub wallet_version: u64,
    /// What it refunds.
    pub refund_of: Option<TransactionId>,
    /// The hold that it captures.
    pub hold: Option<HoldId>,
    /// What the caller wrote beside it.
    pub note: Note,
    /// The lots it took from, in the order of taking.
    pub taken: Vec<Taken>,
    /// The lots it went into.
    pub credited: Vec<Credited>,
    /// What a spend took beyond the lots; of a refund, what repaid the overdraft.
    pub overdrawn: i64,
    /// Who.
    pub created_by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// Both sides; they sum to zero.
    pub entries: Vec<Entry>,
}

impl Transaction {
    /// Whether it moved this wallet.
    pub fn touches(&self, wallet: WalletId) -> bool {
        match self.parties {
            Parties::One(only) => only == wallet,
            Parties::Between { source, destination } => source == wallet || destination == wallet,
        }
    }
}
