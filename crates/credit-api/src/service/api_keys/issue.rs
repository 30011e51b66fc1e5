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
        self.refuse_past(new.expires_at)?;
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

    /// `422` if a key that ends then would have ended already.
    pub(crate) fn refuse_past(&self, expires_at: Option<Timestamp>) -> Result<(), Problem> {
        if expires_at.is_none_or(|end| end > self.clock.now()) {
            return Ok(());
        }
        Err(Problem::invalid(vec![Fault::new("/expires_at", "out_of_range", "must be in the future")]))
    }
}
