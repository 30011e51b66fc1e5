//! Users who come from elsewhere, with the password hashes they had there.

use credit_api::form::Metadata;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::{AppId, Code, Problem, Role, UserId};

use super::Users;
use crate::domain::{Email, Status, User, Username};
use crate::store::pending;

/// A user of another system, as its row says.
#[derive(Clone)]
pub struct ImportedUser {
    /// As it was called there.
    pub username: String,
    /// Its address.
    pub email: String,
    /// bcrypt or argon2, in the usual text forms; without one it cannot log in.
    pub password_hash: Option<String>,
    /// What the application keeps of it.
    pub profile: Metadata,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// A new user.
    Made(UserId),
    /// It is there already, with this name and this address.
    There(UserId),
    /// Why it is not one. Nothing of the row is in it.
    Refused(Vec<&'static str>),
}

const BAD_NAME: &str = "username: must have 3 to 32 letters, digits, dots, underscores and hyphens";
const BAD_EMAIL: &str = "email: must be an e-mail address";
const BAD_HASH: &str = "password_hash: must be a bcrypt or argon2 hash of a bearable cost";
const BAD_PROFILE: &str = "profile: at most 50 pairs of text, keys up to 64 and values up to 512 characters";
const NAME_TAKEN: &str = "username: another user has this name, or one that looks like it";
const EMAIL_TAKEN: &str = "email: another user has this address";

impl Users {
    /// Makes a user with a wallet, or says that it is there: an import can be repeated. Its password is hashed anew at
    /// its first login.
    pub async fn import(&self, app: AppId, row: ImportedUser) -> Result<Import, Problem> {
        let mut faults = Vec::new();
        let username = Username::parse(&row.username);
        let email = Email::parse(&row.email);
        for (is_wrong, fault) in [
            (username.is_none(), BAD_NAME),
            (email.is_none(), BAD_EMAIL),
            (row.password_hash.as_ref().is_some_and(|hash| !self.passwords.is_hash(hash)), BAD_HASH),
            (!row.profile.is_bounded(), BAD_PROFILE),
        ] {
            if is_wrong {
                faults.push(fault);
            }
        }
        let (Some(username), Some(email), []) = (username, email, faults.as_slice()) else {
            return Ok(Import::Refused(faults));
        };
        let user = self.unregistered(app, username, email, row);
        let batch = Batch::of(self.store.insert(&user)).and(pending::note(user.id));
        let refused = match self.documents.commit(app, batch).await {
            Ok(()) => {
                self.open_wallet(app, user.id, 1).await?;
                return Ok(Import::Made(user.id));
            }
            Err(error @ CommitError::Taken { .. }) => super::create::taken(error),
            Err(other) => return Err(other.into()),
        };
        if let Some(there) = self.same_person(app, &user).await? {
            return Ok(Import::There(there));
        }
        Ok(Import::Refused(vec![if refused.code() == Code::EmailTaken { EMAIL_TAKEN } else { NAME_TAKEN }]))
    }

    fn unregistered(&self, app: AppId, username: Username, email: Email, row: ImportedUser) -> User {
        let now = self.now();
        User {
            app,
            id: UserId::from_u128(self.ids.mint()),
            username: Some(username),
            email: Some(email),
            profile: Some(row.profile),
            password_hash: row.password_hash,
            status: Status::Active,
            roles: vec![Role::User],
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Who has both the name and the address.
    async fn same_person(&self, app: AppId, user: &User) -> Result<Option<UserId>, Problem> {
        let (Some(username), Some(email)) = (&user.username, &user.email) else { return Ok(None) };
        let named = self.store.by_username(app, username.as_str()).await?;
        let addressed = self.store.by_email(app, email.as_str()).await?;
        Ok(named.filter(|named| addressed.is_some_and(|other| other.id == named.id)).map(|user| user.id))
    }
}
