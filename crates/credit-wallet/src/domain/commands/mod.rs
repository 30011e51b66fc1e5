//! The commands of this module. `credit-transactions` adds the kinds of transactions.

mod grants;
mod holds;
mod sweep;
mod wallets;

pub use grants::VoidGrant;
pub use holds::{CaptureHold, CreateHold, ExtendHold, ReleaseHold};
pub use sweep::Sweep;
pub use wallets::{ChangeStatus, CloseAll, CreateWallet, FreezeDrifted, PatchWallet, wallet_claim};
