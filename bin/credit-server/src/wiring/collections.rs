//! What the modules keep: they declare it, the store makes it.

use credit_core::ports::documents::Collection;
use credit_wallet::ledger::views;

/// What is kept for its own sake, of every module there is, also of those that `modules.enabled` leaves out.
pub(crate) fn kept() -> Vec<&'static Collection> {
    [
        &credit_api::COLLECTIONS[..],
        &credit_users::COLLECTIONS,
        &credit_wallet::COLLECTIONS,
        &credit_infra::jobs::COLLECTIONS,
    ]
    .concat()
}

/// What is made of the journal, and can be made again.
pub(crate) fn views() -> Vec<&'static Collection> {
    views::ALL.to_vec()
}

/// All of them.
pub(crate) fn all() -> Vec<&'static Collection> {
    [kept(), views()].concat()
}
