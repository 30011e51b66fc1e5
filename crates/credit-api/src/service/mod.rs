//! What can be asked of `connection_api`.

mod api_keys;
mod apps;
mod health;

pub use api_keys::{ApiKeys, ApiKeysParts, IssuedKey, KnownKey, NewKey};
pub use apps::Apps;
pub(crate) use health::{DependencyReport, Watchman};
