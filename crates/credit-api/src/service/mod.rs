//! What can be asked of `connection_api`.

mod apps;

pub use apps::Apps;
