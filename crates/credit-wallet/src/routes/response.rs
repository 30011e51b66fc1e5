//! What consumers see of wallets, lots, holds and transactions.

use std::collections::BTreeMap;

use credit_core::{AppId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Account, Asset, Category, Hold, Lot, Parties, Taken, Transaction, Wallet};
use crate::ledger::BalanceAt;
use crate::service::Sight;

/// An asset.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AssetResponse {
    pub code: String,
    /// How many decimal places people see.
    pub scale: u8,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl AssetResponse {
    /// An asset as it is kept.
    pub fn new(asset: &Asset) -> Self {
        Self { code: asset.code.to_string(), scale: asset.scale, created_at: asset.created_at }
    }
}

/// Credits that are going to expire.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExpiringResponse {
    /// How many.
    pub amount: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A wallet.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WalletResponse {
    pub id: String,
    pub app_id: String,
    pub user_id: String,
    pub asset: String,
    /// `active`, `frozen` or `closed`.
    #[schema(value_type = String)]
    pub status: crate::domain::WalletStatus,
    /// Sum of the lots' remaining minus `overdrawn`.
    pub balance: i64,
    /// What holds keep.
    pub held: i64,
    /// What is not effective yet.
    pub scheduled: i64,
    /// What spends took beyond the lots.
    pub overdrawn: i64,
    /// `balance - held - scheduled + overdraft_limit`.
    pub available: i64,
    pub overdraft_limit: i64,
    pub low_balance_threshold: Option<i64>,
    /// What expires when, soonest first.
    pub expiring: Vec<ExpiringResponse>,
    pub metadata: BTreeMap<String, String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    pub version: u64,
}

impl WalletResponse {
    /// A wallet as it is at an instant; whatever is due by then has been settled in it.
    pub fn new(app: AppId, wallet: &Wallet, now: Timestamp) -> Self {
        let mut expiring: BTreeMap<Timestamp, i64> = BTreeMap::new();
        for lot in wallet.lots.iter().filter(|lot| lot.free() > 0) {
            if let Some(expires_at) = lot.expires_at {
                *expiring.entry(expires_at).or_default() += lot.free();
            }
        }
        Self {
            id: wallet.id.to_string(),
            app_id: app.to_string(),
            user_id: wallet.user.to_string(),
            asset: wallet.asset.to_string(),
            status: wallet.status,
            balance: wallet.balance(),
            held: wallet.held(),
            scheduled: wallet.scheduled(now),
            overdrawn: wallet.overdrawn,
            available: wallet.available(now),
            overdraft_limit: wallet.overdraft_limit,
            low_balance_threshold: wallet.low_balance_threshold,
            expiring: expiring
                .into_iter()
                .map(|(expires_at, amount)| ExpiringResponse { amount, expires_at })
                .collect(),
            metadata: wallet.metadata.as_ref().clone(),
            created_at: wallet.created_at,
            updated_at: wallet.updated_at,
            version: wallet.version,
        }
    }
}

/// The figures of a wallet at an instant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BalanceResponse {
    pub wallet_id: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub balance: i64,
    pub held: i64,
    pub available: i64,
}

impl BalanceResponse {
    /// The figures of a wallet.
    pub fn new(wallet: &Wallet, figures: BalanceAt) -> Self {
        Self {
            wallet_id: wallet.id.to_string(),
            at: figures.at,
            balance: figures.balance,
            held: figures.held,
            available: figures.available,
        }
    }
}

/// A lot.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GrantResponse {
    pub id: String,
    pub wallet_id: String,
    pub amount: i64,
    pub remaining: i64,
    pub held: i64,
    /// `paid` or `promotional`.
    #[schema(value_type = String)]
    pub category: Category,
    pub priority: u8,
    #[schema(value_type = String, format = DateTime)]
    pub effective_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// `pending`, `active`, `depleted`, `expired` or `voided`.
    #[schema(value_type = String)]
    pub state: crate::domain::LotState,
    pub successor_of: Option<String>,
    pub transaction_id: String,
}

