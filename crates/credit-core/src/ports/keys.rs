//! Field encryption and keyed look-up.

/// A sealed text cannot be opened: wrong key, wrong place, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed field cannot be opened")]
pub struct CannotOpen;

/// Where a sealed field lives. It is bound inside the sealed text, so that one cannot be moved to another place.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The application.
    pub app: crate::AppId,
    /// The collection.
    pub collection: &'a str,
    /// The document's id.
    pub id: &'a str,
    /// The field.
    pub field: &'a str,
}

/// Encrypts fields at rest.
pub trait Sealer: Send + Sync {
    /// Seals a text for its place, with the newest key.
    fn seal(&self, place: Place<'_>, plain: &str) -> String;

    /// Opens what was sealed for this place with any key still known.
    fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, CannotOpen>;

    /// The ids of the keys that are known, the newest first. An id tells nothing of its key.
    fn key_ids(&self) -> Vec<String> {
        vec![ONLY_KEY.to_owned()]
    }

    /// The id of the key that something was sealed with, whether that is still known or not.
    fn key_of(&self, sealed: &str) -> String {
        let _ = sealed;
        ONLY_KEY.to_owned()
    }
}

/// How the key of an adapter is called that has one only.
const ONLY_KEY: &str = "only";

/// Keyed hashes: the same text and purpose always give the same 32 bytes, and without the key nobody can tell
/// which text it was. For looking up what is encrypted, and for keeping secrets that only need comparing.
pub trait KeyedHash: Send + Sync {
    /// The hash of a text for a purpose, for example `email|app_…`, under the newest key.
    fn hash(&self, purpose: &str, text: &str) -> [u8; 32];

    /// The hashes under the keys before the newest that are still known, newest first: what is not found under the
    /// newest may have been kept under one of these.
    fn earlier(&self, purpose: &str, text: &str) -> Vec<[u8; 32]> {
        let _ = (purpose, text);
        Vec::new()
    }

    /// The ids of the keys that are known, the newest first. An id tells nothing of its key.
    fn key_ids(&self) -> Vec<String> {
        vec![ONLY_KEY.to_owned()]
    }
}

/// Randomness for secrets, from the operating system.
pub trait SecretSource: Send + Sync {
    /// 32 bytes nobody can guess.
    fn secret(&self) -> zeroize::Zeroizing<[u8; 32]>;
}
