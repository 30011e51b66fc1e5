//! What this module keeps.

pub(crate) mod admins;
pub(crate) mod failures;
pub(crate) mod pending;
pub(crate) mod sessions;
pub(crate) mod users;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every collection of this module: what a store makes its indexes from, and what moves when a store is copied.
pub static COLLECTIONS: [&Collection; 5] =
    [&users::USERS, &sessions::SESSIONS, &failures::FAILURES, &pending::PENDING, &admins::ADMINS];

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own documents always have a JSON form")
}

fn decode<T: DeserializeOwned>(document: &Document) -> Result<T, StoreError> {
    serde_json::from_slice(&document.body)
        .map_err(|error| StoreError::Corrupt(format!("document {}: {error}", document.id)))
}
