//! Secrets from `HashiCorp` Vault or `OpenBao`: logging in, staying logged in, reading one secret of a key-value engine.
//!
//! Nothing that Vault answers is ever printed: of its errors only the status and what it means reach a log.

mod reader;
mod session;
mod settings;
mod trouble;

pub use reader::{Standing, Vault};
pub use session::is_address;
pub use settings::{Credential, KvVersion, VaultAuth, VaultSettings};
pub use trouble::VaultTrouble;
