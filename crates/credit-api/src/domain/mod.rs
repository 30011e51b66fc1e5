//! The things that `connection_api` keeps, and their rules.

mod api_key;
mod app;

pub(crate) use api_key::{KeptKey, SecretHash};
pub use app::App;
