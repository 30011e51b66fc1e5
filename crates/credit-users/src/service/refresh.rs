//! Refreshing: a new pair for a refresh token, once.

use credit_core::ports::documents::{Batch, CommitError};
use credit_core::{Code, Problem};
use secrecy::SecretString;

use super::{ATTEMPTS, Tokens, Users};
use crate::domain::{RefreshToken, Session, Status};
use crate::store::sessions::{self, SESSIONS};
use crate::store::users::{self, USERS};

impl Users {
    /// A new pair; the token is spent by it. A spent one again ends the session, for it may have been stolen:
    /// `401 refresh_token_reused`. Of several at once with one token exactly one is first.
    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<Tokens, Problem> {
        let token =
            RefreshToken::open(&*self.hash, token).ok_or_else(|| Problem::new(Code::Unauthenticated))?;
        for _ in 0..ATTEMPTS {
            let document = self.documents.get(token.app, &SESSIONS, &token.session.to_string()).await?;
            let Some(document) = document else { return Err(Problem::new(Code::Unauthenticated)) };
            let session = sessions::open(token.app, &document)?;
            if token.generation < session.generation {
                self.end_session(token.app, token.session).await?;
                return Err(Problem::new(Code::RefreshTokenReused));
            }
            let now = self.now();
            let is_kept = token.is_kept_as(&session.refresh_hash);
            if !session.is_live(now) || !is_kept || !self.may_act(&session).await? {
                return Err(Problem::new(Code::Unauthenticated));
            }
            let generation =
                session.generation.checked_add(1).ok_or_else(|| Problem::new(Code::Unauthenticated))?;
            let fresh = RefreshToken::mint(&*self.hash, &*self.secrets, session.app, session.id, generation);
            let next = Session {
                generation,
                refresh_hash: fresh.hash.clone(),
                last_seen_at: now,
                expires_at: now.plus_seconds(self.settings.refresh_ttl_seconds),
                ..session
            };
            let batch = Batch::of(sessions::replace(&next, document.version));
            match self.documents.commit(next.app, batch).await {
                Ok(()) => return Ok(self.tokens(&next, fresh, now)),
                // Somebody was first; the next round tells whether with this token.
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    async fn may_act(&self, session: &Session) -> Result<bool, Problem> {
        let document = self.documents.get(session.app, &USERS, &session.user.to_string()).await?;
        let head = document.as_ref().map(users::head).transpose()?;
        Ok(head.is_some_and(|head| head.status == Status::Active))
    }
}
