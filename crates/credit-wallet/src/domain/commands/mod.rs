//! The commands of this module. `credit-transactions` adds the kinds of transactions.

mod grants;
mod holds;
mod sweep;
mod wallets;

pub use grants::VoidGrant;
pub use holds::{CaptureHold, CreateHold, ExtendHold, ReleaseHold};
pub use sweep::Sweep;
pub use wallets::{ChangeStatus, CloseAll, CreateWallet, FreezeDrifted, PatchWallet, wallet_claim};

use super::Unpack;

/// The commands of this module that another process can decide: those that have an idempotency key.
pub const PORTABLE: &[Unpack] = &[
    Unpack::of::<CaptureHold>(),
    Unpack::of::<CreateHold>(),
    Unpack::of::<ExtendHold>(),
    Unpack::of::<ReleaseHold>(),
    Unpack::of::<VoidGrant>(),
];
