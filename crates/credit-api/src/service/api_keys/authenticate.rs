//! Who stands behind an `X-API-Key`.
//!
//! Secrets are looked up by their keyed hash, so the time of a comparison tells nothing about them. What was looked up
//! is believed for less than a second: a deleted key stops within a second in every process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::Query;
use credit_core::{ApiKeyId, AppId, Principal, Timestamp};
use moka::sync::Cache;

use super::last_use::{self, Noted};
use super::{ApiKeys, PREFIX, PURPOSE};
use crate::domain::SecretHash;
use crate::front_door::{AuthFailure, Authenticator};
use crate::store::api_keys::{self, API_KEYS, BY_SECRET};

const BELIEVED_FOR: Duration = Duration::from_millis(750);
const REMEMBERED: u64 = 10_000;
const SECRET_LENGTH: usize = PREFIX.len() + 43; // 32 bytes in base64url without padding

/// Secrets that were looked up lately, by their hash.
pub(super) struct Verified(Cache<SecretHash, Arc<Entry>>);

struct Entry {
    key: ApiKeyId,
    principal: Principal,
    good_until: Option<Timestamp>,
    noted: Noted,
}

impl Verified {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEVED_FOR).build())
    }

    pub(super) fn forget(&self, secret: &SecretHash) {
        self.0.invalidate(secret);
    }
}

#[async_trait]
impl Authenticator for ApiKeys {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthFailure> {
        if credential.len() != SECRET_LENGTH || !credential.starts_with(PREFIX) {
            return Err(AuthFailure::Invalid);
        }
        let secret = self.hash.hash(PURPOSE, credential);
        let entry = match self.verified.0.get(&secret) {
            Some(entry) => entry,
            None => self.look_up(&secret).await?,
        };
        let now = self.clock.now();
        if entry.good_until.is_some_and(|end| now >= end) {
            return Err(AuthFailure::Invalid);
        }
        last_use::note(&self.documents, entry.key, &entry.noted, now);
        Ok(entry.principal.clone())
    }
}

impl ApiKeys {
    async fn look_up(&self, secret: &SecretHash) -> Result<Arc<Entry>, AuthFailure> {
        let query = Query::new(&API_KEYS, Some(BY_SECRET), api_keys::by_secret(secret), 1);
        let rows = self.documents.query(AppId::SYSTEM, query).await.map_err(AuthFailure::Unavailable)?;
        let Some(row) = rows.into_iter().next() else { return Err(AuthFailure::Invalid) };
        let key = api_keys::decode(&row.document).map_err(AuthFailure::Unavailable)?;
        let good_until = key.good_until(secret).ok_or_else(|| {
            AuthFailure::Unavailable(StoreError::Corrupt(format!("the secrets of API key {}", key.id)))
        })?;
        let entry = Arc::new(Entry {
            key: key.id,
            principal: Principal::Application { app: key.app_id, key: key.id, scopes: key.scopes },
            good_until,
            noted: self.last_uses.of(key.id),
        });
        self.verified.0.insert(*secret, entry.clone());
        Ok(entry)
    }
}
