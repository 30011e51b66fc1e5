//! The kinds of transactions, composed from the moves of the ledger's kernel. Pure.

mod adjustment;
mod expiry;
mod grant;
mod purchase;
mod refund;
mod spend;
mod transfer;

pub use adjustment::Adjust;
pub use expiry::{PAST_EXPIRY, past_expiry};
pub use grant::GiveGrant;
pub use purchase::Purchase;
pub use refund::Refund;
pub use spend::Spend;
pub use transfer::Transfer;

use credit_wallet::domain::Unpack;

/// The commands of this module that another process can decide.
pub const PORTABLE: &[Unpack] = &[
    Unpack::of::<Adjust>(),
    Unpack::of::<GiveGrant>(),
    Unpack::of::<Purchase>(),
    Unpack::of::<Refund>(),
    Unpack::of::<Spend>(),
    Unpack::of::<Transfer>(),
];
