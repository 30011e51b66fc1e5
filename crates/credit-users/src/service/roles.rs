//! Giving a user other roles.

use credit_core::{Principal, Problem, Role, UserId};

use super::Users;
use crate::domain::User;

impl Users {
    /// Sets the roles of a user: `409 last_admin` if nobody would be admin. They count from its next request on.
    pub(crate) async fn set_roles(
        &self,
        caller: &Principal,
        id: UserId,
        roles: Vec<Role>,
    ) -> Result<User, Problem> {
        let user = self.changeable(caller, id).await?;
        let now = self.now();
        let user = self
            .change_standing(user, |user| Ok(User { roles: roles.clone(), updated_at: now, ..user.clone() }))
            .await?;
        self.forget_what_was_seen(user.app, user.id).await?;
        Ok(user)
    }
}
