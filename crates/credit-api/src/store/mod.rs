//! What `connection_api` keeps: documents of the installation, under [`AppId::SYSTEM`](credit_core::AppId::SYSTEM).

pub(crate) mod api_keys;
pub(crate) mod apps;

use credit_core::ports::documents::Collection;

/// Every collection of this module: what a store makes its indexes from, and what moves when a store is copied.
pub static COLLECTIONS: [&Collection; 3] = [&apps::APPS, &api_keys::API_KEYS, &api_keys::API_KEY_USES];
