//! Rotating and deleting.

use credit_core::ports::documents::{CommitError, Document};
use credit_core::{ApiKeyId, AppId, Code, Problem};

use super::{ApiKeys, IssuedKey, shown};
use crate::domain::KeptKey;
use crate::store::api_keys::{self, API_KEY_USES};

/// How often a change is tried again when the key is used or changed at the same time.
const TRIES: usize = 5;

impl ApiKeys {
    /// Gives the key a new secret. The old one is good for the grace.
    pub async fn rotate(&self, id: ApiKeyId) -> Result<IssuedKey, Problem> {
        let document = self.find(id).await?.ok_or_else(Problem::not_found)?;
        let key = api_keys::decode(&document)?;
        let (secret, hash) = self.new_secret();
        let rotated = key.rotated(hash, &self.newest_hash_key(), self.clock.now(), self.grace_seconds);
        self.documents.commit(AppId::SYSTEM, api_keys::replace(&rotated, document.version)).await?;
        self.forget(&rotated);
        let last_used_at =
            self.last_use_document(id).await?.as_ref().map(api_keys::decode_use).transpose()?;
        Ok(IssuedKey { key: shown(rotated, last_used_at), secret })
    }

    /// Ends the key and every secret of it: here at once, in other processes within a second.
    pub async fn delete(&self, id: ApiKeyId) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let document = self.find(id).await?.ok_or_else(Problem::not_found)?;
            let key = api_keys::decode(&document)?;
            let last_use = self.last_use_document(id).await?;
            let deletion = api_keys::delete(&document, last_use.as_ref());
            match self.documents.commit(AppId::SYSTEM, deletion).await {
                Ok(()) => {
                    self.forget(&key);
                    return Ok(());
                }
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    async fn last_use_document(&self, id: ApiKeyId) -> Result<Option<Document>, Problem> {
        Ok(self.documents.get(AppId::SYSTEM, &API_KEY_USES, &id.to_string()).await?)
    }

    fn forget(&self, key: &KeptKey) {
        for secret in key.secrets() {
            self.verified.forget(secret);
        }
    }
}
