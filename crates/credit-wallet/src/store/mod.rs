//! What this module keeps beside the ledger: the assets, documents of the installation.

pub(crate) mod assets;

use credit_core::ports::documents::Collection;

/// Every collection of this module that is not a view of the journal; those are in
/// [`ledger::views::ALL`](crate::ledger::views::ALL).
pub static COLLECTIONS: [&Collection; 1] = [&assets::ASSETS];
