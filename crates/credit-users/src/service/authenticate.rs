//! Knowing the user behind an access token.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_api::front_door::{AuthFailure, Authenticator};
use credit_core::ports::StoreError;
use credit_core::ports::tokens::AccessClaims;
use credit_core::{Principal, Timestamp};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::Users;
use super::seen::LiveSession;
use crate::domain::Status;
use crate::store::sessions::{self, SESSIONS};
use crate::store::users::{self, USERS};

const CAPACITY: u64 = 100_000;
const IDLE: Duration = Duration::from_secs(600);

/// Claims of tokens whose signature was verified, by the hash of the token. Their time is compared at every use, and
/// whether they were revoked is asked of the store.
pub(super) struct Verified(Cache<(u64, [u8; 32]), AccessClaims>);

impl Verified {
    pub(super) fn new() -> Self {
        let cache = Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build();
        Self(cache)
    }

    fn claims(&self, users: &Users, token: &str, now: Timestamp) -> Option<AccessClaims> {
        // When the keys are replaced, nothing that was verified under those before counts any more.
        let hash = (users.signer.generation(), Sha256::digest(token).into());
        if let Some(claims) = self.0.get(&hash) {
            if now < claims.expires_at {
                return Some(claims);
            }
            self.0.invalidate(&hash);
            return None;
        }
        let claims = users.signer.verify(token, now).ok()?;
        self.0.insert(hash, claims.clone());
        Some(claims)
    }
}

#[async_trait]
impl Authenticator for Users {
    /// Session and user are read at every request, or were read less than a second ago where there is a cache: a logout,
    /// a suspension or other roles count within a second on every replica, also if the cache is lost.
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthFailure> {
        let now = self.now();
        let claims = self.verified.claims(self, token, now).ok_or(AuthFailure::Invalid)?;
        self.principal(&claims, now).await.map_err(AuthFailure::Unavailable)?.ok_or(AuthFailure::Invalid)
    }
}

impl Users {
    async fn principal(
        &self,
        claims: &AccessClaims,
        now: Timestamp,
    ) -> Result<Option<Principal>, StoreError> {
        let AccessClaims { app, user, session, .. } = *claims;
        if let Some(seen) = self.seen.session(app, session).await
            && seen.user == user
            && now < seen.expires_at
        {
            return Ok(Some(Principal::User { app, user, session, roles: seen.roles }));
        }
        let since = Instant::now();
        let Some(document) = self.documents.get(app, &SESSIONS, &session.to_string()).await? else {
            return Ok(None);
        };
        let kept = sessions::open(app, &document)?;
        if kept.user != user || !kept.is_live(now) {
            return Ok(None);
        }
        let Some(document) = self.documents.get(app, &USERS, &user.to_string()).await? else {
            return Ok(None);
        };
        let head = users::head(&document)?;
        if head.status != Status::Active {
            return Ok(None);
        }
        let live = LiveSession { user, roles: head.roles, expires_at: kept.expires_at };
        self.seen.note_session(app, session, &live, since).await;
        Ok(Some(Principal::User { app, user, session, roles: live.roles }))
    }
}
