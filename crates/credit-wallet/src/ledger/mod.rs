//! The ledger: a lane per book that decides commands one after another and appends them group by group to the journal,
//! and the views that are written behind it.

mod audit;
mod book;
mod codec;
mod config;
mod courtesy;
mod draft;
mod filter;
mod history;
mod job;
mod jump;
mod lane;
mod load;
mod meter;
mod mint;
mod pass_on;
mod projector;
mod read;
mod reconcile;
mod refresh;
mod state;
mod sweeper;
mod traced;
mod turn;
mod usual;
pub mod views;

mod rebuild;

pub use audit::{Replayed, verify_book};
pub use book::{Book, Ledger, LedgerParts};
pub use codec::{GroupHeader, describe_group};
pub use config::LedgerSettings;
pub use history::{HistoryEntry, TransactionFilter};
pub use job::{Ask, Outcome};
pub(crate) use meter::{asset_label, number, wide};
pub use pass_on::Company;
pub use read::{BalanceAt, Posted};
pub use rebuild::rebuild_views;
pub use reconcile::Reconciled;
pub use state::{Totals, TotalsByAsset};
