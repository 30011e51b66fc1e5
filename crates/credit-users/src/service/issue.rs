//! Giving out tokens.

use credit_api::request::Client;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::ports::tokens::AccessClaims;
use credit_core::{SessionId, Timestamp};
use secrecy::SecretString;

use super::Users;
use crate::domain::{RefreshToken, Session, User};
use crate::store::sessions;
use crate::store::users::UserStore;

/// A pair of tokens.
pub(crate) struct Tokens {
    pub(crate) access: SecretString,
    pub(crate) refresh: SecretString,
    pub(crate) expires_in_seconds: i64,
}

impl Users {
    /// Opens a session for a user whose credentials were right; conflicts if the user was changed since it was read, so
    /// that no login slips past a suspension or a new password.
    pub(super) async fn open_session(&self, user: &User, client: &Client) -> Result<Tokens, CommitError> {
        let now = self.now();
        let id = SessionId::from_u128(self.ids.mint());
        let refresh = RefreshToken::mint(&*self.hash, &*self.secrets, user.app, id, 1);
        let session = Session {
            id,
            app: user.app,
            user: user.id,
            generation: refresh.generation,
            refresh_hash: refresh.hash.clone(),
            created_at: now,
            last_seen_at: now,
            address: client.address.to_string(),
            agent: client.agent.clone(),
            expires_at: now.plus_seconds(self.settings.refresh_ttl_seconds),
            ended: false,
        };
        let batch = Batch::of(UserStore::unchanged(user)).and(sessions::insert(&session));
        self.documents.commit(user.app, batch).await?;
        Ok(self.tokens(&session, refresh, now))
    }

    /// The pair of a session and its newest refresh token.
    pub(super) fn tokens(&self, session: &Session, refresh: RefreshToken, now: Timestamp) -> Tokens {
        let expires_in_seconds = self.settings.access_ttl_seconds;
        let access = self.signer.sign(&AccessClaims {
            id: self.ids.mint(),
            user: session.user,
            app: session.app,
            session: session.id,
            issued_at: now,
            expires_at: now.plus_seconds(expires_in_seconds),
        });
        Tokens { access: access.into(), refresh: refresh.text, expires_in_seconds }
    }
}
