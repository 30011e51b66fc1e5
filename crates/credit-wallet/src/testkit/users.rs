//! Users who are only names.

use std::collections::HashSet;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::{AppId, UserId};
use parking_lot::Mutex;

use crate::ports::UserLookup;

/// Knows the users that it was told.
#[derive(Default)]
pub struct KnownUsers(Mutex<HashSet<(AppId, UserId)>>);

impl KnownUsers {
    /// The application has this user from now on.
    pub fn learn(&self, app: AppId, user: UserId) {
        self.0.lock().insert((app, user));
    }
}

#[async_trait]
impl UserLookup for KnownUsers {
    async fn exists(&self, app: AppId, user: UserId) -> Result<bool, StoreError> {
        Ok(self.0.lock().contains(&(app, user)))
    }
}
