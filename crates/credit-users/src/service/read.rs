//! Reading one user.

use credit_core::{AppId, Principal, Problem, UserId};

use super::Users;
use crate::domain::{Status, User};

impl Users {
    /// The user as this caller may see it, deleted ones too: an application its own users, an operator all, a user
    /// itself. Anything else is `404 not_found`.
    pub(crate) async fn visible(&self, caller: &Principal, id: UserId) -> Result<User, Problem> {
        let found = match caller {
            Principal::Application { app, .. } => self.store.find(*app, id).await?,
            Principal::User { app, user, .. } if *user == id => self.store.find(*app, id).await?,
            Principal::User { .. } if caller.is_operator() => self.anywhere(id).await?,
            Principal::User { .. } => None,
        };
        found.ok_or_else(Problem::not_found)
    }

    /// The same, for a change: what is deleted cannot be changed and is `404 not_found`.
    pub(crate) async fn changeable(&self, caller: &Principal, id: UserId) -> Result<User, Problem> {
        let user = self.visible(caller, id).await?;
        if user.status == Status::Deleted { Err(Problem::not_found()) } else { Ok(user) }
    }

    /// A user that is there and not deleted.
    pub(crate) async fn present(&self, app: AppId, id: UserId) -> Result<User, Problem> {
        let user = self.store.find(app, id).await?;
        user.filter(|user| user.status != Status::Deleted).ok_or_else(Problem::not_found)
    }

    async fn anywhere(&self, id: UserId) -> Result<Option<User>, Problem> {
        for app in self.apps.all().await?.iter() {
            if let Some(user) = self.store.find(*app, id).await? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }
}
