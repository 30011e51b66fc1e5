//! Changing one's own password.

use credit_api::request::Client;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::{AppId, Code, Problem, SessionId, UserId};
use secrecy::SecretString;

use super::{ATTEMPTS, Users, busy};
use crate::domain::{NewPassword, Status, User};

impl Users {
    /// Keeps a new password and ends every other session: `401 invalid_credentials` if the current one is wrong.
    pub(crate) async fn change_password(
        &self,
        app: AppId,
        id: UserId,
        session: SessionId,
        current: SecretString,
        new: NewPassword,
        client: &Client,
    ) -> Result<(), Problem> {
        let user = self.present(app, id).await?;
        new.refuse_own_name("/new_password", user.username.as_ref(), user.email.as_ref())?;
        self.confirm(&user, current, client).await?;
        let hash = self.passwords.hash(new.into_secret()).await.map_err(busy)?;
        self.keep_password(user, hash).await?;
        self.end_sessions(app, id, Some(session)).await
    }

    /// Keeps the hash although other fields may be changed meanwhile; if the password was, the check was for another.
    async fn keep_password(&self, mut user: User, hash: String) -> Result<(), Problem> {
        let confirmed = user.password_hash.clone();
        for _ in 0..ATTEMPTS {
            let next = User { password_hash: Some(hash.clone()), updated_at: self.now(), ..user.clone() };
            match self.documents.commit(user.app, Batch::of(self.store.replace(&next))).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            user = self.present(user.app, user.id).await?;
            if user.status != Status::Active || user.password_hash != confirmed {
                return Err(Problem::new(Code::InvalidCredentials));
            }
        }
        Err(Problem::new(Code::Conflict))
    }
}
