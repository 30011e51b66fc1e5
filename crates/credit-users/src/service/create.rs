//! Making users: what registration, the API and the first admin share.

use credit_api::form::Metadata;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::{AppId, Code, Problem, Role, UserId};

use super::{Users, busy};
use crate::domain::{Email, NewPassword, Status, User, Username};
use crate::store::pending::{self, PENDING};
use crate::store::users;

/// A user to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Unique in the application, look-alikes included.
    pub username: Username,
    /// Unique in the application.
    pub email: Email,
    /// Without one it cannot log in.
    pub password: Option<NewPassword>,
    /// What the application keeps of it.
    pub profile: Metadata,
    /// What it may be.
    pub roles: Vec<Role>,
}

impl Users {
    /// Makes a user with a wallet in the default asset: `409 username_taken`, `409 email_taken`, `422` if the password
    /// is its name. If the wallet cannot be opened, the user stays noted, and the wallet follows by itself.
    pub async fn create(&self, app: AppId, new: NewUser) -> Result<User, Problem> {
        let user = self.insert(app, new).await?;
        self.furnish(user).await
    }

    /// What makes a new user whole: its wallet, and its place among the admins if it is one.
    pub(super) async fn furnish(&self, user: User) -> Result<User, Problem> {
        let app = user.app;
        if !self.open_wallet(app, user.id, 1).await? {
            return Err(Problem::new(Code::UsernameTaken));
        }
        if user.is_active_admin() {
            self.settle_admin(app, user.id, None).await?;
        }
        Ok(user)
    }

    pub(super) async fn insert(&self, app: AppId, new: NewUser) -> Result<User, Problem> {
        if let Some(password) = &new.password {
            password.refuse_own_name("/password", Some(&new.username), Some(&new.email))?;
        }
        let password_hash = match new.password.clone() {
            Some(password) => Some(self.passwords.hash(password.into_secret()).await.map_err(busy)?),
            None => None,
        };
        self.insert_hashed(app, NewUser { password: None, ..new }, password_hash).await
    }

    /// The same for a password that is hashed already, and has been compared with the names.
    pub(super) async fn insert_hashed(
        &self,
        app: AppId,
        new: NewUser,
        password_hash: Option<String>,
    ) -> Result<User, Problem> {
        let now = self.now();
        let user = User {
            app,
            id: UserId::from_u128(self.ids.mint()),
            username: Some(new.username),
            email: Some(new.email),
            profile: Some(new.profile),
            password_hash,
            status: Status::Active,
            roles: new.roles,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let batch = Batch::of(self.store.insert(&user)).and(pending::note(user.id));
        self.documents.commit(app, batch).await.map_err(taken)?;
        Ok(user)
    }

    /// Opens the wallet of a user that is noted as without and crosses the note out, if it is still at `version`. False
    /// if somebody else has taken the note over or crossed it out.
    pub(super) async fn open_wallet(&self, app: AppId, user: UserId, version: u64) -> Result<bool, Problem> {
        self.wallets.open_default(app, user).await?;
        match self.documents.commit(app, Batch::of(pending::cross_out(user, version))).await {
            Ok(()) => Ok(true),
            Err(CommitError::Version { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// The version of the note that a user is without a wallet, if there is one.
    pub(super) async fn note(&self, app: AppId, user: UserId) -> Result<Option<u64>, Problem> {
        let note = self.documents.get(app, &PENDING, &user.to_string()).await?;
        Ok(note.map(|note| note.version))
    }
}

/// `409 username_taken` or `email_taken` of a commit.
pub(super) fn taken(error: CommitError) -> Problem {
    match error {
        CommitError::Taken { index: users::USERNAME, .. } => Problem::new(Code::UsernameTaken),
        CommitError::Taken { index: users::EMAIL, .. } => Problem::new(Code::EmailTaken),
        other => other.into(),
    }
}
