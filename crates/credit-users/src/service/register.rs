//! Registration.

use credit_api::request::Client;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::ports::passwords::PasswordVerdict;
use credit_core::{AppId, Code, Problem};

use super::{NewUser, Tokens, Users, busy};
use crate::domain::User;
use crate::store::pending;

impl Users {
    /// Makes a user and logs it in. Its wallet is there when this answers.
    ///
    /// A registration that was broken off before its wallet was opened goes on when it is repeated with the same name,
    /// address and password.
    pub(crate) async fn register(
        &self,
        app: AppId,
        new: NewUser,
        client: &Client,
    ) -> Result<(User, Tokens), Problem> {
        let user = match self.create(app, new.clone()).await {
            Err(problem) if problem.code() == Code::UsernameTaken => {
                self.broken_off(app, new).await?.ok_or(problem)?
            }
            other => other?,
        };
        let tokens = self.open_session(&user, client).await?;
        Ok((user, tokens))
    }

    /// The user of an earlier registration of the same person that was broken off, with its wallet. Of several that
    /// want to go on with it, and the one that began, one does.
    async fn broken_off(&self, app: AppId, new: NewUser) -> Result<Option<User>, Problem> {
        let Some(user) = self.store.by_username(app, new.username.as_str()).await? else { return Ok(None) };
        let (note, password) = (self.note(app, user.id).await?, new.password);
        let (Some(note), Some(password)) = (note, password) else { return Ok(None) };
        if user.email.as_ref() != Some(&new.email) {
            return Ok(None);
        }
        let kept = user.password_hash.clone();
        let verdict = self.passwords.verify(password.into_secret(), kept).await.map_err(busy)?;
        if verdict == PasswordVerdict::Wrong {
            return Ok(None);
        }
        match self.documents.commit(app, Batch::of(pending::take_over(user.id, note))).await {
            Ok(()) => Ok(self.open_wallet(app, user.id, note + 1).await?.then_some(user)),
            Err(CommitError::Version { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}
