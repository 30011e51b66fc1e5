//! API keys as documents, and when they were last used as a view of its own, so that using a key never disturbs
//! changing it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, Document, Index, IndexKeys, Key, Write};
use credit_core::{ApiKeyId, AppId, Timestamp};

use crate::domain::{KeptKey, SecretHash};

/// By the hash of each of its secrets, and by its application.
pub(crate) static API_KEYS: Collection = Collection {
    name: "api_keys",
    indexes: &[Index { name: BY_SECRET, unique: true }, Index { name: BY_APP, unique: false }],
};
pub(crate) const BY_SECRET: &str = "secret";
pub(crate) const BY_APP: &str = "app";

/// The body is an instant; the sequence is the same in Unix milliseconds.
pub(crate) static API_KEY_USES: Collection = Collection { name: "api_key_uses", indexes: &[] };

pub(crate) fn insert(key: &KeptKey) -> Batch {
    Batch::of(Write::Insert {
        collection: &API_KEYS,
        id: key.id.to_string(),
        body: encode(key),
        keys: index_keys(key),
    })
}

pub(crate) fn replace(key: &KeptKey, version: u64) -> Batch {
    Batch::of(Write::Replace {
        collection: &API_KEYS,
        id: key.id.to_string(),
        version,
        body: encode(key),
        keys: index_keys(key),
    })
}

/// The key goes, and with it when it was last used.
pub(crate) fn delete(key: &Document, last_use: Option<&Document>) -> Batch {
    let gone = |collection, document: &Document| Write::Delete {
        collection,
        id: document.id.clone(),
        version: document.version,
    };
    let batch = Batch::of(gone(&API_KEYS, key));
    match last_use {
        Some(document) => batch.and(gone(&API_KEY_USES, document)),
        None => batch,
    }
}

pub(crate) fn note_use(key: ApiKeyId, at: Timestamp) -> Batch {
    Batch::of(Write::Put {
        collection: &API_KEY_USES,
        id: key.to_string(),
        sequence: at.sortable(),
        body: serde_json::to_vec(&at).expect("an instant has a JSON form").into(),
        keys: Vec::new(),
    })
}

pub(crate) fn by_secret(secret: &SecretHash) -> Key {
    Key::text(&URL_SAFE_NO_PAD.encode(secret))
}

pub(crate) fn by_app(app: AppId) -> Key {
    Key::text(&app.to_string())
}

pub(crate) fn decode(document: &Document) -> Result<KeptKey, StoreError> {
    serde_json::from_slice(&document.body)
        .map_err(|error| StoreError::Corrupt(format!("API key {}: {error}", document.id)))
}

pub(crate) fn decode_use(document: &Document) -> Result<Timestamp, StoreError> {
    serde_json::from_slice(&document.body)
        .map_err(|error| StoreError::Corrupt(format!("use of API key {}: {error}", document.id)))
}

fn encode(key: &KeptKey) -> Bytes {
    serde_json::to_vec(key).expect("an API key has a JSON form").into()
}

fn index_keys(key: &KeptKey) -> IndexKeys {
    let mut keys: IndexKeys = key.secrets().map(|secret| (BY_SECRET, by_secret(secret))).collect();
    keys.push((BY_APP, by_app(key.app_id)));
    keys
}
