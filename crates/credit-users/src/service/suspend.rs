//! Suspending and reactivating.

use credit_core::{Principal, Problem, Role, UserId};

use super::Users;
use crate::domain::{Status, User};

impl Users {
    /// Suspends a user and ends its sessions: from its next request on it is nobody. `403` if somebody who is no admin
    /// suspends an admin, `409 last_admin` for the last one. Twice is once.
    pub(crate) async fn suspend(&self, caller: &Principal, id: UserId) -> Result<User, Problem> {
        let user = self.changeable(caller, id).await?;
        let now = self.now();
        let user = self
            .change_standing(user, |user| {
                if user.roles.contains(&Role::Admin) && !caller.is_admin() {
                    return Err(Problem::forbidden());
                }
                Ok(User { status: Status::Suspended, updated_at: now, ..user.clone() })
            })
            .await?;
        self.end_sessions(user.app, user.id, None).await?;
        Ok(user)
    }

    /// Lets a suspended user log in again. One that is active stays so.
    pub(crate) async fn reactivate(&self, caller: &Principal, id: UserId) -> Result<User, Problem> {
        let user = self.changeable(caller, id).await?;
        let now = self.now();
        self.change_standing(user, |user| {
            Ok(User { status: Status::Active, updated_at: now, ..user.clone() })
        })
        .await
    }
}
