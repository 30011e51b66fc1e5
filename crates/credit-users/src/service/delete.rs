//! Deleting a user.

use credit_core::{Principal, Problem, UserId};

use super::Users;

impl Users {
    /// Closes the wallets of a user, erases its personal fields and forgets its sessions; its name and address are free
    /// again, what it did stays. `409 wallet_not_empty` or `409 last_admin`, and then nothing is changed.
    ///
    /// Broken off in the middle, the wallets are closed and the user is still there: delete it again.
    pub(crate) async fn delete(&self, caller: &Principal, id: UserId) -> Result<(), Problem> {
        let user = self.changeable(caller, id).await?;
        let (app, id) = (user.app, user.id);
        if user.is_active_admin() {
            // Asked before the wallets are closed, for they do not open again.
            let change = self.strike_off(app, id).await?;
            let closed = self.wallets.close_all(app, id).await;
            if closed.is_err() {
                self.settle_admin(app, id, Some(change)).await?;
            }
            closed?;
            let now = self.now();
            let erased = self.change_standing(user, |user| Ok(user.erased(now))).await;
            self.settle_admin(app, id, Some(change)).await?;
            erased?;
        } else {
            self.wallets.close_all(app, id).await?;
            let now = self.now();
            self.change_standing(user, |user| Ok(user.erased(now))).await?;
        }
        self.forget_sessions(app, id).await
    }
}
