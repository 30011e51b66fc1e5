//! What this module keeps beside the ledger: the assets, documents of the installation.

pub(crate) mod assets;
