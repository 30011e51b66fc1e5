//! What this module needs of others.

use async_trait::async_trait;
use credit_core::{AppId, Problem, UserId};

/// Where the credits of users are. `credit-wallet` has it.
#[async_trait]
pub trait Wallets: Send + Sync {
    /// Makes sure that the user has a wallet in the default asset. Doing it twice is doing it once.
    async fn open_default(&self, app: AppId, user: UserId) -> Result<(), Problem>;

    /// Closes every wallet of the user, all or none: `409 wallet_not_empty` if one has a balance or a hold. Those that
    /// are closed already stay so.
    async fn close_all(&self, app: AppId, user: UserId) -> Result<(), Problem>;
}
