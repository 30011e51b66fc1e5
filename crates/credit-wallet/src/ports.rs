//! What this module needs of others.

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::{AppId, UserId};
use credit_users::{Status, UserDirectory};

/// Knows which users there are.
#[async_trait]
pub trait UserLookup: Send + Sync {
    /// Whether the application has this user, and it is not deleted.
    async fn exists(&self, app: AppId, user: UserId) -> Result<bool, StoreError>;
}

#[async_trait]
impl UserLookup for UserDirectory {
    async fn exists(&self, app: AppId, user: UserId) -> Result<bool, StoreError> {
        let found = self.find(app, user).await?;
        Ok(found.is_some_and(|found| found.status != Status::Deleted))
    }
}