impl GrantResponse {
    /// A lot as it is at an instant.
    pub fn new(wallet: &Wallet, lot: &Lot, now: Timestamp) -> Self {
        Self {
            id: lot.id.to_string(),
            wallet_id: wallet.id.to_string(),
            amount: lot.amount,
            remaining: lot.remaining,
            held: lot.held,
            category: lot.category,
            priority: lot.priority.get(),
            effective_at: lot.effective_at,
            expires_at: lot.expires_at,
            state: lot.state(now),
            successor_of: lot.successor_of.map(|id| id.to_string()),
            transaction_id: lot.transaction.to_string(),
        }
    }
}

/// What a hold reserved of a lot.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReservedResponse {
    pub grant_id: String,
    pub amount: i64,
}

/// A hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HoldResponse {
    pub id: String,
    pub app_id: String,
    pub wallet_id: String,
    pub amount: i64,
    pub captured: i64,
    /// What it still holds.
    pub remaining: i64,
    /// `active`, `captured`, `released` or `expired`.
    #[schema(value_type = String)]
    pub state: crate::domain::HoldState,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    pub reserved_from: Vec<ReservedResponse>,
    pub reference: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub created_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub wallet_version: u64,
    pub version: u64,
    /// There, and true, only in the answer to a dry run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub dry_run: bool,
}

impl HoldResponse {
    /// A hold as it is.
    pub fn new(app: AppId, hold: &Hold) -> Self {
        let reserved = |part: &crate::domain::HoldPart| ReservedResponse {
            grant_id: part.grant.to_string(),
            amount: part.amount,
        };
        Self {
            id: hold.id.to_string(),
            app_id: app.to_string(),
            wallet_id: hold.wallet.to_string(),
            amount: hold.amount,
            captured: hold.captured,
            remaining: hold.remaining(),
            state: hold.state,
            expires_at: hold.expires_at,
            reserved_from: hold.parts.iter().map(reserved).collect(),
            reference: hold.reference.clone(),
            metadata: hold.metadata.clone(),
            created_by: hold.created_by.to_string(),
            created_at: hold.created_at,
            wallet_version: hold.wallet_version,
            version: hold.version,
            dry_run: false,
        }
    }

    /// Marked as decided and not stored.
    #[must_use]
    pub fn dry(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What was taken from a lot.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TakenResponse {
    pub grant_id: String,
    pub amount: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// `paid` or `promotional`.
    #[schema(value_type = String)]
    pub category: Category,
}

/// What went into a lot.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CreditedResponse {
    pub grant_id: String,
    /// What repaid an overdraft included.
    pub amount: i64,
}

/// One side of a transaction. System accounts are sums and have no balance and no sequence.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EntryResponse {
    pub id: String,
    /// The wallet's id, or `system:issuance`, `system:revenue`, `system:expired`, `system:adjustments`.
    pub account: String,
    /// `debit` or `credit`.
    #[schema(value_type = String)]
    pub direction: crate::domain::Direction,
    pub amount: i64,
    pub balance_after: Option<i64>,
    pub sequence: Option<u64>,
}

/// A posted transaction. A transfer has `source_wallet_id` and `destination_wallet_id`, everything else `wallet_id`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TransactionResponse {
    pub id: String,
    pub app_id: String,
    /// `purchase`, `grant`, `spend`, `transfer`, `adjustment`, `refund`, `capture`, `expiry` or `void`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: crate::domain::Kind,
    /// Always `posted`.
    pub status: &'static str,
    pub amount: i64,
    pub asset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_wallet_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_wallet_id: Option<String>,
    pub wallet_version: u64,
    pub refunded_amount: i64,
    pub refund_of: Option<String>,
    pub hold_id: Option<String>,
    pub external_id: Option<String>,
    pub reference: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub reason: Option<String>,
    pub taken_from: Vec<TakenResponse>,
    pub credited_to: Vec<CreditedResponse>,
    pub overdrawn: i64,
    pub created_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub entries: Vec<EntryResponse>,
    /// There, and true, only in the answer to a dry run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub dry_run: bool,
}

/// Which wallets' insides a viewer may see in a transaction.
#[derive(Debug, Clone)]
pub enum Viewer {
    /// All: the application's back end or an operator.
    All,
    /// Those of one user: of the other side of a transfer, only that it moved.
    Of(Vec<credit_core::WalletId>),
}

