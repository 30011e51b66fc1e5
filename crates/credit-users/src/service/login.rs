//! Login.

use credit_api::request::Client;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::ports::passwords::PasswordVerdict;
use credit_core::{AppId, Code, Problem};
use secrecy::SecretString;

use super::throttle::{Counter, hex};
use super::{ATTEMPTS, Tokens, Users, busy};
use crate::domain::{Status, User, likeness};

impl Users {
    /// Logs a user in by name or e-mail address.
    ///
    /// A wrong password, an unknown and a suspended user are the same `401 invalid_credentials` after the same work: one
    /// comparison of a password and one count. After too many failures `429 rate_limited`, with the right password too.
    pub(crate) async fn login(
        &self,
        app: AppId,
        login: &str,
        password: SecretString,
        client: &Client,
    ) -> Result<Tokens, Problem> {
        let user = self.by_login(app, login).await?;
        let account = self.account_counter(app, user.as_ref(), login);
        let address = Counter::of_address(&*self.hash, client.address);
        let attempt = self.throttle.admit(account, address, self.now()).await?;
        let kept = user.as_ref().and_then(|user| user.password_hash.clone());
        let verdict = self.passwords.verify(password.clone(), kept).await.map_err(busy)?;
        let user = user.filter(|user| user.status == Status::Active && verdict != PasswordVerdict::Wrong);
        let Some(mut user) = user else {
            attempt.failed(self.now()).await?;
            return Err(Problem::new(Code::InvalidCredentials));
        };
        attempt.succeeded().await?;
        if verdict == PasswordVerdict::RightButStale {
            user = self.strengthen(user, password).await?;
        }
        if self.note(app, user.id).await?.is_some() {
            // The note is left to the sweep: the registration may be under way.
            self.wallets.open_default(app, user.id).await?;
        }
        self.open_session_of(user, client).await
    }

    /// A password that must be right before its owner goes on: `401 invalid_credentials`, counted as a failed login.
    pub(super) async fn confirm(
        &self,
        user: &User,
        password: SecretString,
        client: &Client,
    ) -> Result<(), Problem> {
        let account = self.account_counter(user.app, Some(user), "");
        let address = Counter::of_address(&*self.hash, client.address);
        let attempt = self.throttle.admit(account, address, self.now()).await?;
        let verdict = self.passwords.verify(password, user.password_hash.clone()).await.map_err(busy)?;
        if verdict == PasswordVerdict::Wrong {
            attempt.failed(self.now()).await?;
            return Err(Problem::new(Code::InvalidCredentials));
        }
        attempt.succeeded().await
    }

    /// One counter for an account, by whichever name it is tried; and one for each name that nobody has.
    fn account_counter(&self, app: AppId, user: Option<&User>, login: &str) -> Counter {
        if let Some(user) = user {
            return Counter::of_account(app, &user.id.to_string());
        }
        let hash = self.hash.hash("login_unknown", &likeness(login).plain);
        Counter::of_account(app, &hex(&hash))
    }

    async fn by_login(&self, app: AppId, login: &str) -> Result<Option<User>, Problem> {
        let user = if login.contains('@') {
            self.store.by_email(app, login).await?
        } else {
            self.store.by_username(app, login).await?
        };
        Ok(user)
    }

    /// Keeps a stronger hash of a password that was right; if the user is changed meanwhile, the next login will.
    async fn strengthen(&self, user: User, password: SecretString) -> Result<User, Problem> {
        let hash = self.passwords.hash(password).await.map_err(busy)?;
        let next = User { password_hash: Some(hash), ..user.clone() };
        match self.documents.commit(user.app, Batch::of(self.store.replace(&next))).await {
            Ok(()) => Ok(User { version: user.version + 1, ..next }),
            Err(CommitError::Version { .. }) => Ok(user),
            Err(other) => Err(other.into()),
        }
    }

    /// Opens a session although the user may be changed meanwhile, as long as it may still log in with the same
    /// password.
    async fn open_session_of(&self, mut user: User, client: &Client) -> Result<Tokens, Problem> {
        for _ in 0..ATTEMPTS {
            match self.open_session(&user, client).await {
                Ok(tokens) => return Ok(tokens),
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            let now = self.store.find(user.app, user.id).await?;
            let same = |now: &User| now.status == Status::Active && now.password_hash == user.password_hash;
            user = now.filter(same).ok_or_else(|| Problem::new(Code::InvalidCredentials))?;
        }
        Err(Problem::new(Code::Conflict))
    }
}
