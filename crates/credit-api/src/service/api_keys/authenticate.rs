//! Who stands behind an `X-API-Key`.
//!
//! Secrets are looked up by their keyed hash, so the time of a comparison tells nothing about them. What was looked up
//! is believed for less than a second from before it was asked: a deleted key stops within a second in every process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{CommitError, Document, Query};
use credit_core::{ApiKeyId, AppId, Principal, Timestamp};
use moka::sync::Cache;

use super::last_use::{self, Noted};
use super::{ApiKeys, PREFIX, PURPOSE};
use crate::domain::SecretHash;
use crate::front_door::{AuthFailure, Authenticator};
use crate::store::api_keys::{self, API_KEYS, BY_SECRET};

const BELIEVED_FOR: Duration = Duration::from_millis(750);
/// One of those who come after that looks again, while the others believe on: a busy key does not send all of its callers
/// to the store at once when its time is over.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(400);
const REMEMBERED: u64 = 10_000;
const SECRET_LENGTH: usize = PREFIX.len() + 43; // 32 bytes in base64url without padding
/// How often a secret that may be kept under several keys of ours is looked for before it is nobody's.
const ROUNDS: usize = 4;

/// Secrets that were looked up lately, by their hash.
pub(super) struct Verified(Cache<SecretHash, Arc<Entry>>);

struct Entry {
    key: ApiKeyId,
    principal: Principal,
    good_until: Option<Timestamp>,
    noted: Noted,
    asked: Instant,
    /// Somebody looks again.
    renewed: AtomicBool,
}

impl Entry {
    fn is_good(&self) -> bool {
        self.asked.elapsed() < BELIEVED_FOR
    }

    /// Whether it is for this caller to look again: for the first one that finds it old.
    fn is_to_be_renewed(&self) -> bool {
        self.asked.elapsed() >= LOOK_AGAIN_AFTER && !self.renewed.swap(true, Ordering::Relaxed)
    }
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
        let entry = match self.verified.0.get(&secret).filter(|entry| entry.is_good()) {
            Some(entry) if entry.is_to_be_renewed() => match self.look_up(credential).await {
                Err(AuthFailure::Unavailable(_)) if entry.is_good() => entry,
                renewed => renewed.inspect_err(|_| self.verified.forget(&secret))?,
            },
            Some(entry) => entry,
            None => self.look_up(credential).await?,
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
    /// While keys of ours are rotated somebody else may hash the secret again between two looks, so that each of them
    /// looks where it is not: one round that finds nothing proves nothing then.
    async fn look_up(&self, credential: &str) -> Result<Arc<Entry>, AuthFailure> {
        for _ in 0..ROUNDS {
            let newest = self.hash.hash(PURPOSE, credential);
            let earlier = self.hash.earlier(PURPOSE, credential);
            if let Some(entry) = self.look_once(newest, &earlier).await? {
                return Ok(entry);
            }
            if earlier.is_empty() {
                break;
            }
        }
        Err(AuthFailure::Invalid)
    }

    /// By the hash under our newest key, else under an earlier one; then it is hashed again under the newest.
    async fn look_once(
        &self,
        newest: SecretHash,
        earlier: &[SecretHash],
    ) -> Result<Option<Arc<Entry>>, AuthFailure> {
        let asked = Instant::now();
        if let Some(document) = self.by_secret(&newest).await? {
            let entry = self.entry(&document, &newest, asked)?;
            self.verified.0.insert(newest, entry.clone());
            return Ok(Some(entry));
        }
        for earlier in earlier {
            if let Some(document) = self.by_secret(earlier).await? {
                let entry = self.entry(&document, earlier, asked)?;
                self.rehash(&document, earlier, newest).await?;
                // Not remembered: the next call finds it under the newest, or tries again.
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    async fn by_secret(&self, secret: &SecretHash) -> Result<Option<Document>, AuthFailure> {
        let query = Query::new(&API_KEYS, Some(BY_SECRET), api_keys::by_secret(secret), 1);
        let rows = self.documents.query(AppId::SYSTEM, query).await.map_err(AuthFailure::Unavailable)?;
        Ok(rows.into_iter().next().map(|row| row.document))
    }

    fn entry(
        &self,
        document: &Document,
        secret: &SecretHash,
        asked: Instant,
    ) -> Result<Arc<Entry>, AuthFailure> {
        let key = api_keys::decode(document).map_err(AuthFailure::Unavailable)?;
        let good_until = key.good_until(secret).ok_or_else(|| {
            AuthFailure::Unavailable(StoreError::Corrupt(format!("the secrets of API key {}", key.id)))
        })?;
        Ok(Arc::new(Entry {
            key: key.id,
            principal: Principal::Application { app: key.app_id, key: key.id, scopes: key.scopes },
            good_until,
            noted: self.last_uses.of(key.id),
            asked,
            renewed: AtomicBool::new(false),
        }))
    }

    /// Only who has the secret can hash it again, so that it happens at its use. If the key is changed at the same time,
    /// the next use does it.
    async fn rehash(
        &self,
        document: &Document,
        old: &SecretHash,
        new: SecretHash,
    ) -> Result<(), AuthFailure> {
        let key = api_keys::decode(document).map_err(AuthFailure::Unavailable)?;
        let under = self.newest_hash_key();
        let next = key.rehashed(old, new, &under);
        match self.documents.commit(AppId::SYSTEM, api_keys::replace(&next, document.version)).await {
            Err(CommitError::Store(error)) => Err(AuthFailure::Unavailable(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
