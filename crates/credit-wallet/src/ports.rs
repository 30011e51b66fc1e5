//! What this module needs of others.

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::{AppId, UserId};

/// Knows which users there are.
#[async_trait]
pub trait UserLookup: Send + Sync {
    /// Whether the application has this user, and it is not deleted.
    async fn exists(&self, app: AppId, user: UserId) -> Result<bool, StoreError>;
}
