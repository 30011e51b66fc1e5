//! A new key.

use credit_core::{ApiKeyId, AppId, Fault, Problem, Scope, Timestamp};

use super::{ApiKeys, IssuedKey, shown};
use crate::domain::KeptKey;
use crate::store::api_keys;

/// Which key is wanted.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose.
    pub app: AppId,
    /// For people.
    pub name: String,
    /// What it may do; none twice.
    pub scopes: Vec<Scope>,
    /// Until when; never if it does not say.
    pub expires_at: Option<Timestamp>,
}

impl ApiKeys {
    /// Makes a key: `422` if it would be expired already, `404` if there is no such application.
    pub async fn issue(&self, new: NewKey) -> Result<IssuedKey, Problem> {
        if let Some(past) = self.past_end(new.expires_at) {
            return Err(Problem::invalid(vec![past]));
        }
        if !self.apps.exists(new.app).await? {
            return Err(Problem::not_found());
        }
        let (secret, hash) = self.new_secret();
        let key = KeptKey {
            id: ApiKeyId::from_u128(self.ids.mint()),
            app_id: new.app,
            name: new.name,
            scopes: new.scopes,
            expires_at: new.expires_at,
            created_at: self.clock.now(),
            secret: hash,
            old_secrets: Vec::new(),
            hashed_under: self.newest_hash_key(),
        };
        self.documents.commit(AppId::SYSTEM, api_keys::insert(&key)).await?;
        Ok(IssuedKey { key: shown(key, None), secret })
    }

    /// The fault of a key that would have ended already.
    pub(crate) fn past_end(&self, expires_at: Option<Timestamp>) -> Option<Fault> {
        let is_past = expires_at.is_some_and(|end| end <= self.clock.now());
        is_past.then(|| Fault::new("/expires_at", "out_of_range", "must be in the future"))
    }
}