impl Viewer {
    /// What a caller sees in transactions that move one of `own`.
    pub fn new(sight: Sight, own: impl IntoIterator<Item = credit_core::WalletId>) -> Self {
        match sight {
            Sight::Own(..) => Self::Of(own.into_iter().collect()),
            Sight::App(_) | Sight::All => Self::All,
        }
    }

    fn sees(&self, wallet: credit_core::WalletId) -> bool {
        match self {
            Self::All => true,
            Self::Of(own) => own.contains(&wallet),
        }
    }
}

impl TransactionResponse {
    /// A transaction as a viewer may see it, with what has been refunded of it.
    pub fn new(app: AppId, transaction: &Transaction, refunded_amount: i64, viewer: &Viewer) -> Self {
        let (wallet, source, destination) = match transaction.parties {
            Parties::One(wallet) => (Some(wallet.to_string()), None, None),
            Parties::Between { source, destination } => {
                (None, Some(source.to_string()), Some(destination.to_string()))
            }
        };
        let pays = viewer.sees(transaction.parties.first());
        let gets = transaction.parties.wallets().last().is_some_and(|wallet| viewer.sees(wallet));
        let taken = |taken: &Taken| TakenResponse {
            grant_id: taken.grant.to_string(),
            amount: taken.amount,
            expires_at: taken.expires_at,
            category: taken.category,
        };
        let entries = transaction.entries.iter().map(|entry| {
            let seen = match entry.account {
                Account::Wallet(wallet) => viewer.sees(wallet),
                _ => true,
            };
            EntryResponse {
                id: entry.id.to_string(),
                account: entry.account.to_string(),
                direction: entry.direction,
                amount: entry.amount,
                balance_after: entry.balance_after.filter(|_| seen),
                sequence: entry.sequence.filter(|_| seen),
            }
        });
        Self {
            id: transaction.id.to_string(),
            app_id: app.to_string(),
            kind: transaction.kind,
            status: "posted",
            amount: transaction.amount,
            asset: transaction.asset.to_string(),
            wallet_id: wallet,
            source_wallet_id: source,
            destination_wallet_id: destination,
            wallet_version: transaction.wallet_version,
            refunded_amount,
            refund_of: transaction.refund_of.map(|id| id.to_string()),
            hold_id: transaction.hold.map(|id| id.to_string()),
            external_id: transaction.note.external_id.clone(),
            reference: transaction.note.reference.clone(),
            metadata: transaction.note.metadata.clone(),
            reason: transaction.note.reason.clone(),
            taken_from: if pays { transaction.taken.iter().map(taken).collect() } else { Vec::new() },
            credited_to: transaction
                .credited
                .iter()
                .filter(|_| gets)
                .map(|credited| CreditedResponse {
                    grant_id: credited.grant.to_string(),
                    amount: credited.amount,
                })
                .collect(),
            overdrawn: if pays { transaction.overdrawn } else { 0 },
            created_by: transaction.created_by.to_string(),
            created_at: transaction.created_at,
            entries: entries.collect(),
            dry_run: false,
        }
    }

    /// Marked as decided and not stored.
    #[must_use]
    pub fn dry(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// One entry of a wallet with what it belongs to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HistoryEntryResponse {
    pub id: String,
    pub transaction_id: String,
    /// The type of the transaction.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: crate::domain::Kind,
    pub account: String,
    /// `debit` or `credit`.
    #[schema(value_type = String)]
    pub direction: crate::domain::Direction,
    pub amount: i64,
    pub balance_after: i64,
    /// From 1 without gaps.
    pub sequence: u64,
    pub reference: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl HistoryEntryResponse {
    /// An entry.
    pub fn new(row: &crate::ledger::HistoryEntry) -> Self {
        let (transaction, entry) = (row.posted.transaction(), row.entry());
        Self {
            id: entry.id.to_string(),
            transaction_id: transaction.id.to_string(),
            kind: transaction.kind,
            account: entry.account.to_string(),
            direction: entry.direction,
            amount: entry.amount,
            balance_after: entry.balance_after.unwrap_or_default(),
            sequence: entry.sequence.unwrap_or_default(),
            reference: transaction.note.reference.clone(),
            created_at: transaction.created_at,
        }
    }
}
