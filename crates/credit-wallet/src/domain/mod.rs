//! The rules. Pure: state, request and time in; change or refusal out. No clock, no randomness, no IO.

mod asset;
mod chain;
mod desk;
mod hold;
mod invariants;
mod lot;
mod portable;
mod record;
mod refusal;
mod settle;
mod transaction;
mod wallet;

pub mod commands;
pub mod moves;

pub use asset::Asset;
pub use chain::{ChainHash, chain_entry};
pub use desk::{Command, Decided, Desk, Needs, World};
pub use hold::{Hold, HoldPart, HoldState};
pub use invariants::{Broken, check_posted, check_wallet};
pub use lot::{Category, Lot, LotState, Priority};
pub use portable::{Pack, Portable, Unpack};
pub use record::{
    Answer, Answered, Figures, KeyMark, Level, Place, Record, StoredRefusal, WalletChange, claim,
};
pub use refusal::{insufficient_funds, overflow};
pub use settle::{has_due, next_due, settle, settled_view};
pub use transaction::{Account, Credited, Direction, Entry, Kind, Note, Parties, Taken, Transaction};
pub use wallet::{OpenWallet, Refunded, Wallet, WalletStatus};
