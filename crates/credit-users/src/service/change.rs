//! Changing a user's name, address and profile.

use credit_api::form::Metadata;
use credit_api::request::IfMatch;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::{Code, Principal, Problem, UserId};

use super::create::taken;
use super::{ATTEMPTS, Users};
use crate::domain::{Email, User, Username};

/// What is to be changed; what is not named stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) username: Option<Username>,
    pub(crate) email: Option<Email>,
    pub(crate) profile: Option<Metadata>,
}

impl Users {
    /// Changes a user that the caller may change; nothing is written if it stays as it is. `412` if it is not at a wanted version, `409 username_taken` or
    /// `email_taken`.
    pub(crate) async fn change(
        &self,
        caller: &Principal,
        id: UserId,
        change: Change,
        if_match: Option<IfMatch>,
    ) -> Result<User, Problem> {
        for _ in 0..ATTEMPTS {
            let user = self.changeable(caller, id).await?;
            if let Some(wanted) = &if_match {
                wanted.check(user.version)?;
            }
            let mut next = user.clone();
            let Change { username, email, profile } = change.clone();
            next.username = username.or(next.username);
            next.email = email.or(next.email);
            next.profile = profile.or(next.profile);
            let same = |next: &User| {
                (&next.username, &next.email, &next.profile) == (&user.username, &user.email, &user.profile)
            };
            if same(&next) {
                return Ok(user);
            }
            next.updated_at = self.now();
            match self.replace(next).await {
                Ok(user) => return Ok(user),
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(taken(other)),
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    /// Keeps the next version of a user.
    pub(super) async fn replace(&self, user: User) -> Result<User, CommitError> {
        self.documents.commit(user.app, Batch::of(self.store.replace(&user))).await?;
        Ok(User { version: user.version + 1, ..user })
    }
}
