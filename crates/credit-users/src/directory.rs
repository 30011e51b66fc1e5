//! Who is a user of which application: for other modules, from the documents alone.

use std::sync::Arc;

use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::{AppId, UserId};

use crate::domain::Status;
use crate::store::users::{self, USERS};

/// Finds users.
#[derive(Clone)]
pub struct UserDirectory {
    documents: Arc<dyn Documents>,
}

/// A user as other modules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRef {
    /// Its application.
    pub app: AppId,
    /// Itself.
    pub user: UserId,
    /// What has become of it.
    pub status: Status,
}

impl UserDirectory {
    /// The users in this store.
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self { documents }
    }

    /// The user of this application, deleted ones too; `None` if it has no such user.
    pub async fn find(&self, app: AppId, user: UserId) -> Result<Option<UserRef>, StoreError> {
        let Some(document) = self.documents.get(app, &USERS, &user.to_string()).await? else {
            return Ok(None);
        };
        let status = users::head(&document)?.status;
        Ok(Some(UserRef { app, user, status }))
    }

    /// The user in the first of these applications that has it: for operators, who act across applications.
    pub async fn locate(&self, apps: &[AppId], user: UserId) -> Result<Option<UserRef>, StoreError> {
        for app in apps {
            if let Some(found) = self.find(*app, user).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
