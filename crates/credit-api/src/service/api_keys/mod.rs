//! API keys: making, listing, rotating and deleting them, and knowing them at the door.

mod authenticate;
mod change;
mod hash_keys;
mod issue;
mod last_use;
mod list;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Document, Documents};
use credit_core::ports::keys::{KeyedHash, SecretSource};
use credit_core::{ApiKeyId, AppId, Clock, IdSource, Scope, Timestamp};
use secrecy::SecretString;
use zeroize::Zeroizing;

use self::authenticate::Verified;
use self::last_use::LastUses;
use super::Apps;
use crate::domain::{KeptKey, SecretHash};
use crate::store::api_keys::API_KEYS;
pub use issue::NewKey;

const PREFIX: &str = "ck_";
const PURPOSE: &str = "api_key";

/// The API keys of the house. Share it: it is also the [`Authenticator`](crate::front_door::Authenticator) of
/// `X-API-Key`.
pub struct ApiKeys {
    documents: Arc<dyn Documents>,
    apps: Arc<Apps>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    secrets: Arc<dyn SecretSource>,
    hash: Arc<dyn KeyedHash>,
    grace_seconds: i64,
    verified: Verified,
    last_uses: LastUses,
}

/// What [`ApiKeys`] needs.
pub struct ApiKeysParts {
    /// Where keys are kept.
    pub documents: Arc<dyn Documents>,
    /// Which applications there are.
    pub apps: Arc<Apps>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
    /// New secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// Hashes secrets.
    pub hash: Arc<dyn KeyedHash>,
    /// How long the old secret of a rotated key lives, in seconds: `auth.api_key_grace`.
    pub grace_seconds: i64,
}

/// An API key as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Which.
    pub id: ApiKeyId,
    /// Whose.
    pub app: AppId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// Up to a minute late.
    pub last_used_at: Option<Timestamp>,
    /// Since when.
    pub created_at: Timestamp,
}

/// A key with its new secret, which is shown once and not kept.
pub struct IssuedKey {
    /// The key.
    pub key: KnownKey,
    /// `ck_…`.
    pub secret: SecretString,
}

impl ApiKeys {
    /// The API keys in this store.
    pub fn new(parts: ApiKeysParts) -> Self {
        Self {
            documents: parts.documents,
            apps: parts.apps,
            clock: parts.clock,
            ids: parts.ids,
            secrets: parts.secrets,
            hash: parts.hash,
            grace_seconds: parts.grace_seconds,
            verified: Verified::new(),
            last_uses: LastUses::default(),
        }
    }

    /// A new secret and its hash.
    fn new_secret(&self) -> (SecretString, SecretHash) {
        let random = self.secrets.secret();
        let mut text = Zeroizing::new(PREFIX.to_owned());
        URL_SAFE_NO_PAD.encode_string(*random, &mut text);
        let hash = self.hash.hash(PURPOSE, &text);
        (text.as_str().into(), hash)
    }

    fn newest_hash_key(&self) -> String {
        self.hash.key_ids().into_iter().next().unwrap_or_default()
    }

    async fn find(&self, id: ApiKeyId) -> Result<Option<Document>, StoreError> {
        self.documents.get(AppId::SYSTEM, &API_KEYS, &id.to_string()).await
    }
}

fn shown(key: KeptKey, last_used_at: Option<Timestamp>) -> KnownKey {
    KnownKey {
        id: key.id,
        app: key.app_id,
        name: key.name,
        scopes: key.scopes,
        expires_at: key.expires_at,
        last_used_at,
        created_at: key.created_at,
    }
}
